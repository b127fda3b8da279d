"""Writes of one key happen in order, merge while they wait, and answer whoever asked for them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from chainlit_dynamodb.chat.writer import Backlog, Writer
from chainlit_dynamodb.schema import step_key
from tests.unit.writing import ALICE, MALLORY, OTHER_THREAD, REFUSAL, A, B, Change, Start, World, answers, settle


async def test_a_write_is_stored_when_it_returns(world: World, writer: Writer) -> None:
    await writer.write(A, Change("one"), world.apply)
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


async def test_writes_of_others_stay_apart_in_their_order(world: World, writer: Writer) -> None:
    gate = world.gate("1")
    asked = [("1", ALICE), ("2", ALICE), ("3", ALICE), ("4", MALLORY), ("5", MALLORY), ("6", ALICE)]
    taken = [writer.enter(A, Change(name, asker=asker), world.apply) for name, asker in asked]
    await settle()
    assert writer.backlog == Backlog(1, 4, 4)
    gate.set()
    await asyncio.gather(*taken)
    assert (world.written, writer.backlog) == (["1", "2+3", "4+5", "6"], Backlog(0, 0, 0))


async def test_a_failure_leaves_the_writes_of_others(world: World, writer: Writer) -> None:
    gate, world.failures["2"] = world.gate("1"), REFUSAL
    asked = [("1", ALICE), ("2", MALLORY), ("3", ALICE)]
    taken = [writer.enter(A, Change(name, asker=asker), world.apply) for name, asker in asked]
    await settle()
    gate.set()
    assert await asyncio.gather(*taken, return_exceptions=True) == [True, REFUSAL, True]
    assert (world.written, writer.backlog) == (["1", "3"], Backlog(0, 0, 0))


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
    assert writer.backlog == Backlog(rows=0, changes=0, size_bytes=0)


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
    assert await answers(*before, after) == [True, REFUSAL, REFUSAL, True, True]
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
    assert following is True
    assert await answers(start("later")) == [True]
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
