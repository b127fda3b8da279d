"""What is answered before it is stored: tried on, in order, counted, and said if it is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from chainlit.types import Feedback
from chainlit.user import User

from chainlit_dynamodb import DynamoDBDataLayer
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.errors import TransientError
from chainlit_dynamodb.patience import Patience
from chainlit_dynamodb.testing.faults import FaultPlan, FaultProxy
from tests.contract.chats import enter_chat, listed, message, start_thread, steps_of
from tests.reliability.conftest import MakeLayer, dynamodb_local
from tests.reliability.waiting import eventually

pytestmark = dynamodb_local

AWAY = FaultPlan(reset_before=1.0)


@pytest.fixture
async def proxy(dynamodb_url: str) -> AsyncIterator[FaultProxy]:
    """The way to the table."""
    async with FaultProxy(dynamodb_url, FaultPlan()) as proxy:
        yield proxy


@pytest.fixture
async def layer(make_layer: MakeLayer, proxy: FaultProxy) -> DynamoDBDataLayer:
    """A layer with a chat of one step; the table goes away when its proxy is told so."""
    layer = make_layer(endpoint_url=proxy.url, close_seconds=0.5)
    await start_thread(layer)
    await layer.create_step(message("s1"))
    return layer


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all patience be a twentieth of what it is."""
    wait = Patience.wait
    monkeypatch.setattr(Patience, "wait", lambda self, work, seconds: wait(self, work, seconds / 20))


async def test_stars_are_answered_and_the_last_one_counts(
    layer: DynamoDBDataLayer, proxy: FaultProxy, make_layer: MakeLayer
) -> None:
    proxy.plan = AWAY
    for favorite in (True, False, True):
        answer: Any = await layer.set_step_favorite(message("s1"), favorite)
        assert answer["metadata"]["favorite"] is favorite
    assert layer.backlog.changes == 3
    proxy.plan = FaultPlan()
    await eventually(lambda: layer.backlog.changes == 0)
    assert [step["id"] for step in await make_layer().get_favorite_steps("alice")] == ["s1"]


async def test_feedback_ends_in_an_error_and_the_last_one_counts(
    layer: DynamoDBDataLayer, proxy: FaultProxy, make_layer: MakeLayer
) -> None:
    proxy.plan = AWAY
    for value in (1, 0):
        with pytest.raises(TransientError):
            await layer.upsert_feedback(Feedback(forId="s1", value=value, threadId="t1"))
    assert layer.backlog.changes == 2
    proxy.plan = FaultPlan()
    await eventually(lambda: layer.backlog.changes == 0)
    assert (await steps_of(make_layer()))["s1"]["feedback"]["value"] == 0


async def test_what_is_lost_at_the_end_is_counted(
    layer: DynamoDBDataLayer, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.plan = AWAY
    await layer.set_step_favorite(message("s1"), True)
    await layer.update_thread("t1", metadata={"n": 1})
    await layer.update_thread("t1", name="renamed")
    for writing in (
        layer.upsert_feedback(Feedback(forId="s1", value=1, threadId="t1")),
        layer.create_user(User("alice")),
    ):
        with pytest.raises(TransientError):
            await writing
    started = time.monotonic()
    await layer.close()
    assert time.monotonic() - started < 3
    assert "Closed with 5 writes" in caplog.text


async def test_the_chat_of_somebody_who_could_not_be_looked_up_is_in_their_list(
    layer: DynamoDBDataLayer, proxy: FaultProxy, make_layer: MakeLayer
) -> None:
    proxy.plan = AWAY
    enter_chat("t2", User("alice"))
    await layer.update_thread("t2", name="begun in an outage")
    proxy.plan = FaultPlan()
    await eventually(lambda: layer.backlog.changes == 0)
    assert "t2" in await listed(make_layer())


async def test_feedback_and_a_star_wait_for_the_message_they_are_about(
    layer: DynamoDBDataLayer, proxy: FaultProxy, make_layer: MakeLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(Writer)["flush"].__kwdefaults__, "timeout_seconds", 0.1)
    proxy.plan = AWAY
    telling = asyncio.create_task(layer.create_step(message("s2")))
    await asyncio.sleep(0.1)
    liking = asyncio.create_task(layer.upsert_feedback(Feedback(forId="s2", threadId="t1", value=1)))
    await layer.set_step_favorite(message("s2"), True)
    await asyncio.wait({liking})
    proxy.plan = FaultPlan()
    await telling
    await eventually(lambda: layer.backlog.changes == 0)
    liking.exception()
    assert (await steps_of(make_layer()))["s2"]["feedback"]["value"] == 1
    assert [step["id"] for step in await make_layer().get_favorite_steps("alice")] == ["s2"]
