"""What begins something is held for a moment, so that its beginning and its end are one write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from chainlit_dynamodb.chat import writer as writers
from chainlit_dynamodb.chat.writer import HOLD_SECONDS, Backlog, Writer
from tests.unit.writing import ALICE, MALLORY, A, B, Change, World, settle

Hold = Callable[[str], "asyncio.Future[bool]"]


@pytest.fixture
def hold(world: World, writer: Writer) -> Hold:
    """Enter a change of `A` that is held."""
    return lambda name: writer.enter(A, Change(name, asker=ALICE), world.apply, is_held=True)


async def test_a_beginning_and_its_end_are_one_write_at_once(world: World, writer: Writer, hold: Hold) -> None:
    begun = hold("begin")
    await settle()
    assert (world.written, writer.backlog) == ([], Backlog(1, 1, 1))
    ended = writer.enter(A, Change("end", asker=ALICE), world.apply)
    await asyncio.gather(begun, ended)
    assert (world.written, writer.backlog) == (["begin+end"], Backlog(0, 0, 0))


async def test_what_does_not_end_soon_is_written_after_a_moment(
    world: World, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "HOLD_SECONDS", 0.05)
    began = time.monotonic()
    first = hold("begin")
    await asyncio.sleep(0.03)
    second = hold("and again")
    await asyncio.gather(first, second)
    assert world.written == ["begin+and again"]
    assert time.monotonic() - began < 1  # the second does not begin the moment anew


async def test_what_follows_a_write_that_is_under_way_is_not_held(world: World, writer: Writer, hold: Hold) -> None:
    gate = world.gate("1")
    first = writer.enter(A, Change("1", asker=ALICE), world.apply)
    await settle()
    second = hold("2")
    gate.set()
    await asyncio.gather(first, second)
    assert world.written == ["1", "2"]


async def test_what_somebody_else_writes_ends_the_hold(world: World, writer: Writer, hold: Hold) -> None:
    begun = hold("begin")
    other = writer.enter(A, Change("other", asker=MALLORY), world.apply)
    await asyncio.gather(begun, other)
    assert world.written == ["begin", "other"]


ENDS: dict[str, Callable[[Writer], Awaitable[object]]] = {
    "a reader of the partition": lambda writer: writer.flush(A.pk),
    "who needs the row": lambda writer: writer.settle(B, A),
    "the end": lambda writer: writer.drain(1.0),
}


@pytest.mark.parametrize("ends", ENDS)
async def test_who_waits_for_it_ends_the_hold(world: World, writer: Writer, hold: Hold, ends: str) -> None:
    begun, began = hold("begin"), time.monotonic()
    await ENDS[ends](writer)
    assert time.monotonic() - began < HOLD_SECONDS / 2
    assert (world.written, await begun, writer.backlog) == (["begin"], True, Backlog(0, 0, 0))


async def test_a_partition_that_goes_takes_what_is_held(world: World, writer: Writer, hold: Hold) -> None:
    begun = hold("begin")
    await writer.discard(A.pk)
    assert (world.written, await begun, writer.backlog) == ([], False, Backlog(0, 0, 0))
    assert await writer.write(A, Change("later", asker=ALICE), world.apply)
    assert world.written == ["later"]


async def test_at_the_end_nothing_is_held(world: World, writer: Writer, hold: Hold) -> None:
    await writer.drain(0.1)
    await hold("begin")
    assert world.written == ["begin"]
