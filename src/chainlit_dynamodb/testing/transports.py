"""Transports that count, delay, fail or hide what passes between a data layer and its engine, which stays real.

    counting = Counting(transport)
    layer = DynamoDBDataLayer("chats", transport=counting)
    ...
    print(counting.counts)

Each takes the transport that it wraps, so they can be stacked.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from chainlit_dynamodb.dynamodb.transport import Transport
from chainlit_dynamodb.errors import RequestError, TransientError
from chainlit_dynamodb.schema import INDEX_NAME, PK, SK


class Wrapped:
    """Passes everything on to another transport."""

    def __init__(self, inner: Transport) -> None:
        """Take the transport; `close` closes it."""
        self.inner = inner

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request."""
        return await self.inner.call(operation, request)

    async def close(self) -> None:
        """Close the transport."""
        await self.inner.close()


class Switched(Wrapped):
    """Passes everything on to `inner`, which may be another transport at any time."""


class Counting(Wrapped):
    """Counts requests by operation, and keeps them."""

    def __init__(self, inner: Transport) -> None:
        """Start at nothing."""
        super().__init__(inner)
        self.counts: Counter[str] = Counter()
        self.requests: list[tuple[str, Mapping[str, Any]]] = []

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and count it."""
        self.counts[operation] += 1
        self.requests.append((operation, request))
        return await super().call(operation, request)


class Lagging(Wrapped):
    """An index that has stopped following the table: it shows what it was told to show, and that as it was then."""

    def __init__(self, inner: Transport) -> None:
        """Take the transport; the index starts empty."""
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
    return item[PK]["S"], item[SK]["S"]


class Shuffling(Wrapped):
    """A network whose first requests are its slowest, so that a later one would overtake an earlier one."""

    def __init__(self, inner: Transport) -> None:
        """Start with the slowest."""
        super().__init__(inner)
        self.delays_seconds = [0.06, 0.05, 0.04, 0.03, 0.02, 0.01]

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request late."""
        await asyncio.sleep(self.delays_seconds.pop(0) if self.delays_seconds else 0)
        return await super().call(operation, request)


class Gated(Wrapped):
    """Holds requests of one operation back until its gate is opened."""

    def __init__(self, inner: Transport, operation: str, *, after: bool = False) -> None:
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
    """Fails requests, all or those of some operations, with one error."""

    def __init__(self, inner: Transport, error: Exception, *operations: str) -> None:
        """Fail the operations named, or all."""
        super().__init__(inner)
        self.error = error
        self.operations = operations

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request, or fail."""
        if not self.operations or operation in self.operations:
            raise self.error
        return await super().call(operation, request)


class LosingAnswers(Wrapped):
    """Does requests of one operation whose answers get lost: the caller has to try again."""

    def __init__(
        self, inner: Transport, operation: str, sk: str, *, meanwhile: Callable[[], Awaitable[Any]] | None = None
    ) -> None:
        """Lose one answer.

        Args:
            inner: Does the requests.
            operation: Whose answer is lost.
            sk: The sort key of the row it is about.
            meanwhile: What happens after the request, before the caller hears that there is no answer.
        """
        super().__init__(inner)
        self.lost = 0
        self._operation = operation
        self._sk = sk
        self._meanwhile = meanwhile

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request; once, lose its answer."""
        answer = await super().call(operation, request)
        if self.lost or (operation, _sk_of(request)) != (self._operation, self._sk):
            return answer
        self.lost += 1
        if self._meanwhile is not None:
            await self._meanwhile()
        raise TransientError(operation, "Timeout", "the answer is lost")


class ExecutingLate(Wrapped):
    """A service that takes its time: a first attempt seems to be lost, and is executed when it is told to."""

    def __init__(self, inner: Transport, operation: str, sk: str) -> None:
        """Keep one request.

        Args:
            inner: Does the requests.
            operation: Which operation is late.
            sk: The sort key of the row it is about.
        """
        super().__init__(inner)
        self._operation = operation
        self._sk = sk
        self._late: Mapping[str, Any] | None = None

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request; the first one of its kind not yet."""
        if self._late is None and (operation, _sk_of(request)) == (self._operation, self._sk):
            self._late = request
            raise TransientError(operation, "Timeout", "no answer in time")
        return await super().call(operation, request)

    async def execute(self) -> None:
        """Execute the late attempt now; nobody hears of its answer."""
        if self._late is None:
            raise LookupError("there is no late request")
        with suppress(RequestError):
            await super().call(self._operation, self._late)


def _sk_of(request: Mapping[str, Any]) -> str:
    sk: str = (request.get("Key") or request.get("Item") or {}).get(SK, {}).get("S", "")
    return sk


class Meanwhile(Wrapped):
    """Lets something happen right after each answer of one operation, as often as there are things to happen."""

    def __init__(self, inner: Transport, operation: str, *things: Callable[[], Awaitable[Any]]) -> None:
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

    def __init__(self, inner: Transport, last: int, *, after: bool) -> None:
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
