"""What may happen between a layer and its engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tests.contract.lagging import Inner, Wrapped


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
