"""What the layer did before its rooms were rearranged, and is to go on doing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chainlit.element import File
from chainlit.types import Feedback
from chainlit.user import User

from chainlit_dynamodb import DynamoDBDataLayer
from tests.contract.chats import enter_bot, enter_chat, message, one_engine, start_thread

Rows = Callable[[], list[dict[str, Any]]]
LONG_ID = "t" * 1_500
"""Allowed in a partition key, and longer than what is never compressed."""


def lookups(rows: Rows) -> list[dict[str, Any]]:
    """Give the rows by which steps are found without their threads."""
    return [row for row in rows() if row["PK"]["S"].startswith("STEP#")]


@one_engine
async def test_the_lookup_row_of_a_long_thread_id_goes_with_its_step(make_layer: Any, rows: Rows) -> None:
    layer = make_layer(compress_above=100)
    enter_bot(LONG_ID)
    await layer.create_step(message("s1", LONG_ID))
    assert [row["threadId"] for row in lookups(rows)] == [{"S": LONG_ID}]
    await layer.delete_step("s1")
    assert lookups(rows) == []


@one_engine
async def test_feedback_in_a_chat_of_a_long_user_id_is_stored_at_any_threshold(make_layer: Any) -> None:
    await start_thread(make_layer(), user_id="u" * 1_500)
    layer = make_layer(compress_above=100)
    await layer.create_step(message("s1"))
    assert await layer.upsert_feedback(Feedback(forId="s1", threadId="t1", value=1))


@one_engine
async def test_the_favorite_answered_is_the_one_that_was_asked_for(layer: Any) -> None:
    await start_thread(layer)
    step = message("s1", metadata={"a": 1})
    await layer.create_step(step)
    starring = asyncio.ensure_future(layer.set_step_favorite(step, True))
    await asyncio.sleep(0)
    step["output"] = "changed"
    step["metadata"]["a"] = 2
    answered = await starring
    assert (answered["output"], answered["metadata"]) == ("hello", {"a": 1, "favorite": True})


@one_engine
async def test_a_path_given_as_content_is_the_file_and_not_its_name(layer: Any, storage: Any, tmp_path: Path) -> None:
    await start_thread(layer)
    path = tmp_path / "a.txt"
    path.write_bytes(b"what is in it")
    element: Any = File(id="e1", name="a.txt", content=b"-", for_id="s1", thread_id="t1")
    element.content = path
    await layer.create_element(element)
    assert b"what is in it" in [file.read_bytes() for file in storage.path.rglob("*") if file.is_file()]


@one_engine
async def test_the_name_of_a_chat_without_a_usable_user_is_stored(layer: Any) -> None:
    enter_chat("t1", User(identifier=""))
    await layer.update_thread("t1", name="hello")
    thread = await layer.get_thread("t1")
    assert thread is not None
    assert (thread["name"], thread["userId"]) == ("hello", None)


class Recorder(list[str]):
    """A transport that is the list of what it was asked, and so is false while that is empty."""

    async def call(self, operation: str, _: Any) -> dict[str, Any]:
        """Note a request."""
        self.append(operation)
        return {}

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_transport_that_was_given_is_used_even_if_it_is_false(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainlit_dynamodb.data_layer.make_transport", lambda *_: Recorder())
    transport = Recorder()
    layer = DynamoDBDataLayer("chats", transport=transport)
    await layer.get_user("alice")
    await layer.close()
    assert transport == ["GetItem"]
