"""How long twenty concurrent calls take when DynamoDB is 300 ms away, and how long the event loop stands still."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from dataclasses import astuple, dataclass
from typing import Any

from chainlit.types import Pagination, ThreadFilter
from chainlit.user import User

from benchmarks.chat import LAYERS, MakeLayer, boto3_client, enter_chat, message, prepare_environment, step
from benchmarks.delay_proxy import delayed
from chainlit_dynamodb.ops.create_table import create_table
from chainlit_dynamodb.testing.engines import DYNAMODB_LOCAL, running_engine

DELAY_SECONDS = 0.3
TICK_SECONDS = 0.005
ROUNDS = 5
USERS = [f"user-{number}" for number in range(4)]
TARGET_SECONDS, TARGET_STALL_SECONDS = 1.5, 0.05


@dataclass(frozen=True)
class Round:
    """What one round of twenty calls took."""

    seconds: float
    stall_seconds: float
    work_seconds: float


async def fill(layer: Any) -> None:
    """Store four users with a chat each."""
    for user_id in USERS:
        enter_chat(f"thread-of-{user_id}", user_id)
        await layer.create_user(User(identifier=user_id, metadata={}))
        await layer.update_thread(f"thread-of-{user_id}", name="Weather", user_id=user_id)
        for number in range(10):
            await layer.create_step(step(f"old-{number}", f"thread-of-{user_id}"))


def twenty_calls(layer: Any, number: int) -> list[Awaitable[object]]:
    """Give what four users do at the same moment."""
    calls: list[Awaitable[object]] = []
    for user_id in USERS:
        thread_id = f"thread-of-{user_id}"
        enter_chat(thread_id, user_id)
        calls += [
            asyncio.create_task(layer.get_user(user_id)),
            asyncio.create_task(layer.get_thread(thread_id)),
            asyncio.create_task(layer.list_threads(Pagination(first=35), ThreadFilter(userId=user_id))),
            asyncio.create_task(layer.create_step(message(f"new-{number}", thread_id))),
            asyncio.create_task(layer.update_step(step("old-3", thread_id, output="changed"))),
        ]
    return calls


class Ticker:
    """Measures how late the event loop comes back to it.

    Attributes:
        stall_seconds: The longest delay by the clock; on a busy machine others have their part in it.
        work_seconds: The most CPU time this process has used between two ticks, its threads included.
    """

    def __init__(self) -> None:
        """Measure nothing yet."""
        self.stall_seconds = self.work_seconds = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Ticker:
        """Begin."""
        self._task = asyncio.create_task(self._tick())
        await asyncio.sleep(2 * TICK_SECONDS)
        self.stall_seconds = self.work_seconds = 0.0
        return self

    async def __aexit__(self, *_: object) -> None:
        """End."""
        await asyncio.sleep(TICK_SECONDS)
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _tick(self) -> None:
        while True:
            before, worked = time.perf_counter(), time.process_time()
            await asyncio.sleep(TICK_SECONDS)
            self.work_seconds = max(self.work_seconds, time.process_time() - worked)
            self.stall_seconds = max(self.stall_seconds, time.perf_counter() - before - TICK_SECONDS)


async def measure(make_layer: MakeLayer, table_name: str, engine_url: str, delayed_url: str) -> list[Round]:
    """Measure some rounds on a fresh table; the first one includes opening everything."""
    near = make_layer(table_name, engine_url)
    await fill(near)
    await near.close()
    layer = make_layer(table_name, delayed_url)
    rounds: list[Round] = []
    for number in range(ROUNDS + 1):
        async with Ticker() as ticker:
            started = time.perf_counter()
            await asyncio.gather(*twenty_calls(layer, number))
            seconds = time.perf_counter() - started
        rounds.append(Round(seconds, ticker.stall_seconds, ticker.work_seconds))
    await layer.close()
    return rounds


async def idle() -> float:
    """Measure how long an event loop with nothing to do stands still on this machine."""
    async with Ticker() as ticker:
        await asyncio.sleep(2)
    return ticker.stall_seconds


def report(name: str, rounds: list[Round]) -> None:
    """Print the first round, which opens the connections, and the worst of the others."""
    first, later = rounds[0], rounds[1:]
    worst = Round(*(max(values) for values in zip(*map(astuple, later), strict=True)))
    for label, measured in (("first round", first), ("worst of the others", worst)):
        times = f"{measured.seconds:8.2f} s{_ms(measured.stall_seconds)}{_ms(measured.work_seconds)}"
        print(f"{name:<18}{label:<21}{times}")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:15.0f} ms"


def main() -> None:
    """Measure both layers and print the numbers."""
    prepare_environment()
    print(f"Latency: 20 concurrent calls of 4 users, requests {DELAY_SECONDS * 1000:.0f} ms late, {ROUNDS} rounds")
    print(f"Target: under {TARGET_SECONDS} s, no stall of {TARGET_STALL_SECONDS * 1000:.0f} ms")
    print(f"A loop with nothing to do stands still for {asyncio.run(idle()) * 1000:.0f} ms here")
    print(f"{'':<39}{'all done in':>10}{'longest stall':>18}{'own CPU time':>18}")
    with running_engine(DYNAMODB_LOCAL) as engine, delayed(engine.url, DELAY_SECONDS) as delayed_url:
        client = boto3_client(engine.url)
        for number, (name, make_layer) in enumerate(LAYERS.items()):
            table_name = f"latency-{number}"
            create_table(client, table_name)
            report(name, asyncio.run(measure(make_layer, table_name, engine.url, delayed_url)))
            client.delete_table(TableName=table_name)


if __name__ == "__main__":
    main()
