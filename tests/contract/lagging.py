"""Faults and counters between a layer and its engine. The engine stays the real one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from chainlit_dynamodb.chat.schema import INDEX_NAME


class Inner(Protocol):
    """The transport that is wrapped."""

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request."""

    async def close(self) -> None:
        """Close."""


class Wrapped:
    """Passes everything on."""

    def __init__(self, inner: Inner) -> None:
        """Take the real transport."""
        self.inner = inner

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request."""
        return await self.inner.call(operation, request)

    async def close(self) -> None:
        """Close the real transport."""
        await self.inner.close()


W = TypeVar("W", bound=Wrapped)


def wrap(layer: Any, wrapper: Callable[[Any], W]) -> W:
    """Put a wrapper around the transport of a layer."""
    table = layer._store.table
    wrapped = wrapper(table._transport)
    table._transport = wrapped
    return wrapped


class Lagging(Wrapped):
    """An index that has stopped following the table: it shows what it showed when this was put in place."""

    def __init__(self, inner: Inner) -> None:
        """Take the real transport; entries of threads in `visible` alone are shown."""
        super().__init__(inner)
        self.visible: dict[tuple[str, str], dict[str, Any]] = {}

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request, hiding from answers of the index what it had not been shown."""
        answer = await super().call(operation, request)
        if operation != "Query" or request.get("IndexName") != INDEX_NAME:
            return answer
        items = [item for item in answer["Items"] if item == self.visible.get(_key(item))]
        return {**answer, "Items": items}

    def show(self, items: list[dict[str, Any]]) -> None:
        """Let the index know these entries, as they are."""
        self.visible.update((_key(item), item) for item in items)


def _key(item: Mapping[str, Any]) -> tuple[str, str]:
    return item["PK"]["S"], item["SK"]["S"]


class Counting(Wrapped):
    """Counts requests by operation, and keeps them."""

    def __init__(self, inner: Inner) -> None:
        """Start at nothing."""
        super().__init__(inner)
        self.counts: Counter[str] = Counter()
        self.requests: list[tuple[str, Mapping[str, Any]]] = []

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and count it."""
        self.counts[operation] += 1
        self.requests.append((operation, request))
        return await super().call(operation, request)


class Shuffling(Wrapped):
    """A network whose first requests are its slowest, so that a later one would overtake an earlier one."""

    def __init__(self, inner: Inner) -> None:
        """Start with the slowest."""
        super().__init__(inner)
        self.delays = [0.06, 0.05, 0.04, 0.03, 0.02, 0.01]

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request late."""
        await asyncio.sleep(self.delays.pop(0) if self.delays else 0)
        return await super().call(operation, request)


class Gated(Wrapped):
    """Holds requests of one operation back until its gate is opened."""

    def __init__(self, inner: Inner, operation: str, *, after: bool = False) -> None:
        """Hold back requests, or with `after` their answers."""
        super().__init__(inner)
        self.operation = operation
        self.after = after
        self.arrived = asyncio.Event()
        self.gate = asyncio.Event()

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request when the gate is open."""
        if operation != self.operation:
            return await super().call(operation, request)
        answer = await super().call(operation, request) if self.after else None
        self.arrived.set()
        await self.gate.wait()
        return await super().call(operation, request) if answer is None else answer


class Failing(Wrapped):
    """Fails what it is told to fail."""

    def __init__(self, inner: Inner, error: Exception, *operations: str) -> None:
        """Fail the operations named, or all."""
        super().__init__(inner)
        self.error = error
        self.operations = operations

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request, or fail."""
        if not self.operations or operation in self.operations:
            raise self.error
        return await super().call(operation, request)
