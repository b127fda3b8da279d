"""Attempts that time out and are executed later, and answers that get lost: what is newer stays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from chainlit.element import CustomElement

from chainlit_dynamodb import DynamoDBDataLayer
from chainlit_dynamodb.testing.transports import ExecutingLate, LosingAnswers
from tests.contract.chats import listed, message, start_thread, steps_of
from tests.reliability.conftest import MakeLayer, Rows, dynamodb_local
from tests.reliability.values import KB, generations, incompressible
from tests.wiring import wrap

pytestmark = dynamodb_local

LARGE = 300 * KB
SHARED = {"is_shared": True, "shared_at": "2026-11-01", "notes": incompressible(40 * KB)}
LARGER_THAN_A_THREADS_ROW = {"history": incompressible(60 * KB, 1)}


def row_of(rows: Rows, sk: str) -> Any:
    return next((row for row in rows() if row["SK"]["S"] == sk), None)


async def metadata_of(layer: DynamoDBDataLayer) -> Any:
    thread: Any = await layer.get_thread("t1")
    return thread["metadata"]


def custom(props: Any) -> Any:
    return CustomElement(id="e1", name="Chart", props=props, for_id="s1", thread_id="t1")


@pytest.fixture
async def chat(layer: DynamoDBDataLayer) -> DynamoDBDataLayer:
    """The layer, with a chat of one message."""
    await start_thread(layer)
    await layer.create_step(message("s1", output="v0"))
    return layer


def late(layer: DynamoDBDataLayer, sk: str = "STEP#s1") -> ExecutingLate:
    return wrap(layer, lambda inner: ExecutingLate(inner, "UpdateItem", sk))


# Lost answers.


async def test_metadata_whose_answer_is_lost_is_there_with_what_was_before(chat: Any, make_layer: MakeLayer) -> None:
    await chat.update_thread("t1", metadata=SHARED)
    losing = wrap(chat, lambda inner: LosingAnswers(inner, "UpdateItem", "THREAD"))
    await chat.update_thread("t1", metadata=LARGER_THAN_A_THREADS_ROW)
    assert losing.lost == 1
    assert await metadata_of(make_layer()) == {**SHARED, **LARGER_THAN_A_THREADS_ROW}


async def test_the_next_merge_after_a_lost_answer_loses_nothing(chat: Any, make_layer: MakeLayer) -> None:
    await chat.update_thread("t1", metadata=SHARED)
    wrap(chat, lambda inner: LosingAnswers(inner, "UpdateItem", "THREAD"))
    await chat.update_thread("t1", metadata=LARGER_THAN_A_THREADS_ROW)
    await chat.update_thread("t1", metadata={"a": 1})
    assert await metadata_of(make_layer()) == {**SHARED, **LARGER_THAN_A_THREADS_ROW, "a": 1}


async def test_metadata_whose_answer_is_lost_while_another_server_renames_is_readable(
    chat: Any, make_layer: MakeLayer
) -> None:
    other = make_layer()
    await chat.update_thread("t1", metadata=SHARED)
    wrap(
        chat,
        lambda inner: LosingAnswers(
            inner, "UpdateItem", "THREAD", meanwhile=lambda: other.update_thread("t1", name="renamed")
        ),
    )
    await chat.update_thread("t1", metadata=LARGER_THAN_A_THREADS_ROW)
    thread: Any = await other.get_thread("t1")
    assert thread["metadata"] == {**SHARED, **LARGER_THAN_A_THREADS_ROW}
    assert thread["name"] == "renamed"


async def test_metadata_whose_answer_is_lost_while_another_server_merges_has_both(
    chat: Any, make_layer: MakeLayer
) -> None:
    other = make_layer()
    await chat.update_thread("t1", metadata=SHARED)
    wrap(
        chat,
        lambda inner: LosingAnswers(
            inner, "UpdateItem", "THREAD", meanwhile=lambda: other.update_thread("t1", metadata={"b": 2})
        ),
    )
    await chat.update_thread("t1", metadata=LARGER_THAN_A_THREADS_ROW)
    assert await metadata_of(make_layer()) == {**SHARED, **LARGER_THAN_A_THREADS_ROW, "b": 2}


async def test_a_large_value_whose_answer_is_lost_while_another_server_writes_is_never_unreadable(
    chat: Any, make_layer: MakeLayer
) -> None:
    other, output, seen = make_layer(), incompressible(LARGE), []

    async def write_and_read() -> None:
        await other.update_step({"id": "s1", "threadId": "t1", "name": "elsewhere"})

    wrap(chat, lambda inner: LosingAnswers(inner, "UpdateItem", "STEP#s1", meanwhile=write_and_read))
    writing = asyncio.create_task(chat.update_step(message("s1", output=output)))
    while not writing.done():
        await asyncio.sleep(0.005)
        seen.append((await steps_of(other))["s1"]["output"])
    assert {text for text in seen if text not in ("v0", output)} == set()
    assert (await steps_of(other))["s1"]["output"] == output


async def test_a_lost_answer_leaves_no_part_that_is_not_named(chat: Any, rows: Rows) -> None:
    wrap(chat, lambda inner: LosingAnswers(inner, "UpdateItem", "STEP#s1"))
    await chat.update_step(message("s1", output=incompressible(LARGE)))
    assert len(generations(rows())) == 1


async def test_a_new_thread_whose_answer_is_lost_is_made_once(layer: Any, make_layer: MakeLayer) -> None:
    wrap(layer, lambda inner: LosingAnswers(inner, "UpdateItem", "THREAD"))
    await start_thread(layer, name="a chat")
    assert await listed(make_layer()) == ["t1"]


# Attempts that are executed late.


async def test_a_late_attempt_does_not_take_a_step_back(chat: Any, make_layer: MakeLayer) -> None:
    first = late(chat)
    await chat.update_step(message("s1", output="v1"))
    await chat.update_step(message("s1", output="v2"))
    await first.execute()
    assert (await steps_of(make_layer()))["s1"]["output"] == "v2"


async def test_a_late_attempt_does_not_take_back_what_another_server_wrote(chat: Any, make_layer: MakeLayer) -> None:
    first = late(chat)
    await chat.update_step(message("s1", output="v1"))
    await make_layer().update_step(message("s1", output="v2"))
    await first.execute()
    assert (await steps_of(make_layer()))["s1"]["output"] == "v2"


async def test_a_large_value_stays_readable_after_a_late_attempt(chat: Any, make_layer: MakeLayer) -> None:
    outputs = [incompressible(LARGE, number) for number in range(2)]
    first = late(chat)
    for output in outputs:
        await chat.update_step(message("s1", output=output))
    await first.execute()
    assert (await steps_of(make_layer()))["s1"]["output"] == outputs[-1]


async def test_a_late_attempt_does_not_bring_a_deleted_step_back(chat: Any, make_layer: MakeLayer) -> None:
    first = late(chat)
    await chat.update_step(message("s1", output="v1"))
    await chat.delete_step("s1")
    await first.execute()
    assert await steps_of(make_layer()) == {}


async def test_a_late_creation_does_not_bring_a_deleted_step_back(layer: Any, make_layer: MakeLayer) -> None:
    await start_thread(layer)
    first = late(layer, "STEP#s2")
    await layer.create_step(message("s2"))
    await layer.delete_step("s2")
    await first.execute()
    assert await steps_of(make_layer()) == {}


async def test_a_late_attempt_does_not_bring_a_deleted_element_back(chat: Any, make_layer: MakeLayer) -> None:
    first = late(chat, "ELEMENT#e1")
    await chat.create_element(custom({"n": 1}))
    await chat.delete_element("e1", "t1")
    await first.execute()
    assert await make_layer().get_element("t1", "e1") is None


async def test_a_late_attempt_does_not_bring_an_element_back_whose_deletion_was_asked_for_meanwhile(
    chat: Any, make_layer: MakeLayer
) -> None:
    first = late(chat, "ELEMENT#e1")
    creating = asyncio.create_task(chat.create_element(custom({"n": 1})))
    await asyncio.sleep(0)
    await asyncio.gather(creating, chat.delete_element("e1", "t1"))
    await first.execute()
    assert await make_layer().get_element("t1", "e1") is None


async def test_a_late_attempt_does_not_take_an_elements_props_back(chat: Any, make_layer: MakeLayer) -> None:
    first = late(chat, "ELEMENT#e1")
    await chat.create_element(custom({"n": 1}))
    await chat.create_element(custom({"n": 2}))
    await first.execute()
    element: Any = await make_layer().get_element("t1", "e1")
    assert element["props"] == {"n": 2}


async def test_a_late_attempt_does_not_take_a_name_back(chat: Any, make_layer: MakeLayer) -> None:
    first = late(chat, "THREAD")
    await chat.update_thread("t1", name="first")
    await chat.update_thread("t1", name="second")
    await first.execute()
    thread: Any = await make_layer().get_thread("t1")
    assert thread["name"] == "second"


async def test_a_late_attempt_does_not_move_a_chat_back_down(layer: Any, make_layer: MakeLayer, rows: Rows) -> None:
    first = late(layer, "THREAD")
    await start_thread(layer)
    await start_thread(layer, "t2")
    await layer.create_step(message("s1", "t1"))
    place = row_of(rows, "THREAD")["UserThreadSK"]
    await first.execute()
    assert row_of(rows, "THREAD")["UserThreadSK"] == place
    assert await listed(make_layer()) == ["t1", "t2"]


async def test_a_late_attempt_does_not_light_a_star_again(chat: Any, make_layer: MakeLayer) -> None:
    first = late(chat)
    await chat.set_step_favorite(message("s1"), True)
    await chat.set_step_favorite(message("s1"), False)
    await first.execute()
    assert await make_layer().get_favorite_steps("alice") == []


async def test_a_late_attempt_does_not_bring_a_deleted_thread_back(chat: Any, make_layer: MakeLayer) -> None:
    first = late(chat, "THREAD")
    await chat.update_thread("t1", name="late", metadata=SHARED)
    await chat.delete_thread("t1")
    await first.execute()
    assert await make_layer().get_thread("t1") is None
    assert await listed(make_layer()) == []
