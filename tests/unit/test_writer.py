"""Writes of one key happen in order, merge while they wait, and answer whoever asked for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from chainlit_dynamodb.chat.schema import Key, step_key
from chainlit_dynamodb.chat.writer import Writer, weight_bytes
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


@pytest.fixture
def world() -> World:
    """A fresh world."""
    return World()


@pytest.fixture
def writer() -> Writer:
    """A fresh writer."""
    return Writer()


@pytest.fixture
def start(world: World, writer: Writer) -> Callable[..., asyncio.Task[None]]:
    """Begin a write as Chainlit does: a task nobody awaits."""

    def begin(name: str, key: Key = A, size_bytes: int = 1, to: Writer | None = None) -> asyncio.Task[None]:
        return asyncio.create_task((to or writer).write(key, world.change(name, size_bytes)), name=name)

    return begin


Start = Callable[..., "asyncio.Task[None]"]


async def answers(*tasks: asyncio.Task[None]) -> list[Any]:
    """Give what each caller got: `None`, or the error."""
    return list(await asyncio.gather(*tasks, return_exceptions=True))


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_write_is_stored_when_it_returns(world: World, writer: Writer) -> None:
    await writer.write(A, world.change("one"))
    assert world.written == ["one"]


async def test_writes_that_wait_for_one_key_become_one(world: World, start: Start) -> None:
    gate = world.gate("1")
    tasks = [start(str(number)) for number in range(1, 51)]
    await settle()
    gate.set()
    await asyncio.gather(*tasks)
    assert world.written == ["1", "+".join(str(number) for number in range(2, 51))]


async def test_merged_callers_are_all_answered_and_only_when_their_data_is_stored(world: World, start: Start) -> None:
    first, second = world.gate("1"), world.gate("2+3")
    tasks = [start("1"), start("2"), start("3")]
    await settle()
    first.set()
    await settle()
    assert [task.done() for task in tasks] == [True, False, False]
    second.set()
    await asyncio.gather(*tasks)
    assert world.written == ["1", "2+3"]


async def test_keys_do_not_wait_for_each_other(world: World, start: Start) -> None:
    gate = world.gate("slow")
    slow = start("slow", A)
    await asyncio.gather(start("fast", B), start("elsewhere", OTHER_THREAD))
    assert world.written == ["fast", "elsewhere"]
    gate.set()
    await slow


async def test_hundreds_of_keys_are_written_side_by_side(world: World, start: Start) -> None:
    gates = [world.gate(str(number)) for number in range(300)]
    tasks = [start(str(number), step_key("t", str(number))) for number in range(300)]
    await settle()
    assert world.most_under_way == 300
    for gate in gates:
        gate.set()
    await asyncio.gather(*tasks)


async def test_nothing_is_kept_of_what_is_done(world: World, writer: Writer, start: Start) -> None:
    world.failures["bad"] = REFUSAL
    await asyncio.gather(start("one"), start("two"), start("bad", B), return_exceptions=True)
    await settle()
    assert (writer._partitions, writer._tasks, writer._pending_bytes) == ({}, set(), 0)


async def test_a_refusal_reaches_those_it_concerns_and_nobody_else(world: World, start: Start) -> None:
    world.failures["2+3"] = REFUSAL
    gate, second = world.gate("1"), world.gate("2+3")
    before = [start("1"), start("2"), start("3"), start("other", B)]
    await settle()
    gate.set()
    await settle()
    after = start("4")
    await settle()
    second.set()
    assert await answers(*before, after) == [None, REFUSAL, REFUSAL, None, None]
    assert world.written == ["other", "1", "4"]


async def test_a_refusal_is_logged_once_with_the_key_even_if_nobody_listens(
    world: World, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    world.failures["bad"] = REFUSAL
    await asyncio.gather(start("bad"), return_exceptions=True)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "THREAD#t STEP#a" in record.getMessage()


async def test_a_bug_in_a_change_reaches_its_caller_and_the_lane_goes_on(
    world: World, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    world.failures["bug"] = ZeroDivisionError("what the user wrote")
    gate = world.gate("bug")
    tasks = [start("bug"), start("next")]
    await settle()
    gate.set()
    bug, following = await answers(*tasks)
    assert isinstance(bug, ZeroDivisionError)
    assert following is None
    assert await answers(start("later")) == [None]
    assert world.written == ["next", "later"]
    assert "ZeroDivisionError" in caplog.text
    assert "what the user wrote" not in caplog.text


async def test_a_caller_that_is_cancelled_does_not_cancel_the_write(world: World, start: Start) -> None:
    gate = world.gate("1")
    tasks = [start("1"), start("2"), start("3")]
    await settle()
    tasks[0].cancel()
    tasks[1].cancel()
    await settle()
    gate.set()
    await tasks[2]
    assert [task.cancelled() for task in tasks] == [True, True, False]
    assert world.written == ["1", "2+3"]


async def test_flushing_waits_for_one_partition(world: World, writer: Writer, start: Start) -> None:
    gates = [world.gate("1"), world.gate("elsewhere")]
    tasks = [start("1"), start("2"), start("elsewhere", OTHER_THREAD)]
    await settle()
    flushed = asyncio.create_task(writer.flush(A.pk))
    await settle()
    assert not flushed.done()
    gates[0].set()
    await flushed
    assert world.written == ["1", "2"]
    gates[1].set()
    await asyncio.gather(*tasks)


async def test_flushing_does_not_wait_for_ever_nor_for_nothing(world: World, writer: Writer, start: Start) -> None:
    await writer.flush("THREAD#nobody")
    gate = world.gate("1")
    task = start("1")
    await settle()
    await writer.flush(A.pk, timeout_seconds=0.01)
    assert world.written == []
    gate.set()
    await task


async def test_flushing_hears_no_errors(world: World, writer: Writer, start: Start) -> None:
    world.failures["1"] = REFUSAL
    task = start("1")
    await settle()
    await writer.flush(A.pk)
    assert await answers(task) == [REFUSAL]


async def test_discarding_drops_what_waits_and_finishes_what_is_under_way(
    world: World, writer: Writer, start: Start
) -> None:
    gate = world.gate("1")
    tasks = [start("1"), start("2"), start("kept", OTHER_THREAD)]
    await settle()
    discarded = asyncio.create_task(writer.discard(A.pk))
    await settle()
    assert tasks[1].done()
    assert not discarded.done()
    gate.set()
    await asyncio.gather(discarded, *tasks)
    assert world.written == ["kept", "1"]
    await start("3")
    assert world.written[-1] == "3"


async def test_draining_waits_for_everything(world: World, writer: Writer, start: Start) -> None:
    tasks = [start(str(number), step_key("t", str(number % 7))) for number in range(30)]
    await asyncio.sleep(0)
    assert await writer.drain(5) == 0
    assert sum(name.count("+") + 1 for name in world.written) == 30
    await asyncio.gather(*tasks)


async def test_draining_waits_for_what_begins_meanwhile(world: World, writer: Writer, start: Start) -> None:
    gate = world.gate("1")
    first = start("1")
    await settle()
    drained = asyncio.create_task(writer.drain(5))
    await settle()
    late_gate = world.gate("late")
    late = start("late", B)
    await settle()
    gate.set()
    await settle()
    assert not drained.done()
    late_gate.set()
    assert await drained == 0
    assert world.written == ["1", "late"]
    await asyncio.gather(first, late)


async def test_draining_gives_up_and_says_how_much_is_lost(world: World, writer: Writer, start: Start) -> None:
    for name in ("1", "elsewhere"):
        world.gate(name)
    tasks = [start("1"), start("2"), start("3"), start("elsewhere", OTHER_THREAD), start("fine", B)]
    await settle()
    assert await writer.drain(0.02) == 3
    assert world.written == ["fine"]
    assert [type(answer) for answer in await answers(*tasks)] == [asyncio.CancelledError] * 4 + [type(None)]
    assert (writer._partitions, writer._tasks, writer._pending_bytes) == ({}, set(), 0)


async def test_draining_counts_those_who_wait_for_room_and_they_write_no_more(world: World, start: Start) -> None:
    writer = Writer(max_pending_bytes=10)
    world.gate("1")
    tasks = [start("1", A, 10, writer), start("2", B, 10, writer), start("3", B, 10, writer)]
    await settle()
    assert await writer.drain(0.02) == 3
    await settle()
    assert world.written == []
    assert {type(answer) for answer in await answers(*tasks)} == {asyncio.CancelledError}


async def test_draining_lets_those_in_who_wait_for_room(world: World, start: Start) -> None:
    writer = Writer(max_pending_bytes=10)
    gate = world.gate("1")
    tasks = [start("1", A, 10, writer), start("2", B, 10, writer), start("3", OTHER_THREAD, 10, writer)]
    await settle()
    drained = asyncio.create_task(writer.drain(5))
    await settle()
    gate.set()
    assert await drained == 0
    assert world.written == ["1", "2", "3"]
    await asyncio.gather(*tasks)


async def test_draining_twice_is_fine_and_writing_goes_on_afterwards(world: World, writer: Writer) -> None:
    assert await writer.drain(1) == 0
    assert await writer.drain(1) == 0
    await writer.write(A, world.change("after"))
    assert world.written == ["after"]


async def test_what_waits_is_bounded(world: World, start: Start) -> None:
    writer = Writer(max_pending_bytes=100)
    gates = [world.gate(str(number)) for number in range(20)]
    tasks = [start(str(number), step_key("t", str(number)), 30, writer) for number in range(20)]
    await settle()
    assert writer._pending_bytes == 90
    for gate in gates:
        gate.set()
        await settle()
        assert writer._pending_bytes <= 100
    await asyncio.gather(*tasks)
    assert world.most_under_way == 3


async def test_one_change_larger_than_the_bound_is_let_in_alone(world: World, start: Start) -> None:
    writer = Writer(max_pending_bytes=100)
    gate = world.gate("huge")
    huge, small = start("huge", A, 1_000, writer), start("small", B, 1, writer)
    await settle()
    assert world.written == []
    gate.set()
    await asyncio.gather(huge, small)
    assert world.written == ["huge", "small"]


async def test_those_who_wait_for_room_are_let_in_as_they_came(world: World, start: Start) -> None:
    writer = Writer(max_pending_bytes=10)
    gate = world.gate("0")
    tasks = [start("0", step_key("t", "0"), 10, writer)]
    tasks += [start(str(n), step_key("t", str(n)), 10 if n % 2 else 1, writer) for n in range(1, 12)]
    await settle()
    gate.set()
    await asyncio.gather(*tasks)
    assert world.written == [str(n) for n in range(12)]


async def test_the_order_of_one_key_survives_a_full_memory(world: World) -> None:
    for spread in range(6):
        writer, written = Writer(max_pending_bytes=10), World()
        gate = written.gate("full")
        tasks = [asyncio.create_task(writer.write(B, written.change("full", 10)))]
        await settle()

        async def late(writer: Writer = writer, written: World = written, turns: int = spread) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await writer.write(A, written.change("3"))

        tasks += [asyncio.create_task(writer.write(A, written.change(name))) for name in ("1", "2")]
        await settle()
        gate.set()
        tasks.append(asyncio.create_task(late()))
        await asyncio.gather(*tasks)
        names = "+".join(written.written[1:]).split("+")
        assert names == ["1", "2", "3"]


async def test_a_caller_cancelled_while_waiting_for_room_is_written_all_the_same(world: World, start: Start) -> None:
    writer = Writer(max_pending_bytes=10)
    gate = world.gate("1")
    tasks = [start("1", A, 10, writer), start("2", B, 10, writer), start("3", OTHER_THREAD, 10, writer)]
    await settle()
    tasks[1].cancel()
    await settle()
    gate.set()
    await asyncio.gather(tasks[0], tasks[2])
    assert world.written == ["1", "2", "3"]


async def test_a_refusal_reaches_those_who_waited_for_room(world: World, start: Start) -> None:
    writer = Writer(max_pending_bytes=10)
    world.failures["2"] = REFUSAL
    gate = world.gate("1")
    tasks = [start("1", A, 10, writer), start("2", B, 5, writer), start("3", B, 5, writer)]
    await settle()
    gate.set()
    assert await answers(*tasks) == [None, REFUSAL, None]


async def test_flushing_waits_for_those_who_wait_for_room(world: World, start: Start) -> None:
    writer = Writer(max_pending_bytes=10)
    gate = world.gate("1")
    tasks = [start("1", OTHER_THREAD, 10, writer), start("2", B, 10, writer)]
    await settle()
    flushed = asyncio.create_task(writer.flush(B.pk))
    await settle()
    assert not flushed.done()
    gate.set()
    await flushed
    assert world.written == ["1", "2"]
    await asyncio.gather(*tasks)


async def test_discarding_drops_those_who_wait_for_room(world: World, start: Start) -> None:
    writer = Writer(max_pending_bytes=10)
    gate = world.gate("1")
    tasks = [start("1", OTHER_THREAD, 10, writer), start("2", B, 10, writer), start("3", OTHER_THREAD, 10, writer)]
    await settle()
    await writer.discard(B.pk)
    assert await answers(tasks[1]) == [None]
    gate.set()
    await asyncio.gather(*tasks)
    assert world.written == ["1", "3"]


async def test_discarding_makes_room_for_writes_of_the_same_key(world: World, start: Start) -> None:
    writer = Writer(max_pending_bytes=10)
    gate = world.gate("1")
    tasks = [start("1", A, 2, writer), start("2", A, 8, writer), start("3", OTHER_THREAD, 5, writer)]
    await settle()
    discarded = asyncio.create_task(writer.discard(A.pk))
    await settle()
    assert world.written == ["3"]
    gate.set()
    await asyncio.gather(discarded, *tasks)
    assert world.written == ["3", "1"]


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "x" * 1_000, b"x" * 1_000, ["x"] * 9, {"a": {"b": [1]}}])
def test_every_plain_value_has_a_weight(value: Any) -> None:
    assert weight_bytes(value) >= 32


def test_weight_grows_with_content() -> None:
    assert weight_bytes({"a": ["x" * 10_000]}) > 10_000
