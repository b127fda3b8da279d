"""What waits while the table is away takes no more memory than it may, whatever was handed over."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import tracemalloc
from typing import Any

import pytest

from chainlit_dynamodb.chat.writer import MAX_PENDING_BYTES
from chainlit_dynamodb.testing.transports import Gated
from tests.contract.chats import message, start_thread, steps_of, tool
from tests.reliability.conftest import MakeLayer, dynamodb_local
from tests.reliability.outpouring import STATUS, UPDATES
from tests.reliability.values import KB
from tests.wiring import wrap

pytestmark = dynamodb_local

MB = 1024 * KB
BOUND_BYTES = 8 * MB
CALLER_BYTES = 10 * KB
"""What a task that waits may take, beside what it is to write: frames, futures, what the allocator leaves unused."""


def fresh_text(number: int, size: int) -> str:
    """Give a text that nothing else holds."""
    return f"{number}:".ljust(size, "x")


async def held_bytes(begin: Any) -> int:
    """Give the memory that is held after writes were begun and left to themselves."""
    gc.collect()
    tracemalloc.start()
    tasks = begin()
    for _ in range(100):
        await asyncio.sleep(0)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert not any(task.done() for task in tasks)
    return held


async def test_many_large_steps_are_held_within_the_bound_and_all_stored(make_layer: MakeLayer) -> None:
    layer = make_layer(max_pending_bytes=BOUND_BYTES)
    await start_thread(layer)
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    tasks: list[asyncio.Task[None]] = []

    def begin() -> list[asyncio.Task[None]]:
        for number in range(60):
            step = tool(f"s{number}", output=fresh_text(number, MB))
            tasks.append(asyncio.create_task(layer.create_step(step)))
        return tasks

    assert await held_bytes(begin) < 2 * BOUND_BYTES
    assert layer.backlog.size_bytes <= BOUND_BYTES
    gated.gate.set()
    await asyncio.gather(*tasks)
    assert {key: len(step["output"]) for key, step in (await steps_of(layer)).items()} == {
        f"s{number}": MB for number in range(60)
    }


async def test_many_updates_of_one_large_step_are_held_as_one(make_layer: MakeLayer) -> None:
    layer = make_layer(max_pending_bytes=BOUND_BYTES)
    await start_thread(layer)
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    tasks: list[asyncio.Task[None]] = []

    def begin() -> list[asyncio.Task[None]]:
        for number in range(200):
            step = message("s1", output=fresh_text(number, MB // 2), type="assistant_message")
            tasks.append(asyncio.create_task(layer.update_step(step)))
        return tasks

    assert await held_bytes(begin) < 4 * MB
    gated.gate.set()
    await asyncio.gather(*tasks)
    assert (await steps_of(layer))["s1"]["output"].startswith("199:")


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells the most memory a process had")
def test_a_process_told_half_a_gigabyte_grows_by_twice_the_bound_and_its_callers(
    dynamodb_url: str, table_name: str
) -> None:
    command = [sys.executable, "-m", "tests.reliability.outpouring", dynamodb_url, table_name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    grown = int(done.stdout.split()[-1])
    assert grown < 2 * MAX_PENDING_BYTES + UPDATES * CALLER_BYTES, f"{grown / MB:.0f} MB"
