"""Any Python value at every public method: a typed error or a harmless answer, and no chat is the worse for it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from chainlit.element import CustomElement, Text
from fastapi import HTTPException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainlit_dynamodb import DynamoDBDataLayer
from chainlit_dynamodb.errors import ChainlitDynamoDBError
from tests.contract.chats import INTERNAL, enter_chat, listed, living, message, page_of, start_thread, steps_of
from tests.reliability.conftest import Rows, dynamodb_local
from tests.unit.values import any_text, anything

SECRET = "the user's own words"
KINDS_OF_ROWS = ("USER", "THREAD", "STEP", "ELEMENT#", "FEEDBACK#")

MANY = int(os.environ.get("BAD_INPUT_EXAMPLES", "50"))

pytestmark = dynamodb_local
bad_input = settings(
    max_examples=MANY,
    deadline=None,
    derandomize=MANY == 50,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

secrets = st.sampled_from([SECRET, {"text": SECRET}, [SECRET], {SECRET: 1}, SECRET.encode()])
values = anything | secrets
ids = (
    st.sampled_from(["t1", "s1", "e1"]) | any_text | st.sampled_from(["", "a" * 3000, "\x1f", "#", "a#b"]) | anything
)
ids_of_steps = ["id", "threadId", "parentId"]
fields_of_steps = ["createdAt", "start", "end", "output", "input", "name", "type", "metadata", "tags", "generation"]
fields_of_steps += ["feedback", "showInput", "PK", "SK", "_x", "UserThreadPK"]
changes_of_steps = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(ids_of_steps, ids), **dict.fromkeys(fields_of_steps, values)}
)
steps = values | changes_of_steps | changes_of_steps.map(lambda changes: {**message("s2"), **changes})


def make_element(kind: str, changes: dict[str, Any]) -> Any:
    made: Any = (
        CustomElement(id="e1", name="Chart", props={}, for_id="s1", thread_id="t1")
        if kind == "custom"
        else Text(id="e1", name="a.txt", content="x", for_id="s1", thread_id="t1")
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


ids_of_elements = ["id", "thread_id", "for_id", "path"]
fields_of_elements = ["name", "type", "url", "mime", "size", "display", "props", "content", "language"]
fields_of_elements += ["object_key", "chainlit_key"]
changes_of_elements = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(ids_of_elements, ids), **dict.fromkeys(fields_of_elements, values)}
)
elements = st.builds(make_element, st.sampled_from(["custom", "text"]), changes_of_elements) | anything
feedback = st.builds(
    lambda **given: SimpleNamespace(**given),
    forId=ids,
    threadId=ids,
    value=st.sampled_from([0, 1]) | values,
    id=values,
    comment=values,
)
users = st.builds(lambda **given: SimpleNamespace(**given), identifier=ids, metadata=values, display_name=values)
paginations = st.builds(lambda **given: SimpleNamespace(**given), first=values, cursor=values)
filters = st.builds(lambda **given: SimpleNamespace(**given), userId=ids, search=values, feedback=values)

CALLS: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
    "get_user": (ids,),
    "create_user": (users,),
    "upsert_feedback": (feedback,),
    "delete_feedback": (ids,),
    "create_element": (elements,),
    "get_element": (ids, ids),
    "delete_element": (ids, ids),
    "create_step": (steps,),
    "update_step": (steps,),
    "delete_step": (ids,),
    "get_thread_author": (ids,),
    "get_thread": (ids,),
    "update_thread": (ids, values, ids | st.none(), values, values),
    "delete_thread": (ids.filter(lambda i: i != "t1"),),
    "list_threads": (paginations, filters),
    "get_favorite_steps": (ids,),
    "set_step_favorite": (steps, values),
}


async def answer(call: Awaitable[Any]) -> Any:
    """Give the answer of a call, or fail if it is neither harmless nor a typed error without content."""
    try:
        return await call
    except (HTTPException, ChainlitDynamoDBError) as exc:
        error = exc
    assert getattr(error, "status_code", 400) == 400
    assert SECRET not in str(error)
    return None


async def assert_sound(layer: DynamoDBDataLayer, rows: Rows) -> None:
    """Fail unless every chat can be read, everything in it is JSON, and the table holds nothing strange."""
    for row in rows():
        assert row["SK"]["S"].startswith(KINDS_OF_ROWS)
    thread: Any = await layer.get_thread("t1")
    assert thread is not None
    json.dumps(thread, allow_nan=False)
    for thing in (thread, *thread["steps"], *thread["elements"]):
        assert not [key for key in thing if key in INTERNAL or key.startswith("_")]
    json.dumps([vars(page) for page in [(await page_of(layer)).pageInfo]])
    json.dumps((await page_of(layer)).data, allow_nan=False)
    json.dumps(await layer.get_favorite_steps("alice"), allow_nan=False)


def as_json(found: Any) -> Any:
    """Give an answer as Chainlit sends it."""
    return json.dumps(found if not hasattr(found, "to_dict") else found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("method", CALLS)
async def test_any_value_gets_a_typed_error_or_a_harmless_answer(
    layer: DynamoDBDataLayer, rows: Rows, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    call: Callable[..., Awaitable[Any]] = getattr(layer, method)

    @bad_input
    @given(st.tuples(*CALLS[method]))
    def try_it(arguments: tuple[Any, ...]) -> None:
        examples.append(arguments)

    examples: list[tuple[Any, ...]] = []
    try_it()
    with caplog.at_level(logging.DEBUG, logger="chainlit.DynamoDB"):
        for arguments in examples:
            enter_chat("t1")
            found = await answer(call(*arguments))
            if method.startswith(("get_t", "get_e", "get_f", "list")):
                as_json(found)
    assert SECRET not in caplog.text
    await assert_sound(layer, rows)
    assert await listed(layer) == ["t1"] or method == "update_thread"  # which may give it to another user


async def test_a_bad_write_leaves_no_trace_on_the_good_ones_of_the_same_burst(layer: DynamoDBDataLayer) -> None:
    await start_thread(layer)
    bad: Any
    for bad in (None, 3, {}, {"id": None}, {"id": "s2", "threadId": 7}, {"id": "\x00"}):
        enter_chat("t1")
        good = layer.create_step(message("s1", output="good"))
        await answer(layer.create_step(bad))
        await good
    assert (await steps_of(layer))["s1"]["output"] == "good"


@pytest.mark.parametrize("unknown", ["nobody", "", None, 3, "\x00", "a" * 5000])
async def test_an_unknown_id_makes_no_row(layer: DynamoDBDataLayer, rows: Rows, unknown: Any) -> None:
    enter_chat("t1")
    given: Any = SimpleNamespace(forId=unknown, threadId=unknown, value=1, comment=None, id=None)
    await answer(layer.upsert_feedback(given))
    await answer(layer.delete_feedback(unknown))
    await answer(layer.delete_step(unknown))
    await answer(layer.delete_element(unknown, unknown))
    await answer(layer.delete_thread(unknown))
    await answer(layer.update_thread(unknown, metadata={"a": 1}))
    await answer(layer.set_step_favorite({"id": unknown, "threadId": unknown}, True))
    assert living(rows()) == []
