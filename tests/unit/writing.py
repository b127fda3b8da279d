"""Changes to write with: they note their names, and wait or fail as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from chainlit_dynamodb.chat.owners import Asker
from chainlit_dynamodb.errors import AccessDeniedError
from chainlit_dynamodb.schema import Key, step_key

A, B, OTHER_THREAD = step_key("t", "a"), step_key("t", "b"), step_key("u", "a")
ALICE, MALLORY = (Asker(frozenset({name})) for name in ("alice", "mallory"))
REFUSAL = AccessDeniedError("UpdateItem", "AccessDeniedException", "allow it")


@dataclass
class World:
    """What writes do: note their names, and wait or fail as they are told."""

    written: list[str] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    failures: dict[str, BaseException] = field(default_factory=dict)

    def gate(self, name: str) -> asyncio.Event:
        """Make the write of this name wait until the gate is opened."""
        return self.gates.setdefault(name, asyncio.Event())

    async def apply(self, _: Key, change: Change) -> bool:
        """Do a change."""
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            if change.name in self.gates:
                await self.gates[change.name].wait()
            if change.name in self.failures:
                raise self.failures[change.name]
            self.written.append(change.name)
            return True
        finally:
            self.under_way -= 1


@dataclass(frozen=True)
class Change:
    """A name; merged names are joined with `+`."""

    name: str
    size_bytes: int = 1
    asker: Asker | None = None

    def then(self, later: Change) -> Change:
        return replace(self, name=f"{self.name}+{later.name}", size_bytes=max(self.size_bytes, later.size_bytes))


Start = Callable[..., "asyncio.Task[bool]"]


async def answers(*tasks: asyncio.Task[Any]) -> list[Any]:
    """Give what each caller got: whether it was made, or the error."""
    return list(await asyncio.gather(*tasks, return_exceptions=True))


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(50):
        await asyncio.sleep(0)
