"""Feedback comes by a route that compares nothing: who asks is the user whose HTTP request it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from chainlit.types import Feedback

from tests.contract.chats import (
    alices_chat,
    answer_requests,
    authenticate,
    leave,
    one_engine,
    start_thread,
    steps_of,
    tool,
)

pytestmark = one_engine


Rows = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests be authenticated."""
    answer_requests(monkeypatch)


async def requested(layer: Any, identifier: str, call: Callable[[], Awaitable[Any]]) -> Any:
    """Do what a route of Chainlit's does: it reads the user first, in the task of the request."""

    async def request() -> Any:
        await authenticate(layer, identifier)
        await asyncio.sleep(0)
        return await call()

    return await asyncio.create_task(request())


@pytest.mark.usefixtures("requests")
async def test_feedback_in_a_strangers_thread_is_refused(
    layer: Any, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    await alices_chat(layer)
    before = rows()
    opinion = Feedback("s1", 0, "t1", comment="worse")
    assert await requested(layer, "mallory", lambda: layer.upsert_feedback(opinion)) == ""
    assert rows() == before
    assert "A change of another user's thread is refused: 't1'" in caplog.text


@pytest.mark.usefixtures("requests")
async def test_feedback_of_a_stranger_is_not_deleted(layer: Any, rows: Rows) -> None:
    await alices_chat(layer)
    feedback_id = (await steps_of(layer))["s1"]["feedback"]["id"]
    before = rows()
    assert await requested(layer, "mallory", lambda: layer.delete_feedback(feedback_id)) is False
    assert rows() == before
    assert await requested(layer, "alice", lambda: layer.delete_feedback(feedback_id)) is True


@pytest.mark.usefixtures("requests")
async def test_each_request_is_its_own_users(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(tool("mine"))
    await start_thread(layer, "t2", user_id="bob")
    await layer.create_step(tool("his", "t2"))
    leave()

    def rate(step_id: str, thread_id: str) -> Callable[[], Awaitable[Any]]:
        return lambda: layer.upsert_feedback(Feedback(step_id, 1, thread_id))

    answers = await asyncio.gather(
        *(
            requested(layer, user, rate(step_id, thread_id))
            for user in ("alice", "bob") * 5
            for step_id, thread_id in (("mine", "t1"), ("his", "t2"))
        )
    )
    assert [bool(answer) for answer in answers] == [True, False, False, True] * 5


@pytest.mark.usefixtures("requests")
async def test_a_request_in_the_context_of_an_earlier_one_is_its_own_users(layer: Any) -> None:
    """So uvicorn runs a request whose connection was paused by a large body, or that was sent before an answer."""
    await alices_chat(layer)
    opinion = Feedback("s1", 0, "t1")

    async def next_of(identifier: str) -> Any:
        return await requested(layer, identifier, lambda: layer.upsert_feedback(opinion))

    assert await requested(layer, "alice", lambda: next_of("mallory")) == ""
    assert await requested(layer, "mallory", lambda: next_of("alice"))


async def test_an_app_that_reads_one_user_after_another_rates_for_each(layer: Any) -> None:
    await alices_chat(layer)
    await start_thread(layer, "t2", user_id="bob")
    await layer.create_step(tool("his", "t2"))
    leave()
    for user, step_id, thread_id in (("bob", "his", "t2"), ("alice", "s1", "t1")):
        await layer.get_user(user)
        assert await layer.upsert_feedback(Feedback(step_id, 1, thread_id))


@pytest.mark.usefixtures("requests")
async def test_who_else_an_app_reads_in_a_request_does_not_ask(layer: Any) -> None:
    await alices_chat(layer)

    async def rate() -> Any:
        await layer.get_user(await layer.get_thread_author("t1"))  # to tell them
        return await layer.upsert_feedback(Feedback("s1", 0, "t1"))

    assert await requested(layer, "mallory", rate) == ""


async def test_a_bots_feedback_is_nobodys_request(layer: Any) -> None:
    await alices_chat(layer)
    assert await layer.upsert_feedback(Feedback("s1", 0, "t1"))
