"""What may happen between a layer and its engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tests.contract.lagging import Inner, Wrapped, wrap


class Meanwhile(Wrapped):
    """Lets something happen right after each answer of one operation, as often as there are things to happen."""

    def __init__(self, inner: Inner, operation: str, *things: Callable[[], Awaitable[Any]]) -> None:
        """Take what is to happen, in order."""
        super().__init__(inner)
        self._operation = operation
        self._things = list(things)

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request, then let it happen."""
        answer = await super().call(operation, request)
        if operation == self._operation and self._things:
            await self._things.pop(0)()
        return answer


class Mortal(Wrapped):
    """A process that is killed at one of its requests, and sends nothing from then on."""

    def __init__(self, inner: Inner, last: int, *, after: bool) -> None:
        """Die at the request of this number: before it is sent, or after it was done and before the answer."""
        super().__init__(inner)
        self.dead = asyncio.Event()
        self._last = last
        self._after = after
        self._requests = 0

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request while alive."""
        self._requests += 1
        if self._requests < self._last:
            return await super().call(operation, request)
        if self._requests == self._last and self._after:
            await super().call(operation, request)
        self.dead.set()
        await asyncio.Event().wait()
        raise AssertionError("the dead do not wake up")


async def killed(layer: Any, operation: Awaitable[Any], last: int, *, after: bool) -> bool:
    """Do something in a process that dies at its n-th request. Tell whether it died before it was done."""
    mortal = wrap(layer, lambda inner: Mortal(inner, last, after=after))
    task, death = asyncio.ensure_future(operation), asyncio.ensure_future(mortal.dead.wait())
    await asyncio.wait({task, death}, return_when=asyncio.FIRST_COMPLETED)
    for waiting in (task, death):
        waiting.cancel()
    await asyncio.gather(task, death, return_exceptions=True)
    await layer._store.writer.drain(0)
    return mortal.dead.is_set()
