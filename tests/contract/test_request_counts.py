"""How many requests a call takes where nothing is concurrent: guarding against late writes costs none."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from chainlit.element import CustomElement
from chainlit.types import Feedback
from chainlit.user import User

from chainlit_dynamodb.chat.writer import HOLD_SECONDS
from chainlit_dynamodb.testing.transports import Counting
from tests.contract.chats import enter_bot, enter_chat, message, one_engine, start_thread, steps_of, tool
from tests.wiring import wrap

pytestmark = one_engine

Call = Callable[[Any], Awaitable[Any]]


def custom() -> Any:
    return CustomElement(id="e1", name="Chart", props={}, for_id="s1", thread_id="t1")


CALLS: dict[str, tuple[Call, dict[str, int]]] = {
    "create_user": (lambda layer: layer.create_user(User("alice")), {"UpdateItem": 1}),
    "create_step": (lambda layer: layer.create_step(tool("s2")), {"UpdateItem": 1}),
    "create_user_message": (lambda layer: layer.create_step(message("s2")), {"UpdateItem": 1, "Query": 1}),
    "update_step": (lambda layer: layer.update_step(message("s1", output="new")), {"UpdateItem": 1}),
    "create_element": (lambda layer: layer.create_element(custom()), {"UpdateItem": 1}),
    "rename": (lambda layer: layer.update_thread("t1", name="new"), {"UpdateItem": 1}),
    "own": (lambda layer: layer.update_thread("t1", name="new", user_id="alice"), {"UpdateItem": 1}),
    "metadata": (lambda layer: layer.update_thread("t1", metadata={"a": 1}), {"GetItem": 1, "UpdateItem": 1}),
    "favorite": (lambda layer: layer.set_step_favorite(message("s1"), True), {"UpdateItem": 1}),
    "feedback": (
        lambda layer: layer.upsert_feedback(Feedback(forId="s1", threadId="t1", value=1)),
        {"BatchGetItem": 1, "TransactWriteItems": 1},
    ),
    "get_thread": (lambda layer: layer.get_thread("t1"), {"Query": 1}),
    "delete_step": (lambda layer: layer.delete_step("s1"), {"GetItem": 1, "PutItem": 1, "Query": 2}),
    "delete_element": (lambda layer: layer.delete_element("e1", "t1"), {"GetItem": 1, "PutItem": 1, "Query": 1}),
    "delete_thread": (
        lambda layer: layer.delete_thread("t1"),
        {"GetItem": 1, "PutItem": 2, "Query": 2, "BatchWriteItem": 1},
    ),
}


@pytest.fixture
async def counting(layer: Any) -> Counting:
    """Count requests from a chat of one message on."""
    await start_thread(layer)
    await layer.create_step(message("s1"))
    return wrap(layer, Counting)


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_takes_no_more_requests_than_it_needs(layer: Any, counting: Counting, call: str) -> None:
    do, expected = CALLS[call]
    await do(layer)
    assert counting.counts == Counter(expected)


async def test_a_message_in_a_chat_that_is_not_on_top_also_moves_it(layer: Any, counting: Counting) -> None:
    await start_thread(layer, "t2")
    enter_chat("t1")
    counting.counts.clear()
    await layer.create_step(message("s2"))
    assert counting.counts == Counter({"UpdateItem": 2, "Query": 1})


async def test_a_turn_is_one_write_for_each_of_its_steps(layer: Any, counting: Counting) -> None:
    steps = {name: tool(name, type=kind) for name, kind in [("run", "run"), ("tool", "tool")]}
    answer = message("answer", type="assistant_message", parentId="run")
    begun = [layer.create_step({**step, "end": None, "output": ""}) for step in steps.values()]
    ended = [layer.update_step(step) for step in steps.values()]
    tasks = [asyncio.create_task(call) for call in [layer.create_step(message("s2")), *begun, *ended]]
    await asyncio.gather(*tasks, layer.create_step(answer))
    assert counting.counts == Counter({"UpdateItem": 4, "Query": 1})
    assert {"run", "tool", "answer"} <= (await steps_of(layer)).keys()


async def test_a_tool_that_has_begun_is_there_for_a_reader_at_once(layer: Any, counting: Counting) -> None:
    begun = asyncio.create_task(layer.create_step(tool("s2", end=None)))
    await asyncio.sleep(0)
    assert "s2" in await steps_of(layer)
    await begun


async def test_what_began_before_the_first_message_is_not_held(make_layer: Any) -> None:
    layer = make_layer()
    session = enter_chat("t1", spoken=False)
    for number in range(3):
        await layer.create_step(tool(f"s{number}", end=None))
    enter_chat("t1")
    began = time.monotonic()
    await session.flush_method_queue()
    await start_thread(layer)
    assert len(await steps_of(layer)) == 3
    assert time.monotonic() - began < HOLD_SECONDS


async def test_what_a_bot_begins_is_not_held(make_layer: Any) -> None:
    layer = make_layer()
    enter_bot("t1")
    began = time.monotonic()
    await layer.create_step(tool("s1", end=None))
    assert time.monotonic() - began < HOLD_SECONDS


async def test_the_first_write_of_a_thread_looks_once_whether_it_is_deleted(make_layer: Any) -> None:
    await start_thread(make_layer())
    other = make_layer()
    counting = wrap(other, Counting)
    for number in range(3):
        await other.create_step(tool(f"s{number}"))
    assert counting.counts == Counter({"GetItem": 1, "UpdateItem": 3})


async def test_a_first_message_without_login_is_tried_once(make_layer: Any) -> None:
    layer = make_layer()
    counting = wrap(layer, Counting)
    enter_chat("t1", None)
    await asyncio.gather(layer.create_step(message("s1")), layer.update_thread("t1", name="hi"))
    assert counting.counts == Counter({"GetItem": 1, "UpdateItem": 3})


async def test_reading_a_chat_with_a_deleted_turn_again_takes_one_request(layer: Any, make_layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    await layer.create_step(tool("s2", parentId="s1"))
    await layer.delete_step("s1")
    first = make_layer()
    await first.get_thread("t1")
    await first.close()  # which waits until the turn is gone
    reader = make_layer()
    counting = wrap(reader, Counting)
    await reader.get_thread("t1")
    assert counting.counts == Counter({"Query": 1})
