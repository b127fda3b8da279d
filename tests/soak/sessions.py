"""A process with many sessions, each chatting as Chainlit does: bursts of writes that nobody awaits one by one."""

from __future__ import annotations

import argparse
import asyncio
import contextvars
import random
import time
import uuid
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chainlit.types import Feedback
from chainlit.user import PersistedUser

from chainlit_dynamodb import DynamoDBDataLayer
from chainlit_dynamodb.errors import TransientError
from chainlit_dynamodb.patience import A_MOMENT_SECONDS
from tests.contract.chats import enter_chat, message
from tests.soak.content import content
from tests.soak.ledger import Entry, Ledger, What

CLOSE_SECONDS = 60.0
_EARLY_SECONDS = A_MOMENT_SECONDS - 0.1


@dataclass
class Chat:
    """One chat of one session.

    Attributes:
        answered_early: What was answered because Chainlit waits, and is written while the process lives.
    """

    layer: DynamoDBDataLayer
    ledger: Ledger
    chance: random.Random
    user: str
    thread: str
    answered_early: list[Entry] = field(default_factory=list)

    async def run(self) -> None:
        """Chat a few turns; sometimes take something back."""
        enter_chat(self.thread, PersistedUser(id=self.user, identifier=self.user, createdAt=""))
        named = self._tell("thread", self.layer.update_thread(self.thread, f"chat {self.thread}", self.user))
        await asyncio.gather(named, self._turn())
        for turn in range(self.chance.randrange(3)):
            await self._turn()
            entry = {f"turn {turn}": turn}
            await self._tell("metadata", self.layer.update_thread(self.thread, metadata=entry), f"turn {turn}", turn)
        if self.chance.random() < 0.15:
            await self._tell("thread deletion", self.layer.delete_thread(self.thread))
            await self.layer.update_thread(self.thread, metadata={"late": True})
            await self.layer.update_step(message(self._new_id(), self.thread, output="late"))

    async def _turn(self) -> None:
        question, run = self._new_id(), self._new_id()
        await asyncio.gather(self._step(question, 1), self._step(run, 6), self._step(self._new_id(), 3))
        for number in range(self.chance.randrange(3)):
            value: Any = number % 2
            feedback = Feedback(forId=run, threadId=self.thread, value=value, comment=str(number))
            await self._tell("feedback", self.layer.upsert_feedback(feedback), run, number)
        if self.chance.random() < 0.1:
            await self._tell("step deletion", self.layer.delete_step(question), question)
            await self.layer.update_step(message(question, self.thread, output="late"))

    async def _step(self, step_id: str, writes: int) -> None:
        pending = []
        for number in range(writes):
            fields = message(step_id, self.thread, output=content(step_id, number))
            write = self.layer.update_step if number else self.layer.create_step
            pending.append(asyncio.create_task(self._tell("step", write(fields), step_id, number)))
            await asyncio.sleep(self.chance.choice((0, 0, 0.01, 0.1)))
        await asyncio.gather(*pending)

    async def _tell(self, what: What, write: Awaitable[Any], key: str = "", number: int = 0) -> None:
        self.ledger.note(Entry(False, what, self.user, self.thread, key, number))
        asked = time.monotonic()
        try:
            await write
        except TransientError:  # the caller was told, so nothing was promised
            return
        done = Entry(True, what, self.user, self.thread, key, number)
        if what in ("thread", "metadata", "thread deletion") and time.monotonic() - asked > _EARLY_SECONDS:
            self.answered_early.append(done)
        else:
            self.ledger.note(done)

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))


async def _session(layer: DynamoDBDataLayer, ledger: Ledger, name: str, seed: str, deadline: float) -> list[Entry]:
    chance, answered_early = random.Random(f"{seed}/{name}"), list[Entry]()  # noqa: S311 - repeatable
    while time.time() < deadline:
        thread = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        await Chat(layer, ledger, chance, name, thread, answered_early).run()
        await asyncio.sleep(chance.random())
    return answered_early


async def _settle(layer: DynamoDBDataLayer, ledger: Ledger, answered_early: list[Entry]) -> None:
    """Note what was answered early once all is written. Closing may give up."""
    end = time.monotonic() + CLOSE_SECONDS
    while layer.backlog.changes and time.monotonic() < end:  # noqa: ASYNC110 - nobody says when all is written
        await asyncio.sleep(0.1)
    for entry in answered_early if not layer.backlog.changes else ():
        ledger.note(entry)


async def _main(options: argparse.Namespace) -> None:
    layer = DynamoDBDataLayer(options.table, endpoint_url=options.endpoint, close_seconds=CLOSE_SECONDS)
    ledger = Ledger(options.ledger)
    names = [f"{options.ledger.stem}-{number}" for number in range(options.sessions)]
    sessions = [_session(layer, ledger, name, options.seed, options.deadline) for name in names]
    tasks = [contextvars.copy_context().run(asyncio.create_task, session) for session in sessions]
    answered_early = [entry for entries in await asyncio.gather(*tasks) for entry in entries]
    await _settle(layer, ledger, answered_early)
    await layer.close()


def main() -> None:
    """Run until the deadline."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--table", required=True)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--deadline", type=float, required=True)
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
