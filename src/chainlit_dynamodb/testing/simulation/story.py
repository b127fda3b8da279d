"""One simulation from its plan to its end."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chainlit_dynamodb.chat.writer import MAX_PENDING_BYTES
from chainlit_dynamodb.rows.burial import TOMBSTONE_SECONDS
from chainlit_dynamodb.testing.simulation.endings import Ending, Finding, decoded
from chainlit_dynamodb.testing.simulation.engine import Engine
from chainlit_dynamodb.testing.simulation.errors import StuckError
from chainlit_dynamodb.testing.simulation.fates import Fates
from chainlit_dynamodb.testing.simulation.histories import LATEST_SECONDS, Histories
from chainlit_dynamodb.testing.simulation.invariants import INVARIANTS, Invariant, check
from chainlit_dynamodb.testing.simulation.items import Place
from chainlit_dynamodb.testing.simulation.loop import VirtualLoop, owner_var
from chainlit_dynamodb.testing.simulation.network import Network
from chainlit_dynamodb.testing.simulation.plan import Act, Plan, Visit
from chainlit_dynamodb.testing.simulation.processes import TABLE_NAME, Process, Servers
from chainlit_dynamodb.testing.simulation.records import Records
from chainlit_dynamodb.testing.simulation.storage import Bucket
from chainlit_dynamodb.testing.simulation.visitors import Visitor, forget_sessions
from chainlit_dynamodb.testing.simulation.world import virtual_world

_SETTLE_SECONDS: Final = 900.0
_CLOCKS_DIFFER_SECONDS: Final = 120.0
_TIDYING_READS: Final = 2
"""The first deletes what is left of deleted turns, the second what is outdated."""
_TIDYING_SECONDS: Final = 5.0
_READER: Final = "Z"
"""The place of the process that reads everything at the end."""


@dataclass(frozen=True)
class Outcome:
    """How a story ended.

    Attributes:
        plan: What was to happen.
        findings: What contradicts the invariants.
        records: All calls and lines.
        struck: The names of the requests that something befell.
        seconds: How long it took in virtual time.
    """

    plan: Plan
    findings: list[Finding]
    records: Records
    struck: tuple[str, ...]
    seconds: float

    def lines(self) -> list[str]:
        """Return the story in lines."""
        return [f"{at:9.3f} {who:9} {what}" for at, who, what in self.records.lines]


def tell(plan: Plan, invariants: tuple[Invariant, ...] = INVARIANTS) -> Outcome:
    """Let a story happen, and check it."""
    loop = VirtualLoop(random.Random(f"order/{plan.seed}"), shuffles=plan.shuffles)  # noqa: S311 - repeatable
    story = _Story(plan, loop)
    with virtual_world(str(plan.seed), loop.time, _Log(story.records)):
        try:
            ending = loop.run_until_complete(story.happen())
            findings = check(ending, invariants)
        except StuckError as exc:
            findings = [Finding("the_story_ends", str(exc))]
        finally:
            loop.drop_tasks()
            loop.close()
            forget_sessions()
    return Outcome(plan, findings, story.records, tuple(story.fates.struck), loop.time())


class _Log(logging.Handler):
    def __init__(self, records: Records) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        owner = owner_var.get()
        name = owner.name if isinstance(owner, Process) else ""
        self._records.note_log(name, record.levelname, record.getMessage())


class _Story:
    def __init__(self, plan: Plan, loop: VirtualLoop) -> None:
        self._plan = plan
        self.fates = Fates(str(plan.seed), plan.rates, plan.only)
        self.records = Records(loop.time)
        self._engine = Engine(TABLE_NAME, loop.time, self._lag)
        self._engine.items.keeps_history = "stale read" in plan.rates
        self._network = Network(self._engine, self.fates, plan.troubles, self.records.note)
        self.records.on_begin = self._network.begin
        self._bucket = Bucket(self.fates)
        self._servers: Servers

    async def happen(self) -> Ending:
        self._servers = Servers(self._plan, self._network, self._bucket, self.records)
        visitors = [Visitor(visit, self._servers, self.records) for visit in self._plan.visits]
        await asyncio.gather(*(visitor.run() for visitor in visitors))
        self._heal()
        await self._settle()
        await self._say_goodbye(visitors)
        await self._repeat_deletions()
        living = [process for process in self._servers.all if not process.is_dead and not process.is_closing]
        pending = {process.name: process.layer.backlog.changes for process in living}
        await asyncio.gather(*map(self._servers.close, living))
        for process in living:
            if not process.layer.backlog.changes:
                self.records.note_all_stored(process.name)
        self._engine.index.catch_up()
        calm_rows = decoded(dict(self._engine.items.all())) if self._is_calm else {}
        tidied_at = await self._tidy_up()
        await self._read_everything()
        return Ending(
            self.records.calls,
            Histories(self.records),
            self._chats,
            decoded(dict(self._engine.items.all())),
            self._bucket.files,
            pending,
            self.records.most_pending_bytes,
            self._plan.options.get("max_pending_bytes") or MAX_PENDING_BYTES,
            calm_rows,
            tidied_at,
            self.records.losses,
        )

    @property
    def _chats(self) -> list[str]:
        return list(dict.fromkeys(visit.chat for visit in self._plan.visits))

    @property
    def _is_calm(self) -> bool:
        """Return whether all servers live, and hear what was done."""
        is_heard = self._plan.rates.keys().isdisjoint(("late", "lost answer"))
        return is_heard and not any(trouble.kind in ("kill", "close") for trouble in self._plan.troubles)

    def _lag(self, place: Place) -> tuple[float, float]:
        """Draw how long the index takes, and whether it shows an item twice or not at all for a while."""
        if self._network.is_healed or not self._plan.lag_seconds:
            return 0.0, 0.0
        fate = self.fates.draw(f"index {place[0]} {place[1]}")
        seen, gone = (fate.between(number, 0.0, self._plan.lag_seconds) for number in (1, 2))
        return seen, gone

    def _heal(self) -> None:
        self.records.note("", "** from here on nothing goes wrong any more")
        self._network.is_healed = self._bucket.is_healed = True

    async def _settle(self) -> None:
        """Wait until everything is answered and nothing late can happen."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _SETTLE_SECONDS
        while loop.time() < until and self._is_waiting():  # noqa: ASYNC110 - time is virtual
            await asyncio.sleep(5.0)
        await asyncio.sleep(LATEST_SECONDS)

    def _is_waiting(self) -> bool:
        open_calls = (c for c in self.records.calls if c.ended is None and not c.queue)
        return any(call.process not in self.records.deaths for call in open_calls)

    async def _say_goodbye(self, visitors: Sequence[Visitor]) -> None:
        """Disconnect everybody: so a server hears of what others have deleted."""
        for number, visitor in enumerate(visitors):
            await visitor.do(Act("leave", 0.0, 900_000 + number))
        await asyncio.sleep(30.0)
        await self._settle()

    async def _repeat_deletions(self) -> None:
        """Ask again for deletions that failed, where the chat is not there any more, as their owner can."""
        histories = Histories(self.records)
        for chat in self._chats:
            if not histories.may_be_over(float("inf"), ("thread", chat)):
                continue
            if not histories.is_over(float("inf"), ("thread", chat)):
                await self._finish_deletion(chat)
        await asyncio.sleep(_TIDYING_SECONDS)

    async def _finish_deletion(self, chat: str) -> None:
        user = next(visit.user for visit in self._plan.visits if visit.chat == chat)
        visitor = self._visitor(chat, user)
        await visitor.do(Act("read", 0.0, 0))
        if self.records.calls[-1].answer is None:
            await visitor.do(Act("delete", 0.0, 0))

    async def _tidy_up(self) -> float:
        """Let hours pass: then whoever reads a chat tidies away what interrupted writes have left. Return when."""
        await asyncio.sleep(TOMBSTONE_SECONDS + _CLOCKS_DIFFER_SECONDS)
        tidied_at = time.time()
        self._servers.current.pop(_READER, None)
        for _ in range(_TIDYING_READS):
            await self._read_chats()
            await asyncio.sleep(_TIDYING_SECONDS)
        return tidied_at

    async def _read_chats(self) -> None:
        for chat in self._chats:
            await self._visitor(chat, "ann").do(Act("read", 0.0, 0))

    async def _read_everything(self) -> None:
        before = len(self.records.calls)
        self._servers.current.pop(_READER, None)
        await self._read_chats()
        for user in dict.fromkeys(visit.user for visit in self._plan.visits):
            await self._visitor("", user).do(Act("list", 0.0, 0))
        for call in self.records.calls[before:]:
            call.is_final = True

    def _visitor(self, chat: str, user: str) -> Visitor:
        if _READER not in self._servers.current:
            self._servers.current[_READER] = self._servers.start(_READER)
        visit = Visit("reader", _READER, user, chat, is_bot=False, at=0.0, acts=())
        return Visitor(visit, self._servers, self.records, late=True)
