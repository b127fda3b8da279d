"""Changes to write with: they note their names, and wait or fail as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from chainlit_dynamodb.chat.schema import step_key
from chainlit_dynamodb.errors import AccessDeniedError

A, B, OTHER_THREAD = step_key("t", "a"), step_key("t", "b"), step_key("u", "a")
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

    def change(self, name: str, size_bytes: int = 1) -> Change:
        """Give a change that notes its name."""
        return Change(self, name, size_bytes)


@dataclass(frozen=True)
class Change:
    """Does not do much; merged names are joined with `+`."""

    world: World
    name: str
    size_bytes: int

    def then(self, later: Change) -> Change:
        return replace(self, name=f"{self.name}+{later.name}", size_bytes=max(self.size_bytes, later.size_bytes))

    async def apply(self) -> None:
        world = self.world
        world.under_way += 1
        world.most_under_way = max(world.most_under_way, world.under_way)
        try:
            await asyncio.sleep(0)
            if self.name in world.gates:
                await world.gates[self.name].wait()
            if self.name in world.failures:
                raise world.failures[self.name]
            world.written.append(self.name)
        finally:
            world.under_way -= 1


Start = Callable[..., "asyncio.Task[None]"]


async def answers(*tasks: asyncio.Task[None]) -> list[Any]:
    """Give what each caller got: `None`, or the error."""
    return list(await asyncio.gather(*tasks, return_exceptions=True))


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(50):
        await asyncio.sleep(0)
