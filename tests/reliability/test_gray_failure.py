"""The table answers some requests and not others, or slowly: a reader is answered, or told so, in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from chainlit_dynamodb import DynamoDBDataLayer
from chainlit_dynamodb.errors import TransientError
from chainlit_dynamodb.testing.faults import FaultPlan, FaultProxy, at_once
from tests.contract.chats import ids, message, start_thread
from tests.outages import silent_writes
from tests.reliability.conftest import MakeLayer, dynamodb_local
from tests.reliability.values import KB, incompressible

pytestmark = dynamodb_local

PENDING = 200
ANSWERED_SECONDS = 30.0


def slow(_: str) -> float:
    """Answer everything, a while before it would be given up."""
    return 7.0


@pytest.fixture
async def proxy(dynamodb_url: str) -> AsyncIterator[FaultProxy]:
    """The way to the table."""
    async with FaultProxy(dynamodb_url, FaultPlan()) as proxy:
        yield proxy


@pytest.fixture
async def layer(make_layer: MakeLayer, proxy: FaultProxy) -> AsyncIterator[DynamoDBDataLayer]:
    """A layer with a chat, which takes several requests to read."""
    layer = make_layer(endpoint_url=proxy.url, close_seconds=0.1)
    await start_thread(layer)
    await asyncio.gather(
        *(layer.create_step(message(f"old{n}", output=incompressible(300 * KB, n))) for n in range(20))
    )
    yield layer
    proxy.delay_seconds = at_once


async def seconds_to_read(layer: DynamoDBDataLayer) -> tuple[float, list[str]]:
    """Begin many writes and read the chat; give how long that took, and the steps that were there, if any."""
    pending = [asyncio.create_task(layer.create_step(message(f"new{n}"))) for n in range(PENDING)]
    await asyncio.sleep(0.1)
    assert layer.backlog.changes >= PENDING
    started, found = time.monotonic(), list[str]()
    try:
        thread = await layer.get_thread("t1")
        found = ids(thread["steps"]) if thread else []
    except TransientError:
        pass
    seconds = time.monotonic() - started
    for task in pending:
        task.cancel()
    return seconds, found


async def test_a_reader_gets_what_is_stored_though_writes_hang(layer: DynamoDBDataLayer, proxy: FaultProxy) -> None:
    proxy.delay_seconds = silent_writes
    seconds, found = await seconds_to_read(layer)
    assert seconds < ANSWERED_SECONDS
    assert set(found) >= {f"old{n}" for n in range(20)}


async def test_a_reader_is_told_in_time_though_every_page_is_slow(
    layer: DynamoDBDataLayer, proxy: FaultProxy
) -> None:
    proxy.delay_seconds = slow
    seconds, _ = await seconds_to_read(layer)
    assert seconds < ANSWERED_SECONDS
