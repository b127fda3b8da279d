"""upsert_feedback and delete_feedback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from chainlit.types import Feedback

from chainlit_dynamodb.errors import TransactionCancelledError
from chainlit_dynamodb.testing.transports import Failing
from tests.contract.chats import (
    assert_clean,
    enter_bot,
    keys_of,
    leave,
    message,
    one_engine,
    start_thread,
    steps_of,
    tool,
)
from tests.wiring import wrap

Rows = Callable[[], list[dict[str, Any]]]


def thumbs(value: int = 1, step_id: str = "run", **fields: Any) -> Any:
    return Feedback(**{"forId": step_id, "value": value, "threadId": "t1", **fields})


async def rated(layer: Any, **fields: Any) -> str:
    """Make a thread with a step that has feedback; be outside of sessions, as the HTTP route is."""
    await start_thread(layer)
    await layer.create_step(tool("run"))
    leave()
    feedback_id: str = await layer.upsert_feedback(thumbs(**fields))
    return feedback_id


async def test_feedback_is_on_its_step(layer: Any) -> None:
    feedback_id = await rated(layer, comment="well said")
    step = (await steps_of(layer))["run"]
    assert_clean(step)
    assert step["feedback"] == {"forId": "run", "id": feedback_id, "value": 1, "comment": "well said"}
    assert type(step["feedback"]["value"]) is int


async def test_the_id_is_put_on_the_object(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(tool("run"))
    feedback = thumbs()
    assert feedback.id is None
    assert await layer.upsert_feedback(feedback) == feedback.id != ""


async def test_a_second_upsert_replaces_and_keeps_the_id(layer: Any) -> None:
    feedback_id = await rated(layer, comment="first")
    assert await layer.upsert_feedback(thumbs(0, id=feedback_id)) == feedback_id
    assert (await steps_of(layer))["run"]["feedback"] == {
        "forId": "run",
        "id": feedback_id,
        "value": 0,
        "comment": None,
    }


async def test_a_long_comment_is_kept(layer: Any) -> None:
    await rated(layer, comment="x" * 20_000)
    assert len((await steps_of(layer))["run"]["feedback"]["comment"]) == 20_000


async def test_updates_of_the_step_leave_its_feedback(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(tool("run"))
    await layer.upsert_feedback(thumbs())
    await layer.update_step(tool("run", output="done", feedback={"value": 0}))
    await layer.create_step(tool("run"))
    assert (await steps_of(layer))["run"]["feedback"]["value"] == 1


async def test_feedback_in_a_step_dict_is_not_taken(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1", feedback={"value": 1, "id": "forged", "forId": "s1"}))
    assert "feedback" not in (await steps_of(layer))["s1"]


@one_engine
@pytest.mark.parametrize("step_id", ["unknown", "", "a\nb", "x" * 3000, "STEP#run", "\ud800"])
async def test_feedback_for_an_unknown_step_changes_nothing(layer: Any, rows: Rows, step_id: str) -> None:
    await rated(layer)
    before = rows()
    assert await layer.upsert_feedback(thumbs(step_id=step_id)) == ""
    assert rows() == before


@one_engine
@pytest.mark.parametrize("thread_id", ["unknown", "a\nb", "x" * 3000, "t1::STEP#run"])
async def test_feedback_for_an_unknown_thread_changes_nothing(layer: Any, rows: Rows, thread_id: str) -> None:
    await rated(layer)
    before = rows()
    assert await layer.upsert_feedback(thumbs(threadId=thread_id)) == ""
    assert rows() == before


async def test_deleted_feedback_leaves_no_trace(layer: Any, rows: Rows) -> None:
    await start_thread(layer)
    await layer.create_step(tool("run"))
    before = rows()
    feedback_id = await layer.upsert_feedback(thumbs())
    assert len(rows()) == len(before) + 1
    assert await layer.delete_feedback(feedback_id) is True
    assert rows() == before


async def test_changing_the_value_moves_the_marker(layer: Any, rows: Rows) -> None:
    await rated(layer, value=1)
    assert ("THREAD#t1", "FEEDBACK#1") in keys_of(rows())
    await layer.upsert_feedback(thumbs(0))
    assert [sk for _, sk in keys_of(rows()) if sk.startswith("FEEDBACK#")] == ["FEEDBACK#0"]


async def test_deleting_the_step_takes_the_marker(layer: Any, rows: Rows) -> None:
    await start_thread(layer)
    await layer.create_step(tool("run"))
    await layer.upsert_feedback(thumbs())
    await layer.delete_step("run")
    assert keys_of(rows()) == [("THREAD#t1", "THREAD")]


GARBAGE = ["", "garbage", "::", "THREAD#t1::STEP#run", "THREAD#x::STEP#y", "THREAD#a\nb::STEP#run", "e30", "W10"]
GARBAGE += ["WzEsMiwzXQ", "\ud800", "ÄÖ", "A" * 100_000, "WyJ0MSIsInJ1biIsIngiXQ", "null", "THREAD#::STEP#"]


@one_engine
@pytest.mark.parametrize("feedback_id", GARBAGE)
async def test_garbage_ids_are_refused_harmlessly(layer: Any, rows: Rows, feedback_id: str) -> None:
    await rated(layer)
    before = rows()
    assert await layer.delete_feedback(feedback_id) is False
    assert rows() == before


async def test_an_id_works_once(layer: Any) -> None:
    feedback_id = await rated(layer)
    assert await layer.delete_feedback(feedback_id) is True
    assert await layer.delete_feedback(feedback_id) is False


async def test_the_id_of_earlier_feedback_does_not_delete_later_feedback(layer: Any) -> None:
    first = await rated(layer)
    await layer.delete_feedback(first)
    second = await layer.upsert_feedback(thumbs())
    assert first != second
    assert await layer.delete_feedback(first) is False
    assert "feedback" in (await steps_of(layer))["run"]


async def test_a_step_id_with_colons_keeps_its_feedback_apart(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(tool("a::STEP#b"))
    feedback_id = await layer.upsert_feedback(thumbs(step_id="a::STEP#b"))
    assert await layer.delete_feedback(feedback_id) is True


async def test_another_process_deletes_by_id(layer: Any, make_layer: Any) -> None:
    feedback_id = await rated(layer)
    assert await make_layer().delete_feedback(feedback_id) is True
    assert "feedback" not in (await steps_of(layer))["run"]


async def bot_turn(layer: Any) -> None:
    enter_bot("t1")
    await layer.create_step(message("answer", type="assistant_message"))
    await layer.update_thread("t1", name="teams", user_id="alice")
    leave()


async def test_feedback_without_thread_finds_its_step(layer: Any) -> None:
    await bot_turn(layer)
    assert await layer.upsert_feedback(Feedback(forId="answer", value=1))
    assert (await steps_of(layer))["answer"]["feedback"]["value"] == 1


async def test_feedback_without_thread_finds_its_step_after_a_restart(layer: Any, make_layer: Any) -> None:
    await bot_turn(layer)
    assert await make_layer().upsert_feedback(Feedback(forId="answer", value=0))
    assert (await steps_of(layer))["answer"]["feedback"]["value"] == 0


async def test_feedback_without_thread_for_an_unknown_step_changes_nothing(layer: Any, rows: Rows) -> None:
    await bot_turn(layer)
    before = rows()
    assert await layer.upsert_feedback(Feedback(forId="unknown", value=1)) == ""
    assert rows() == before


async def test_a_web_chat_writes_no_lookup_row(layer: Any, rows: Rows) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    await layer.update_step(message("s1", output="x"))
    assert keys_of(rows()) == [("THREAD#t1", "STEP#s1"), ("THREAD#t1", "THREAD")]


async def test_a_lookup_row_cannot_be_taken_over(layer: Any, make_layer: Any) -> None:
    await bot_turn(layer)
    enter_bot("attack")
    await make_layer().create_step(message("answer", "attack"))
    leave()
    assert await make_layer().upsert_feedback(Feedback(forId="answer", value=1))
    assert "feedback" in (await steps_of(layer))["answer"]


async def test_a_deleted_bot_step_takes_its_lookup_row(layer: Any, rows: Rows) -> None:
    await bot_turn(layer)
    enter_bot("t1")
    await layer.delete_step("answer")
    assert keys_of(rows()) == [("THREAD#t1", "THREAD")]


async def test_feedback_waits_for_a_step_that_is_being_written(layer: Any) -> None:
    import asyncio

    await start_thread(layer)
    writing = asyncio.create_task(layer.create_step(tool("run")))
    await asyncio.sleep(0)
    assert await layer.upsert_feedback(thumbs())
    await writing


@one_engine
@pytest.mark.parametrize("what", ["setting", "deleting"])
async def test_what_others_keep_from_being_done_is_an_error_and_no_answer(layer: Any, what: str) -> None:
    feedback_id = await rated(layer)
    refusal = TransactionCancelledError("TransactWriteItems", ["ConditionalCheckFailed"])
    wrap(layer, lambda inner: Failing(inner, refusal, "TransactWriteItems"))
    with pytest.raises(TransactionCancelledError):
        await (layer.upsert_feedback(thumbs(value=0)) if what == "setting" else layer.delete_feedback(feedback_id))
