"""The way to the engine: slow, lossy, sometimes closed."""

from __future__ import annotations

import asyncio
import contextvars
import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from chainlit_dynamodb.dynamodb.failures import service_failure, transport_failure
from chainlit_dynamodb.errors import ChainlitDynamoDBError
from chainlit_dynamodb.schema import PK, SK
from chainlit_dynamodb.testing.simulation.engine import Engine, EngineError
from chainlit_dynamodb.testing.simulation.fates import Fate, Fates
from chainlit_dynamodb.testing.simulation.plan import Trouble

ATTEMPT_SECONDS: Final = 10.0
"""After this a sender gives an attempt up."""
LATE_SECONDS: Final = 25.0
"""So much later a given-up attempt may still be done."""
_BATCHES: Final = {"BatchGetItem": "UnprocessedKeys", "BatchWriteItem": "UnprocessedItems"}
_READS: Final = ("GetItem", "BatchGetItem", "Query")
_SERVICE_FAULTS: Final = {
    "throttled": (400, "ProvisionedThroughputExceededException"),
    "server error": (500, "InternalServerError"),
}
_TRANSACTION_CONFLICT: Final = (
    400,
    "TransactionCanceledException",
    [{"Code": "TransactionConflict"}, {"Code": "None"}],
)

Note = Callable[[str, str], None]


class Watch(Protocol):
    """Sees requests."""

    def __call__(self, slot: str, *, is_done: bool) -> None:
        """See a request of a place."""


def _nobody_watches(slot: str, *, is_done: bool) -> None:
    """See nothing."""


class ConnectionLostError(Exception):
    """No answer came."""


class Network:
    """All ways to one engine.

    Attributes:
        is_healed: Nothing goes wrong any more.
        watch: Is told of every request when it is sent, and again when it was done.
    """

    def __init__(self, engine: Engine, fates: Fates, troubles: Sequence[Trouble], note: Note) -> None:
        """Lay the ways.

        Args:
            engine: Where requests go.
            fates: What befalls them.
            troubles: When the ways of a process are closed.
            note: Takes a line of the story: who, and what.
        """
        self.engine = engine
        self.is_healed = False
        self.watch: Watch = _nobody_watches
        self._fates = fates
        self._troubles = [t for t in troubles if t.kind in ("refused", "silent")]
        self._note = note
        self._begun: dict[Trouble, float] = {}

    async def send(self, process: str, slot: str, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request once, for a process.

        Raises:
            ChainlitDynamoDBError: As `Transport` says.
        """
        subject = _subject(operation, request)
        fate = self._fates.draw(f"{slot} {operation} {subject}")
        what = f"{operation} {subject}"
        if self.is_healed:
            fate = Fate(fate.name, None, (0.0,) * len(fate.draws))
        self.watch(slot, is_done=False)
        await asyncio.sleep(self._latency(fate, 1))
        trouble = self._trouble(slot)
        if trouble is not None:
            await self._be_troubled(trouble, process, what)
        elif fate.fault is not None:
            return await self._go_wrong(fate, process, operation, request, what)
        answer = self._do(fate, process, operation, request, what)
        self.watch(slot, is_done=True)
        await asyncio.sleep(self._latency(fate, 2))
        if isinstance(answer, ChainlitDynamoDBError):
            raise answer
        return answer

    async def _be_troubled(self, trouble: Trouble, process: str, what: str) -> None:
        self._note(process, f"  {what}: {trouble.kind}")
        if trouble.kind == "silent":
            await asyncio.sleep(ATTEMPT_SECONDS)
        raise transport_failure(what.partition(" ")[0], ConnectionLostError())

    async def _go_wrong(
        self, fate: Fate, process: str, operation: str, request: Mapping[str, Any], what: str
    ) -> dict[str, Any]:
        self._note(process, f"  {what}: {fate.fault}")
        if fate.fault in _SERVICE_FAULTS:
            status, code = _SERVICE_FAULTS[fate.fault]
            raise _refusal(operation, self.engine.table_name, status, code)
        if fate.fault == "lost answer":
            self._do(fate, process, operation, request, what)
            await asyncio.sleep(fate.between(3, 0.01, ATTEMPT_SECONDS))
        elif fate.fault == "late" and operation not in _READS:
            self._do_late(fate, process, operation, request, what)
            await asyncio.sleep(fate.between(3, 0.05, ATTEMPT_SECONDS))
        raise transport_failure(operation, ConnectionLostError())

    def _do_late(self, fate: Fate, process: str, operation: str, request: Mapping[str, Any], what: str) -> None:
        after = fate.between(3, 0.05, ATTEMPT_SECONDS) + fate.between(4, 0.0, LATE_SECONDS)
        kept, nobody = copy.deepcopy(dict(request)), contextvars.Context()
        loop = asyncio.get_running_loop()
        done = (fate, f"{process} (late)", operation, kept, what)
        loop.call_later(after, self._do, *done, context=nobody)

    def _do(
        self, fate: Fate, process: str, operation: str, request: Mapping[str, Any], what: str
    ) -> dict[str, Any] | ChainlitDynamoDBError:
        stale = fate.between(5, 0.0, 20.0) if self._strikes(fate, 6, "stale read") else 0.0
        left: dict[str, Any] = {}
        if operation in _BATCHES and self._strikes(fate, 5, "partial batch"):
            request, left = _halved(operation, request)
        try:
            answer = self.engine.execute(operation, request, stale_seconds=stale)
        except EngineError as exc:
            self._note(process, f"  {what}: {exc.code}")
            return service_failure(operation, self.engine.table_name, 400, exc.body.encode())
        self._note(process, f"  {what}")
        return {**answer, **left} if left else answer

    def _strikes(self, fate: Fate, number: int, kind: str) -> bool:
        return not self.is_healed and self._fates.strikes(fate, number, kind)

    def _latency(self, fate: Fate, number: int) -> float:
        if self._strikes(fate, 7, "slow"):
            return fate.between(number, 0.1, ATTEMPT_SECONDS / 2)
        return 0.001 + 0.03 * fate.draws[number] ** 2

    def _trouble(self, slot: str) -> Trouble | None:
        if self.is_healed:
            return None
        now = asyncio.get_running_loop().time()
        for trouble in self._troubles:
            begun = self._begun.get(trouble) if trouble.on else trouble.at
            if trouble.slot in ("", slot) and begun is not None and begun <= now < begun + trouble.seconds:
                return trouble
        return None

    def begin(self, slot: str, method: str) -> None:
        """Note that a method of a layer is called, which may be the moment of a trouble."""
        now = asyncio.get_running_loop().time()
        for trouble in self._troubles:
            if trouble.on == method and trouble.slot in ("", slot) and trouble.at <= now:
                self._begun.setdefault(trouble, now)


class SimulatedTransport:
    """The transport of one process."""

    def __init__(self, network: Network, process: str, slot: str) -> None:
        """Take the way.

        Args:
            network: Where requests go.
            process: Whose they are.
            slot: The place of the process, which outlives it.
        """
        self._network = network
        self._process = process
        self._slot = slot

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request once."""
        return await self._network.send(self._process, self._slot, operation, request)

    async def close(self) -> None:
        """Do nothing: nothing is opened."""


def _refusal(operation: str, table_name: str, status: int, code: str) -> ChainlitDynamoDBError:
    if operation == "TransactWriteItems" and status == 400:
        status, code, reasons = _TRANSACTION_CONFLICT
        body = EngineError(code, "cancelled", CancellationReasons=reasons).body
        return service_failure(operation, table_name, status, body.encode())
    return service_failure(operation, table_name, status, EngineError(code, "").body.encode())


def _halved(operation: str, request: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the request that is done, and what is answered of the rest."""
    ((table, asked),) = request["RequestItems"].items()
    entries = asked["Keys"] if operation == "BatchGetItem" else asked
    if len(entries) < 2:
        return dict(request), {}
    kept, rest = entries[: len(entries) // 2], entries[len(entries) // 2 :]
    if operation == "BatchGetItem":
        return {"RequestItems": {table: {**asked, "Keys": kept}}}, {
            "UnprocessedKeys": {table: {**asked, "Keys": rest}}
        }
    return {"RequestItems": {table: kept}}, {"UnprocessedItems": {table: rest}}


def _subject(operation: str, request: Mapping[str, Any]) -> str:
    """Return what a request is about, without what is drawn anew each time, as the names of parts."""
    if operation == "BatchGetItem":
        ((_, asked),) = request["RequestItems"].items()
        return _place(asked["Keys"][0]) + f" and {len(asked['Keys']) - 1} more"
    if operation == "BatchWriteItem":
        ((_, writes),) = request["RequestItems"].items()
        write = writes[0]
        return _place(write.get("DeleteRequest", {}).get("Key") or write["PutRequest"]["Item"])
    if operation == "TransactWriteItems":
        (part,) = request["TransactItems"][0].values()
        return _place(part["Key"])
    if operation == "Query":
        return str(next(iter(request["ExpressionAttributeValues"].values())).get("S"))
    return _place(request.get("Key") or request["Item"])


def _place(key: Mapping[str, Any]) -> str:
    pk, sk = key[PK]["S"], key[SK]["S"]
    owner, joint, _ = sk.partition("\x1f")
    return f"{pk} {owner}{'~part' if joint else ''}"
