"""Changes beside the lanes: their order, and what may wait of them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from chainlit_dynamodb.chat import errands as module
from chainlit_dynamodb.chat.errands import Errands
from chainlit_dynamodb.errors import BacklogFullError


async def nothing() -> None:
    """Do what takes no time."""


async def waiting(errands: Errands, name: str, gate: asyncio.Event, *, size_bytes: int = 0) -> asyncio.Task[None]:
    async def pass_the_gate() -> None:
        await gate.wait()

    task = asyncio.create_task(errands.run(name, pass_the_gate, size_bytes=size_bytes))
    await asyncio.sleep(0)
    return task


async def test_changes_of_one_name_are_done_in_the_order_they_were_asked_for() -> None:
    errands, gate, done = Errands(), asyncio.Event(), list[int]()

    async def change(number: int) -> None:
        await gate.wait()
        await asyncio.sleep(0.01 / (number + 1))
        done.append(number)

    tasks = [asyncio.create_task(errands.run("star", lambda n=number: change(n))) for number in range(3)]  # type: ignore[misc]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks)
    assert done == [0, 1, 2]


async def test_more_than_so_many_are_refused_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    errands, gate = Errands(), asyncio.Event()
    tasks = [await waiting(errands, f"star {number}", gate) for number in range(2)]
    with caplog.at_level(logging.ERROR), pytest.raises(BacklogFullError, match="star 2 was lost"):
        await errands.run("star 2", nothing)
    assert "Lost: star 2: 2 changes wait already" in caplog.text
    gate.set()
    await asyncio.gather(*tasks)
    await errands.run("star 2", nothing)


async def test_changes_that_would_hold_too_much_are_refused_until_some_are_done() -> None:
    errands, gate = Errands(), asyncio.Event()
    task = await waiting(errands, "a", gate, size_bytes=module.MOST_BYTES - 1)
    with pytest.raises(BacklogFullError):
        await errands.run("b", nothing, size_bytes=2)
    await errands.run("c", nothing, size_bytes=1)
    gate.set()
    await task
    await errands.run("b", nothing, size_bytes=2)


async def test_one_alone_may_be_of_any_size() -> None:
    await Errands().run("user", nothing, size_bytes=2 * module.MOST_BYTES)


async def test_a_change_goes_on_though_nobody_waits_for_it_any_more() -> None:
    errands, gate = Errands(), asyncio.Event()
    task = await waiting(errands, "star", gate)
    (change,) = errands.tasks
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    await change
