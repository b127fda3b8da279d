"""What waits to be written is bounded, let in as it came, and drained or given up at the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chainlit_dynamodb.chat.spill import Spill
from chainlit_dynamodb.chat.writer import Backlog, Writer
from chainlit_dynamodb.errors import BacklogFullError
from chainlit_dynamodb.schema import step_key
from tests.unit.writing import OTHER_THREAD, REFUSAL, A, B, Change, Start, World, answers, settle


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
    assert [type(answer) for answer in await answers(*tasks)] == [asyncio.CancelledError] * 4 + [bool]
    assert writer.backlog == Backlog(rows=0, changes=0, size_bytes=0)


async def test_draining_counts_what_is_lost_once(world: World, writer: Writer, start: Start) -> None:
    async def operation(*names: str) -> None:
        with writer.operation():
            for name in names:
                await writer.write(step_key("t", name), Change(name), world.apply)
            await asyncio.Event().wait()

    world.gate("waits")
    world.gate("alone")
    tasks: list[asyncio.Task[Any]] = [start("alone", B)]
    tasks += [asyncio.create_task(operation(*names)) for names in ((), ("fine",), ("waits",))]
    await settle()
    assert await writer.drain(0.02) == 4
    for task in tasks:
        task.cancel()
    await answers(*tasks)


async def test_draining_counts_those_who_wait_for_room_and_they_write_no_more(world: World, start: Start) -> None:
    writer = Writer(max_pending_bytes=10)
    world.gate("1")
    tasks = [start("1", A, 10, writer), start("2", B, 10, writer), start("3", OTHER_THREAD, 10, writer)]
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
    await writer.write(A, Change("after"), world.apply)
    assert world.written == ["after"]


async def test_what_waits_is_bounded(world: World, start: Start) -> None:
    writer = Writer(max_pending_bytes=100)
    gates = [world.gate(str(number)) for number in range(20)]
    tasks = [start(str(number), step_key("t", str(number)), 30, writer) for number in range(20)]
    await settle()
    assert writer.backlog.size_bytes == 90
    for gate in gates:
        gate.set()
        await settle()
        assert writer.backlog.size_bytes <= 100
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
        tasks = [asyncio.create_task(writer.write(B, Change("full", 10), written.apply))]
        await settle()

        async def late(writer: Writer = writer, written: World = written, turns: int = spread) -> bool:
            for _ in range(turns):
                await asyncio.sleep(0)
            return await writer.write(A, Change("3"), written.apply)

        tasks += [asyncio.create_task(writer.write(A, Change(name), written.apply)) for name in ("1", "2")]
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
    tasks = [start("1", A, 10, writer), start("2", B, 5, writer), start("3", OTHER_THREAD, 5, writer)]
    await settle()
    gate.set()
    assert await answers(*tasks) == [True, REFUSAL, True]


async def test_changes_of_one_row_merge_also_where_there_is_no_room(world: World, start: Start) -> None:
    writer = Writer(max_pending_bytes=10)
    gate = world.gate("full")
    tasks = [start("full", A, 10, writer)]
    tasks += [start(str(number), B, 10, writer) for number in range(5)]
    await settle()
    assert writer.backlog == Backlog(rows=1, changes=2, size_bytes=10)
    gate.set()
    await asyncio.gather(*tasks)
    assert world.written == ["full", "0+1+2+3+4"]


async def test_what_merges_with_what_waits_needs_no_room(world: World, start: Start) -> None:
    writer = Writer(max_pending_bytes=10)
    gate = world.gate("1")
    tasks = [start("1", A, 5, writer), start("2", A, 5, writer), start("3", A, 5, writer)]
    await settle()
    assert writer.backlog == Backlog(rows=1, changes=2, size_bytes=10)
    gate.set()
    await asyncio.gather(*tasks)
    assert world.written == ["1", "2+3"]


async def test_a_full_disk_costs_the_write_and_says_so(
    world: World, start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError("no space left")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    writer = Writer(max_pending_bytes=10)
    gate = world.gate("1")
    tasks = [start("1", A, 10, writer), start("2", B, 10, writer)]
    await settle()
    gate.set()
    kept, lost = await answers(*tasks)
    assert (kept, type(lost)) == (True, BacklogFullError)
    assert "Lost: THREAD#t STEP#b" in caplog.text


async def test_a_full_disk_leaves_what_is_on_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, gate, put = Writer(max_pending_bytes=10), world.gate("1"), Spill.put

    def full(spill: Spill, change: Change) -> Any:
        if change.size_bytes > 20:
            raise OSError("full")
        return put(spill, change)

    monkeypatch.setattr(Spill, "put", full)
    taken = [writer.enter(A, Change(name, size_bytes), world.apply) for name, size_bytes in [("1", 10), ("2", 10)]]
    lost = writer.enter(A, Change("3", 30), world.apply)
    await settle()
    gate.set()
    await asyncio.gather(*taken)
    assert isinstance(lost.exception(), BacklogFullError)
    assert (world.written, writer.backlog) == (["1", "2"], Backlog(0, 0, 0))


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
    assert await answers(tasks[1]) == [False]
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
