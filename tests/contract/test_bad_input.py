"""Whatever a browser or an app hands over: nothing breaks, nothing reaches into other rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from chainlit.element import CustomElement
from chainlit.types import Feedback

from tests.contract.chats import (
    ALICE,
    BOB,
    assert_clean,
    enter_chat,
    ids,
    keys_of,
    listed,
    message,
    one_engine,
    start_thread,
    steps_of,
)

Rows = Callable[[], list[dict[str, Any]]]

pytestmark = one_engine


@pytest.mark.parametrize("step_id", ["", None, 7, "a\nb", "x" * 3000, ["x"], {"a": 1}])
@pytest.mark.parametrize("method", ["create_step", "update_step"])
async def test_step_ids_that_cannot_be_change_nothing(layer: Any, rows: Rows, method: str, step_id: Any) -> None:
    await start_thread(layer)
    before = rows()
    await getattr(layer, method)(message(step_id))
    assert rows() == before


@pytest.mark.parametrize("thread_id", [7, "a\nb", "x" * 3000])
async def test_steps_for_threads_that_cannot_be_change_nothing(layer: Any, rows: Rows, thread_id: Any) -> None:
    await start_thread(layer)
    before = rows()
    await layer.create_step(message("s1", thread_id))
    await layer.update_step(message("s1", thread_id))
    assert rows() == before


@pytest.mark.parametrize("step_id", ["", None, "a\nb", "x" * 3000])
async def test_deleting_steps_that_cannot_be_changes_nothing(layer: Any, rows: Rows, step_id: Any) -> None:
    await start_thread(layer)
    before = rows()
    await layer.delete_step(step_id)
    assert rows() == before


@pytest.mark.parametrize("step_id", ["THREAD", "a#b", "STEP#x", "ELEMENT#e", "../x", "ÄÖ🌍", "FEEDBACK#1", "x" * 700])
async def test_odd_step_ids_come_back_as_they_are(layer: Any, step_id: str) -> None:
    await start_thread(layer)
    await layer.create_step(message(step_id))
    assert list(await steps_of(layer)) == [step_id]
    assert await layer.upsert_feedback(Feedback(forId=step_id, value=1, threadId="t1"))
    await layer.delete_step(step_id)
    assert await steps_of(layer) == {}


@pytest.mark.parametrize("metadata", ["text", 7, ["list"], None, True, 0.5])
@pytest.mark.parametrize("method", ["create_step", "update_step", "set_step_favorite"])
async def test_metadata_that_is_no_dict_breaks_nothing(layer: Any, method: str, metadata: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    step = message("s2", metadata=metadata)
    if method == "set_step_favorite":
        await layer.create_step(step)
        assert_clean(await layer.set_step_favorite(step, True))
    else:
        await getattr(layer, method)(step)
    thread = await layer.get_thread("t1")
    assert_clean(thread)
    assert ids(thread["steps"]) == ["s1", "s2"]
    assert all(isinstance(each["metadata"], dict) for each in thread["steps"])


INTERNAL = {"PK": "THREAD#t2", "SK": "THREAD", "UserThreadPK": "USER#bob", "UserThreadSK": "TS#2099", "_x": "y"}


async def test_a_step_cannot_carry_attributes_of_the_table(layer: Any, rows: Rows) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1", **INTERNAL))
    await layer.update_step(message("s1", **INTERNAL))
    assert keys_of(rows()) == [("THREAD#t1", "STEP#s1"), ("THREAD#t1", "THREAD")]
    assert await listed(layer, userId="bob") == []
    assert_clean(await layer.get_thread("t1"))


async def test_metadata_may_have_keys_like_the_tables(layer: Any) -> None:
    await start_thread(layer)
    await layer.update_thread("t1", metadata={"PK": "x", "deletedAt": "y"})
    assert (await layer.get_thread("t1"))["metadata"] == {"PK": "x", "deletedAt": "y"}
    assert await listed(layer) == ["t1"]


ODD_VALUES: dict[str, Any] = {
    "types": {"type": "anything", "name": 7, "output": None},
    "output-dict": {"output": {"a": [1]}},
    "deep": {"metadata": {"a": eval("[" * 60 + "]" * 60)}},  # noqa: S307 - a literal
    "keys": {"metadata": {"": 1, "a.b": 2, "#x": 3, ":y": 4, 5: 6}},
    "text": {"output": "\x00\ud800\U0001f30d\u2028"},
    "empty": {"output": "", "tags": [], "metadata": {"a": {}, "b": [], "c": ""}},
    "numbers": {"metadata": {"a": 10**50, "b": 1e-300, "c": -0.0, "d": float("inf")}},
    "reserved words": {"size": 1, "status": "x", "values": [], "order": None, "a-b": 1, "a b": 2, "#a": 3, "ä": 4},
    "times": {"createdAt": "2026-11-01T10:00:00Z", "start": "x", "end": 7},
}


@pytest.mark.parametrize("kind", ODD_VALUES)
async def test_odd_values_are_stored_and_come_back_clean(layer: Any, kind: str) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1", **ODD_VALUES[kind]))
    await layer.update_step(message("s2", **ODD_VALUES[kind]))
    thread = await layer.get_thread("t1")
    assert_clean(thread)
    assert sorted(ids(thread["steps"])) == ["s1", "s2"]


@pytest.mark.parametrize("time", [None, "", "yesterday", 7])
async def test_a_step_without_a_time_is_shown_all_the_same(layer: Any, time: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1", createdAt=time))
    assert list(await steps_of(layer)) == ["s1"]


@pytest.mark.parametrize("element_id", ["", "a\nb", "x" * 3000])
async def test_element_ids_that_cannot_be_change_nothing(layer: Any, rows: Rows, element_id: str) -> None:
    await start_thread(layer)
    before = rows()
    await layer.create_element(CustomElement(id=element_id, name="x", props={}, for_id="s1", thread_id="t1"))
    await layer.delete_element(element_id, "t1")
    assert rows() == before


@pytest.mark.parametrize("thread_id", ["a\nb", "x" * 3000, "unknown"])
async def test_elements_for_threads_that_cannot_be_are_refused(layer: Any, rows: Rows, thread_id: str) -> None:
    await start_thread(layer)
    before = rows()
    await layer.create_element(CustomElement(id="e1", name="x", props={}, for_id="s1", thread_id=thread_id))
    await layer.delete_element("e1", thread_id)
    assert rows() == before


@pytest.mark.parametrize("user_id", ["a\nb", "x" * 3000, "\ud800"])
async def test_user_ids_that_cannot_be_change_nothing(layer: Any, rows: Rows, user_id: str) -> None:
    enter_chat("t1")
    await layer.update_thread("t1", name="x", user_id=user_id)
    assert rows() == []
    assert await listed(layer, userId=user_id) == []


async def test_feedback_on_anothers_thread_needs_its_step(layer: Any, rows: Rows) -> None:
    await start_thread(layer)
    before = rows()
    for step_id in ("THREAD", "../THREAD", "#", "s1"):
        assert await layer.upsert_feedback(Feedback(forId=step_id, value=1, threadId="t1")) == ""
    assert rows() == before


async def test_a_session_cannot_make_a_favorite_of_another_user(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    enter_chat("t1", BOB)
    await layer.set_step_favorite(message("s1"), True)
    assert await layer.get_favorite_steps(ALICE.id) == []
