"""The simulation itself: the same seed tells the same story, time is virtual, failures become short stories."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest
from cachetools import TTLCache

from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.chat.feedback_markers import FeedbackMarkers
from chainlit_dynamodb.testing.simulation.campaign import one
from chainlit_dynamodb.testing.simulation.drawing import draw_plan
from chainlit_dynamodb.testing.simulation.errors import StuckError
from chainlit_dynamodb.testing.simulation.invariants import INVARIANTS
from chainlit_dynamodb.testing.simulation.loop import Owner, VirtualLoop, owner_var
from chainlit_dynamodb.testing.simulation.plan import Plan, Trouble
from chainlit_dynamodb.testing.simulation.shrink import shrink
from chainlit_dynamodb.testing.simulation.story import tell
from chainlit_dynamodb.testing.simulation.world import virtual_world

SEEDS = range(12)


async def nothing(*_: Any) -> None:
    """Do nothing, and say that it is done."""


def run(loop: VirtualLoop, coroutine: Any) -> Any:
    try:
        with virtual_world("test", loop.time, logging.NullHandler()):
            return loop.run_until_complete(coroutine)
    finally:
        loop.drop_tasks()
        loop.close()


def fresh_loop(*, shuffles: bool = False) -> VirtualLoop:
    return VirtualLoop(random.Random(1), shuffles=shuffles)  # noqa: S311 - repeatable


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_seed_tells_the_same_story(seed: int) -> None:
    assert tell(draw_plan(seed)).lines() == tell(draw_plan(seed)).lines()


def test_another_process_tells_the_same_story() -> None:
    command = [sys.executable, "-m", "chainlit_dynamodb.testing.simulation", "--seed", "3"]
    stories = [
        subprocess.run(command, capture_output=True, check=False, env={**os.environ, "PYTHONHASHSEED": number}).stdout
        for number in ("1", "2")
    ]
    assert stories[0].startswith(b"seed 3\n")
    assert stories[0] == stories[1]


def test_time_passes_at_once() -> None:
    async def sleep() -> float:
        await asyncio.sleep(3600)
        return time.monotonic()

    started = time.monotonic()
    assert run(fresh_loop(), sleep()) == 3600
    assert time.monotonic() - started < 60


def test_callbacks_run_in_order_unless_they_are_shuffled() -> None:
    async def order() -> list[int]:
        seen: list[int] = []
        for number in range(20):
            asyncio.get_running_loop().call_soon(seen.append, number)
        await asyncio.sleep(1)
        return seen

    assert run(fresh_loop(), order()) == list(range(20))
    assert run(fresh_loop(shuffles=True), order()) != list(range(20))


def test_waiting_for_nobody_is_noticed() -> None:
    with pytest.raises(StuckError):
        run(fresh_loop(), asyncio.Event().wait())


def test_the_dead_do_nothing_any_more() -> None:
    seen: list[str] = []

    async def live() -> None:
        try:
            await asyncio.sleep(1)
            seen.append("went on")
        finally:
            seen.append("cleaned up")

    async def kill() -> None:
        owner = Owner()
        owner_var.set(owner)
        task = asyncio.create_task(live())
        owner_var.set(None)
        await asyncio.sleep(0.5)
        owner.is_dead = True
        await asyncio.sleep(5)
        assert not task.done()
        assert seen == []

    run(fresh_loop(), kill())


def test_chance_and_clocks_come_from_the_seed_and_are_put_back() -> None:
    async def draw() -> tuple[str, str, float]:
        return str(uuid.uuid4()), clock.now(), random.random()  # noqa: S311 - that is the point

    assert run(fresh_loop(), draw()) == run(fresh_loop(), draw())
    assert run(fresh_loop(), draw())[1].startswith("2026-01-01T00:00:00")
    assert uuid.uuid4() != uuid.uuid4()
    assert TTLCache.__init__.__defaults__[0] is time.monotonic  # type: ignore[index]


def test_a_failure_is_made_short_and_stays_the_same_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FeedbackMarkers, "forget", nothing)
    seed = next(seed for seed in range(300) if one(seed).invariants)
    outcome = tell(draw_plan(seed))
    short = shrink(outcome, 200)
    assert short.findings[0].invariant == outcome.findings[0].invariant
    assert len(short.records.calls) <= len(outcome.records.calls)
    broken = tuple(i for i in INVARIANTS if i.__name__ == short.findings[0].invariant)
    assert tell(short.plan, broken).lines() == short.lines()


def test_nothing_befalls_requests_that_are_spared() -> None:
    plan = next(plan for plan in map(draw_plan, range(100)) if plan.rates)
    assert tell(plan).struck
    assert not tell(replace(plan, only=frozenset())).struck


def test_a_killed_process_is_replaced() -> None:
    plan = with_trouble(Trouble("kill", "A", 2.0, 0.5))
    story = "\n".join(tell(plan).lines())
    assert "A1        ** killed" in story
    assert "A2        ** started" in story


def test_an_outage_refuses_everything_for_a_while() -> None:
    story = "\n".join(tell(with_trouble(Trouble("refused", "", 0.0, 20.0))).lines())
    assert ": refused" in story


def with_trouble(trouble: Trouble) -> Plan:
    return replace(next(p for p in map(draw_plan, range(100)) if len(p.slots) == 1), troubles=(trouble,), rates={})
