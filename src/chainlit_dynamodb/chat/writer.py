"""The ordered write path.

Chainlit starts writes as tasks that nobody awaits, so they overlap. Here every item key has a lane: writes of one key
happen one after the other, and those that arrive while one is under way merge into one, if the same person asks for
them: each person's are allowed or refused by themselves. Each caller is answered when its data is stored. What begins
something that ends soon may be held for a moment, so that both are one write. Memory is bounded: at the bound the
newest changes wait in a temporary file, in order, and merge there.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Generic, NamedTuple, TypeVar

from chainlit_dynamodb.chat.changes import Change
from chainlit_dynamodb.chat.errands import Errands
from chainlit_dynamodb.chat.owners import Asker
from chainlit_dynamodb.chat.spill import Place, Spill
from chainlit_dynamodb.errors import BacklogFullError, ChainlitDynamoDBError
from chainlit_dynamodb.schema import Key
from chainlit_dynamodb.unheard import leave_unheard

logger = logging.getLogger("chainlit.DynamoDB")

C = TypeVar("C", bound=Change)

MAX_PENDING_BYTES: Final = 64 * 1024 * 1024
_CANCEL_SECONDS: Final = 0.5
HOLD_SECONDS: Final = 1.0
"""The longest that a change is held for the one that follows it."""
FLUSH_SECONDS: Final = 5.0
"""Readers wait so long for writes that are under way. In an outage their own read then waits, and fails."""


Apply = Callable[[Key, C], Awaitable[bool]]
"""Does a change to the row of a key and returns whether it was made. Retries are done inside; an error is final."""


class Backlog(NamedTuple):
    """What is not stored yet.

    Attributes:
        rows: Rows that are being written or wait to be.
        changes: Changes to them, those that wait on disk included.
        size_bytes: Memory that changes within the bound hold, roughly.
    """

    rows: int
    changes: int
    size_bytes: int


@dataclass
class _Entry(Generic[C]):
    change: C
    apply: Apply[C]
    done: asyncio.Future[bool]


@dataclass
class _Overflow:
    """A change that has no room in memory."""

    place: Place
    asker: Asker | None
    size_bytes: int
    apply: Apply[Any]
    done: asyncio.Future[bool]


@dataclass(eq=False)
class _Operation:
    """More than one write; `change` is the one it waits for, or has waited for last."""

    done: asyncio.Future[bool]
    change: asyncio.Future[bool] | None = None

    def is_beside_the_lanes(self) -> bool:
        return self.change is None or self.change.done()


_operation: Final[ContextVar[_Operation | None]] = ContextVar("operation", default=None)


@dataclass
class _Lane:
    """The changes of one row; of those that wait, neighbours are different people's."""

    current: _Entry[Any] | None = None
    waiting: deque[_Entry[Any]] = field(default_factory=deque)
    hold: asyncio.TimerHandle | None = None
    """While the only change is held: what ends this."""

    def entries(self) -> list[_Entry[Any]]:
        return [*([] if self.current is None else [self.current]), *self.waiting]

    def joinable(self, change: Change) -> _Entry[Any] | None:
        """Return what waits last, if the same person asks for it."""
        return self.waiting[-1] if self.waiting and self.waiting[-1].change.asker == change.asker else None


class Writer:
    """Applies changes, in order per key, concurrently across keys.

    Attributes:
        errands: Changes beside the lanes; they count as one each.
    """

    def __init__(self, *, max_pending_bytes: int = MAX_PENDING_BYTES) -> None:
        """Start empty, bound to no event loop.

        Args:
            max_pending_bytes: How much may wait in memory; what is more waits on disk.
        """
        self.errands = Errands()
        self._max_pending_bytes = max_pending_bytes
        self._pending_bytes = 0
        self._partitions: dict[str, dict[str, _Lane]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._operations: set[_Operation] = set()
        self._overflow: dict[Key, list[_Overflow]] = {}
        self._spill = Spill()
        self._may_hold = True

    @property
    def backlog(self) -> Backlog:
        """What is not stored yet."""
        lanes = [lane for lanes in self._partitions.values() for lane in lanes.values()]
        changes = sum(len(lane.entries()) for lane in lanes) + len(self._outside())
        beside = len(self.errands.tasks)
        return Backlog(len(lanes) + beside, changes + beside, self._pending_bytes)

    async def write(self, key: Key, change: C, apply: Apply[C]) -> bool:
        """Apply a change after all earlier ones of the same key; return, when that is done, whether it was made.

        Args:
            key: The row.
            change: What is to happen to it; while it waits, later ones of the row by the same person merge into it.
            apply: How it happens, the same for all changes of a row.

        Raises:
            ChainlitDynamoDBError: It was refused for good; this is logged with the key.
        """
        return await outcome(self.enter(key, change, apply))

    def enter(self, key: Key, change: C, apply: Apply[C], *, is_held: bool = False) -> asyncio.Future[bool]:
        """Take a change over, and return what tells its caller the outcome, as `write` does.

        A caller that awaits only this holds no memory of what it wrote.

        Args:
            key: The row.
            change: What is to happen to it.
            apply: How it happens.
            is_held: Wait up to `HOLD_SECONDS` for the next change of the row, a reader of its partition, or the end.
        """
        if (outside := self._overflow.get(key)) is not None:
            return self._join_outside(key, outside, change, apply)
        lane = self._partitions.get(key.pk, {}).get(key.sk)
        if (lane and lane.joinable(change)) or (not self._overflow and self._fits(change.size_bytes)):
            return self._enqueue(key, change, apply, is_held=is_held and self._may_hold).done
        return self._put_outside(key, change, apply)

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Make `drain` wait for the end of the block, which does more than one write."""
        outer, operation = _operation.get(), _Operation(_future())
        self._operations.add(operation)
        _operation.set(operation)
        try:
            yield
        finally:
            _operation.set(outer)
            self._operations.discard(operation)
            _answer(operation.done, True)

    async def flush(self, pk: str, *, timeout_seconds: float = FLUSH_SECONDS) -> None:
        """Wait until the changes that are now pending in a partition are done, or the time is over."""
        self._end_holds(*(Key(pk, sk) for sk in self._partitions.get(pk, ())))
        pending = [entry.done for lane in self._partitions.get(pk, {}).values() for entry in lane.entries()]
        pending += [change.done for key, outside in self._overflow.items() if key.pk == pk for change in outside]
        if pending:
            await asyncio.wait(pending, timeout=timeout_seconds)

    async def settle(self, *keys: Key) -> None:
        """Wait, however long it takes, until what is now pending for some rows is done, or has failed."""
        self._end_holds(*keys)
        lanes = [lane for key in keys if (lane := self._partitions.get(key.pk, {}).get(key.sk))]
        pending = [entry.done for lane in lanes for entry in lane.entries()]
        pending += [change.done for key in keys for change in self._overflow.get(key, ())]
        if pending:
            await asyncio.wait(pending)

    async def discard(self, pk: str) -> None:
        """Drop what waits in a partition, answering its callers, and let finish what is under way."""
        for key in [key for key in self._overflow if key.pk == pk]:
            for change in self._overflow.pop(key):
                self._spill.drop(change.place)
                _answer(change.done, False)
        for sk, lane in list(self._partitions.get(pk, {}).items()):
            self._give_up(lane, False)
            if lane.hold is not None:
                self._remove(Key(pk, sk), lane)
        await self.flush(pk)

    async def drain(self, timeout_seconds: float) -> int:
        """Wait for everything pending, also for what is begun meanwhile, then give up the rest.

        Returns:
            How many changes could not be written. An operation counts as one, unless it waits for one that counts.
        """
        self._may_hold = False
        self._end_holds(*(Key(pk, sk) for pk, lanes in self._partitions.items() for sk in lanes))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while (begun := self._begun()) and (seconds_left := deadline - loop.time()) > 0:
            await asyncio.wait(begun, timeout=seconds_left)
        lost = self.backlog.changes + sum(operation.is_beside_the_lanes() for operation in self._operations)
        for outside in self._outside():
            outside.done.cancel()
        self._overflow.clear()
        self._spill.clear()
        unfinished = {*self._tasks, *self.errands.tasks}
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished, timeout=_CANCEL_SECONDS)
        return lost

    def _begun(self) -> set[asyncio.Future[Any]]:
        return {*self._tasks, *self.errands.tasks, *(operation.done for operation in self._operations)}

    def _outside(self) -> list[_Overflow]:
        return [change for outside in self._overflow.values() for change in outside]

    def _join_outside(self, key: Key, outside: list[_Overflow], change: C, apply: Apply[C]) -> asyncio.Future[bool]:
        last = outside[-1]
        if last.asker != change.asker:
            return self._put_outside(key, change, apply)
        waiting = self._spill.take(last.place)
        merged = waiting.then(change)
        try:
            last.place, last.size_bytes = self._spill.put(merged), merged.size_bytes
        except OSError as exc:
            last.place = self._spill.put(waiting)  # in the room that it had
            return _lost(key, exc)
        return last.done

    def _put_outside(self, key: Key, change: C, apply: Apply[C]) -> asyncio.Future[bool]:
        try:
            outside = _Overflow(self._spill.put(change), change.asker, change.size_bytes, apply, _future())
        except OSError as exc:
            return _lost(key, exc)
        self._overflow.setdefault(key, []).append(outside)
        return outside.done

    def _let_in(self) -> None:
        while self._overflow:
            key, outside = next(iter(self._overflow.items()))
            if not self._fits(outside[0].size_bytes):
                return
            first = outside.pop(0)
            if not outside:
                del self._overflow[key]
            entry = self._enqueue(key, self._spill.take(first.place), first.apply)
            entry.done.add_done_callback(partial(_pass_on, first.done))
        self._spill.clear()

    def _fits(self, size_bytes: int) -> bool:
        return self._pending_bytes == 0 or self._pending_bytes + size_bytes <= self._max_pending_bytes

    def _enqueue(self, key: Key, change: C, apply: Apply[C], *, is_held: bool = False) -> _Entry[C]:
        lane = self._partitions.setdefault(key.pk, {}).setdefault(key.sk, _Lane())
        entry = lane.joinable(change)
        if entry is not None:
            self._pending_bytes -= entry.change.size_bytes
            entry.change = entry.change.then(change)
            self._pending_bytes += entry.change.size_bytes
        else:
            entry = _Entry(change, apply, _future())
            self._pending_bytes += change.size_bytes
            lane.waiting.append(entry)
        if lane.current is None and not is_held:
            self._start(key, lane)
        elif lane.current is None and lane.hold is None:
            lane.hold = asyncio.get_running_loop().call_later(HOLD_SECONDS, self._start, key, lane)
        return entry

    def _end_holds(self, *keys: Key) -> None:
        for key in keys:
            lane = self._partitions.get(key.pk, {}).get(key.sk)
            if lane is not None and lane.hold is not None:
                self._start(key, lane)

    def _start(self, key: Key, lane: _Lane) -> None:
        _end_hold(lane)
        lane.current = lane.waiting.popleft()
        task = asyncio.create_task(self._run(key, lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, key: Key, lane: _Lane) -> None:
        try:
            while lane.current is not None:
                await self._apply(key, lane.current)
                lane.current = lane.waiting.popleft() if lane.waiting else None
        finally:
            self._remove(key, lane)

    async def _apply(self, key: Key, entry: _Entry[Any]) -> None:
        try:
            was_made = await entry.apply(key, entry.change)
        except ChainlitDynamoDBError as exc:
            logger.error("Not stored: %s %s: %s", key.pk, key.sk, exc)
            exc.is_logged = True
            self._finish(entry, exc)
        except asyncio.CancelledError as exc:
            self._finish(entry, exc)
            raise
        except Exception as exc:  # noqa: BLE001 - a bug; its caller gets it, and the lane goes on
            logger.error("Not stored: %s %s: %s", key.pk, key.sk, type(exc).__name__)
            self._finish(entry, exc)
        else:
            self._finish(entry, was_made)

    def _finish(self, entry: _Entry[Any], answer: bool | BaseException) -> None:
        self._pending_bytes -= entry.change.size_bytes
        _answer(entry.done, answer)
        self._let_in()

    def _remove(self, key: Key, lane: _Lane) -> None:
        _end_hold(lane)
        lanes = self._partitions.get(key.pk, {})
        if lanes.get(key.sk) is lane:
            del lanes[key.sk]
        if not lanes:
            self._partitions.pop(key.pk, None)
        self._give_up(lane, asyncio.CancelledError())  # none waits but where the task was cancelled

    def _give_up(self, lane: _Lane, answer: bool | BaseException) -> None:
        while lane.waiting:
            self._finish(lane.waiting.popleft(), answer)


async def outcome(taken: asyncio.Future[bool] | None) -> bool:
    """Wait for a change that `Writer.enter` has taken over; `None` if there was nothing to do.

    Returns:
        Whether it was made: not where who asks may not, or what is to change is deleted.

    Raises:
        ChainlitDynamoDBError: It was refused for good.
    """
    if taken is None:
        return False
    if (operation := _operation.get()) is not None:
        operation.change = taken
    return await asyncio.shield(taken)


def _end_hold(lane: _Lane) -> None:
    if lane.hold is not None:
        lane.hold.cancel()
        lane.hold = None


def _lost(key: Key, cause: OSError) -> asyncio.Future[bool]:
    logger.error("Lost: %s %s: no room in memory, nor on disk: %s", key.pk, key.sk, type(cause).__name__)
    lost = _future()
    _answer(lost, BacklogFullError("A write was lost: there is no room for it in memory, nor on disk."))
    return lost


def _future() -> asyncio.Future[bool]:
    future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    future.add_done_callback(leave_unheard)
    return future


def _answer(done: asyncio.Future[bool], answer: bool | BaseException) -> None:
    if done.done():
        return
    if isinstance(answer, bool):
        done.set_result(answer)
    elif isinstance(answer, asyncio.CancelledError):
        done.cancel()
    else:
        done.set_exception(answer)


def _pass_on(done: asyncio.Future[bool], source: asyncio.Future[bool]) -> None:
    _answer(done, asyncio.CancelledError() if source.cancelled() else source.exception() or source.result())
