"""What a step of 20 MB and a thread of 5,000 steps take: time, memory, units, and stalls of the event loop.

    python -m benchmarks.large

A stall is the longest time between two ticks of 5 ms; own CPU time is what this process used of it, the rest went to
other processes. Chainlit's own objects are frozen before, because Python's garbage collector takes 100 ms to look
through them alone. Memory is the highest resident memory over that before, the answer included.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import logging
import os
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chat import boto3_client, enter_chat, ours, prepare_environment, step
from chainlit_dynamodb.ops.create_table import create_table
from chainlit_dynamodb.testing.engines import DYNAMODB_LOCAL, running_engine

MEGABYTE = 1024 * 1024
LARGE_BYTES = 20 * MEGABYTE
STEPS = 5_000
BURST = 50
TICK_SECONDS = 0.005


@dataclass
class Run:
    """What was seen while something ran."""

    seconds: float = 0.0
    stall_seconds: float = 0.0
    own_stall_seconds: float = 0.0
    memory_bytes: int = 0
    units: float = 0.0
    answer: Any = field(default=None, repr=False)

    def line(self, name: str) -> str:
        """Give a row of the table."""
        stalls = f"{self.stall_seconds * 1000:.0f} ms | {self.own_stall_seconds * 1000:.0f} ms"
        memory = f"{self.memory_bytes / MEGABYTE:.0f} MB"
        return f"| {name} | {self.seconds:.2f} s | {memory} | {stalls} | {self.units:,.0f} |"


class Units(logging.Handler):
    """Adds up the capacity units that the layer logs."""

    total = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Take the units of a request."""
        if isinstance(record.args, tuple) and "units" in record.msg:
            self.total += float(str(record.args[-1]))


def resident_bytes() -> int:
    """Give the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _tick(run: Run) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    while True:
        await asyncio.sleep(TICK_SECONDS)
        now, used = time.perf_counter(), time.process_time()
        stall = now - wall - TICK_SECONDS
        run.stall_seconds = max(run.stall_seconds, stall)
        run.own_stall_seconds = max(run.own_stall_seconds, min(stall, used - cpu))
        wall, cpu = now, used


def _watch_memory(run: Run, start: int, stop: threading.Event) -> None:
    while not stop.wait(0.01):
        run.memory_bytes = max(run.memory_bytes, resident_bytes() - start)


@asynccontextmanager
async def _watched(run: Run) -> AsyncIterator[None]:
    gc.collect()
    stop = threading.Event()
    watcher = threading.Thread(target=_watch_memory, args=(run, resident_bytes(), stop))
    watcher.start()
    ticker = asyncio.create_task(_tick(run))
    await asyncio.sleep(0.02)
    try:
        yield
        await asyncio.sleep(0.02)
    finally:
        ticker.cancel()
        stop.set()
        watcher.join()


async def measured(name: str, call: Awaitable[Any], units: Units) -> Any:
    """Await something and print what it took."""
    run, before = Run(), units.total
    async with _watched(run):
        started = time.perf_counter()
        answer = await call
        run.seconds = time.perf_counter() - started
    run.units = units.total - before
    print(run.line(name), flush=True)
    return answer


async def write_steps(layer: Any, thread_id: str) -> None:
    """Store many steps, some at a time."""
    for first in range(0, STEPS, BURST):
        numbers = range(first, first + BURST)
        await asyncio.gather(*(layer.create_step(step(f"step-{n}", thread_id)) for n in numbers))


async def compare(table_name: str, url: str, units: Units) -> None:
    """Measure everything on a table."""
    layer = ours(table_name, url)
    text = base64.b85encode(os.urandom(LARGE_BYTES * 4 // 5)).decode()
    for thread_id in ("small", "large", "long"):
        enter_chat(thread_id, "alice")
        await layer.update_thread(thread_id, name="Weather", user_id="alice")
    await layer.get_thread("small")
    gc.collect()
    gc.freeze()
    enter_chat("large", "alice")
    await measured("store a step of 20 MB", layer.create_step(step("s1", "large", output=text)), units)
    thread = await measured("open it", layer.get_thread("large"), units)
    assert thread["steps"][0]["output"] == text
    del thread
    replaced = step("s1", "large", output=text[::-1])
    await measured("replace it by another", layer.update_step(replaced), units)
    await measured("delete its thread", layer.delete_thread("large"), units)
    enter_chat("long", "alice")
    await measured(f"store {STEPS:,} steps of 1 KB, {BURST} at a time", write_steps(layer, "long"), units)
    thread = await measured("open their thread", layer.get_thread("long"), units)
    assert len(thread["steps"]) == STEPS
    await measured("delete it", layer.delete_thread("long"), units)
    await layer.close()


def main() -> None:
    """Print the table."""
    prepare_environment()
    units = Units()
    logger = logging.getLogger("chainlit.DynamoDB")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(units)
    print("| | time | memory | longest stall | own CPU time | units |\n|---|--:|--:|--:|--:|--:|")
    with running_engine(DYNAMODB_LOCAL) as engine:
        client, table_name = boto3_client(engine.url), f"large-{uuid.uuid4().hex}"
        create_table(client, table_name)
        asyncio.run(compare(table_name, engine.url, units))
        client.delete_table(TableName=table_name)


if __name__ == "__main__":
    main()
