"""get_thread: parents before children, orphans shown, mandatory keys, malformed rows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.chats import ALICE, assert_clean, enter_bot, ids, message, one_engine, start_thread, tool

PutRow = Callable[..., None]


def at(second: int, microseconds: str = ".000000") -> str:
    return f"2026-11-01T10:00:{second:02}{microseconds}Z"


async def test_every_mandatory_key_is_there(layer: Any) -> None:
    await start_thread(layer)
    thread = await layer.get_thread("t1")
    wanted = {"id", "createdAt", "name", "userId", "userIdentifier", "tags", "metadata", "steps", "elements"}
    assert set(thread) == wanted


async def test_an_unknown_thread_is_none(layer: Any) -> None:
    assert await layer.get_thread("unknown") is None


async def test_a_thread_without_owner_has_its_keys(layer: Any) -> None:
    await layer.update_thread("t1", name="nobody's")
    thread = await layer.get_thread("t1")
    assert (thread["userId"], thread["userIdentifier"]) == (None, None)


async def test_every_answer_is_a_fresh_object(layer: Any) -> None:
    await start_thread(layer)
    await layer.update_thread("t1", metadata={"a": {"b": 1}})
    thread = await layer.get_thread("t1")
    thread["metadata"]["a"]["b"] = 2
    thread["steps"].append("x")
    again = await layer.get_thread("t1")
    assert (again["metadata"], again["steps"]) == ({"a": {"b": 1}}, [])


async def test_steps_are_sorted_by_time_not_by_text(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("b", createdAt=at(1, "")))  # microseconds are left out when they are 0
    await layer.create_step(message("c", createdAt=at(1, ".000001")))
    await layer.create_step(message("a", createdAt=at(0, ".999999")))
    assert ids((await layer.get_thread("t1"))["steps"]) == ["a", "b", "c"]


async def test_parents_come_before_children_whatever_their_times(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(tool("child", parentId="run", createdAt=at(1)))
    await layer.create_step(tool("grandchild", parentId="child", createdAt=at(0)))
    await layer.create_step(tool("run", createdAt=at(2)))
    assert ids((await layer.get_thread("t1"))["steps"]) == ["run", "child", "grandchild"]


async def test_an_orphan_becomes_a_root(layer: Any) -> None:
    enter_bot("t1")
    await layer.create_step(tool("run", parentId="never-stored"))
    await layer.update_thread("t1", name="slack", user_id="alice")
    (step,) = (await layer.get_thread("t1"))["steps"]
    assert step["parentId"] is None


async def test_the_children_of_a_deleted_step_are_not_shown(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    await layer.create_step(tool("s2", parentId="s1"))
    await layer.delete_step("s1")
    assert ids((await layer.get_thread("t1"))["steps"]) == []


async def test_steps_in_a_circle_are_all_shown(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(tool("a", parentId="b"))
    await layer.create_step(tool("b", parentId="a"))
    await layer.create_step(tool("c", parentId="c"))
    assert sorted(ids((await layer.get_thread("t1"))["steps"])) == ["a", "b", "c"]


async def test_a_thread_of_more_than_a_megabyte_is_complete(layer: Any) -> None:
    await start_thread(layer)
    for n in range(12):
        await layer.create_step(tool(f"s{n}", output=f"{n}" * 120_000))
    assert len((await layer.get_thread("t1"))["steps"]) == 12


MALFORMED_STEPS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no-time": {"type": {"S": "tool"}},
    "no-type": {"createdAt": {"S": at(1)}},
    "odd-time": {"type": {"S": "tool"}, "createdAt": {"N": "5"}},
    "no-such-time": {"type": {"S": "tool"}, "createdAt": {"S": "yesterday"}},
    "odd-type": {"type": {"M": {}}, "createdAt": {"S": at(1)}},
}


@one_engine
@pytest.mark.parametrize("kind", MALFORMED_STEPS)
async def test_a_malformed_step_is_left_out_with_a_warning(
    layer: Any, put_row: PutRow, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    await start_thread(layer)
    await layer.create_step(message("sound"))
    put_row("THREAD#t1", f"STEP#{kind}", **MALFORMED_STEPS[kind])
    assert ids((await layer.get_thread("t1"))["steps"]) == ["sound"]
    assert [r.levelno for r in caplog.records if "malformed" in r.message] == [logging.WARNING]


async def test_a_step_with_fields_of_wrong_types_is_read(layer: Any, put_row: PutRow) -> None:
    await start_thread(layer)
    odd: dict[str, Any] = {
        "output": {"M": {"a": {"N": "1"}}},
        "name": {"N": "5"},
        "metadata": {"S": "x"},
        "parentId": {"N": "7"},
    }
    odd |= {"feedback": {"S": "good"}, "end": {"BOOL": True}, "tags": {"SS": ["a"]}, "input": {"B": b"\xff"}}
    put_row("THREAD#t1", "STEP#s1", type={"S": "tool"}, createdAt={"S": at(1)}, **odd)
    (step,) = (await layer.get_thread("t1"))["steps"]
    assert_clean(step)
    assert isinstance(step["output"], str)
    assert (step["metadata"], step["parentId"], step.get("feedback")) == ({}, None, None)


async def test_a_step_without_output_reads_as_empty_text(layer: Any, put_row: PutRow) -> None:
    await start_thread(layer)
    put_row("THREAD#t1", "STEP#s1", type={"S": "assistant_message"}, createdAt={"S": at(1)}, output={"NULL": True})
    (step,) = (await layer.get_thread("t1"))["steps"]
    assert (step["output"], step["name"], step["metadata"]) == ("", "", {})


async def test_a_malformed_element_is_left_out(layer: Any, put_row: PutRow) -> None:
    await start_thread(layer)
    put_row("THREAD#t1", "ELEMENT#e1")
    put_row("THREAD#t1", "ELEMENT#e2", type={"N": "1"}, name={"S": "x"})
    assert (await layer.get_thread("t1"))["elements"] == []


async def test_rows_of_unknown_kinds_are_left_out(layer: Any, put_row: PutRow) -> None:
    await start_thread(layer)
    put_row("THREAD#t1", "SOMETHING#else", a={"S": "x"})
    put_row("THREAD#t1", "THREAD#more", a={"S": "x"})
    thread = await layer.get_thread("t1")
    assert (thread["steps"], thread["elements"]) == ([], [])


async def test_a_thread_with_fields_of_wrong_types_is_read(layer: Any, put_row: PutRow) -> None:
    odd = {"name": {"N": "5"}, "metadata": {"S": "{}"}, "tags": {"S": "x"}, "userId": {"L": []}}
    put_row("THREAD#t1", "THREAD", createdAt={"N": "1"}, _fullName={"N": "1"}, **odd)
    thread = await layer.get_thread("t1")
    assert_clean(thread)
    assert (thread["name"], thread["userId"], thread["metadata"], thread["tags"]) == (None, None, {}, None)
    assert thread["createdAt"].endswith("Z")


async def test_rows_of_the_built_in_layer_are_read(layer: Any, put_row: PutRow) -> None:
    index = {"UserThreadPK": {"S": "USER#alice"}, "UserThreadSK": {"S": "TS#2026-10-01T10:00:00.123456Z"}}
    owner = {"userId": {"S": "alice"}, "userIdentifier": {"S": "alice"}}
    metadata = {"M": {"count": {"N": "3"}, "ratio": {"N": "0.5"}}}
    row = {"id": {"S": "old"}, "createdAt": {"S": "2026-10-01T10:00:00.123456Z"}, "name": {"S": "old chat"}}
    put_row("THREAD#old", "THREAD", metadata=metadata, **index, **owner, **row)
    feedback: dict[str, Any] = {"id": {"S": "THREAD#old::STEP#s1"}, "forId": {"S": "s1"}, "value": {"N": "1"}}
    feedback |= {"threadId": {"S": "old"}, "comment": {"NULL": True}}
    put_row("THREAD#old", "STEP#s1", **to_raw(message("s1", "old")), feedback={"M": feedback})
    thread = await layer.get_thread("old")
    assert_clean(thread)
    assert thread["metadata"] == {"count": 3, "ratio": 0.5}
    assert type(thread["metadata"]["count"]) is int
    assert thread["steps"][0]["feedback"] == {"id": "THREAD#old::STEP#s1", "forId": "s1", "value": 1, "comment": None}
    assert await layer.get_thread_author("old") == "alice"


async def test_feedback_the_built_in_layer_stored_can_be_changed_and_deleted(layer: Any, put_row: PutRow) -> None:
    from chainlit.types import Feedback

    await start_thread(layer, "old")
    feedback: dict[str, Any] = {"id": {"S": "THREAD#old::STEP#s1"}, "forId": {"S": "s1"}, "value": {"N": "1"}}
    feedback |= {"threadId": {"S": "old"}, "comment": {"NULL": True}}
    put_row("THREAD#old", "STEP#s1", **to_raw(message("s1", "old")), feedback={"M": feedback})
    kept = await layer.upsert_feedback(Feedback(forId="s1", value=0, threadId="old", id="THREAD#old::STEP#s1"))
    assert (await layer.get_thread("old"))["steps"][0]["feedback"]["value"] == 0
    assert await layer.delete_feedback(kept)
    assert "feedback" not in (await layer.get_thread("old"))["steps"][0]


def to_raw(step: dict[str, Any]) -> dict[str, Any]:
    """Give the attributes of a step as Chainlit's built-in layer writes them."""
    from boto3.dynamodb.types import TypeSerializer

    return {name: TypeSerializer().serialize(value) for name, value in step.items()}


async def test_the_owner_is_the_identifier_even_if_the_id_is_another(layer: Any, put_row: PutRow) -> None:
    put_row("USER#alice", "USER", id={"S": "uuid-7"}, identifier={"S": "alice"}, createdAt={"S": ALICE.createdAt})
    assert (await layer.get_user("alice")).id == "uuid-7"
    await layer.update_thread("t1", name="x", user_id="uuid-7")
    thread = await layer.get_thread("t1")
    assert (thread["userId"], thread["userIdentifier"]) == ("uuid-7", "alice")
    assert await layer.get_thread_author("t1") == "alice"
