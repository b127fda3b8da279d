"""Values of any size: stored, read by every reader, replaced, deleted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from chainlit.element import CustomElement
from chainlit.types import Feedback

from chainlit_dynamodb import DynamoDBDataLayer
from chainlit_dynamodb.limits import COMMENT_CHARS, NAME_CHARS
from tests.contract.chats import (
    ALICE,
    assert_clean,
    enter_chat,
    ids,
    listed,
    message,
    page_of,
    start_thread,
    steps_of,
    tool,
)
from tests.reliability.conftest import MakeLayer, Rows, dynamodb_local
from tests.reliability.values import KB, MB, compressible, generations, incompressible, part_rows, texts

SIZES = [4 * KB, 70 * KB, 450 * KB]
BIG = 450 * KB


def custom(props: dict[str, Any]) -> Any:
    return CustomElement(id="e1", name="Chart", props=props, for_id="s1", thread_id="t1")


def opinion(comment: str, value: Any = 1) -> Any:
    return Feedback(forId="s1", threadId="t1", value=value, comment=comment)


@pytest.mark.parametrize("kind", ["incompressible", "compressible"])
@pytest.mark.parametrize("size", SIZES)
async def test_every_value_of_a_step_comes_back_whatever_its_size(
    layer: DynamoDBDataLayer, size: int, kind: str
) -> None:
    await start_thread(layer)
    text = texts(size)[kind]
    nested = {"messages": [{"role": "user", "content": text, "n": 1, "x": 0.5}], "ok": True, "none": None}
    stored = tool("s1", input=text, output=text, generation=nested, metadata=nested)
    await layer.create_step(stored)
    step = (await steps_of(layer))["s1"]
    assert {name: step[name] for name in ("input", "output", "generation", "metadata")} == {
        "input": text,
        "output": text,
        "generation": nested,
        "metadata": nested,
    }
    assert_clean(step)


@dynamodb_local
async def test_a_step_of_20_megabytes_comes_back(layer: DynamoDBDataLayer) -> None:
    await start_thread(layer)
    text = incompressible(20 * MB)
    await layer.create_step(message("s1", output=text))
    assert (await steps_of(layer))["s1"]["output"] == text


@pytest.mark.parametrize("kind", ["incompressible", "compressible"])
@pytest.mark.parametrize("size", [70 * KB, MB + 5])
async def test_metadata_of_a_thread_comes_back_whatever_its_size(
    layer: DynamoDBDataLayer, size: int, kind: str
) -> None:
    await start_thread(layer)
    await layer.update_thread("t1", metadata={"state": texts(size)[kind], "count": 3})
    await layer.update_thread("t1", metadata={"small": True})
    thread: Any = await layer.get_thread("t1")
    assert thread["metadata"] == {"state": texts(size)[kind], "count": 3, "small": True}


async def test_lists_show_small_entries_of_large_metadata(layer: DynamoDBDataLayer) -> None:
    await start_thread(layer)
    await layer.update_thread("t1", metadata={"state": incompressible(MB), "is_shared": True})
    (thread,) = (await page_of(layer)).data
    assert thread["metadata"] == {"is_shared": True}


@pytest.mark.parametrize("size", [1_001, 5 * KB, NAME_CHARS])
async def test_a_name_comes_back_whatever_its_length(layer: DynamoDBDataLayer, size: int) -> None:
    name = incompressible(size)
    await start_thread(layer, name=name)
    thread: Any = await layer.get_thread("t1")
    assert thread["name"] == name
    (shown,) = (await page_of(layer)).data
    assert name.startswith(shown["name"])
    assert await listed(layer, search=name[size - 12 :]) == ["t1"]


@pytest.mark.parametrize("size", SIZES)
async def test_props_of_an_element_come_back_whatever_their_size(layer: DynamoDBDataLayer, size: int) -> None:
    await start_thread(layer)
    props = {"rows": [incompressible(size)], "n": 1}
    await layer.create_element(custom(props))
    element: Any = await layer.get_element("t1", "e1")
    thread: Any = await layer.get_thread("t1")
    assert element["props"] == props
    assert [e["props"] for e in thread["elements"]] == [props]


@pytest.mark.parametrize("size", [4 * KB, 70 * KB, COMMENT_CHARS])
async def test_a_comment_comes_back_whatever_its_length(layer: DynamoDBDataLayer, size: int) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    await layer.upsert_feedback(opinion(incompressible(size)))
    assert (await steps_of(layer))["s1"]["feedback"]["comment"] == incompressible(size)


async def test_a_favourite_is_listed_whole(layer: DynamoDBDataLayer) -> None:
    await start_thread(layer)
    large = message("s1", output=incompressible(BIG), metadata={"trace": incompressible(BIG, 1)})
    await layer.create_step(large)
    await layer.set_step_favorite(large, True)
    (step,) = await layer.get_favorite_steps("alice")
    assert step["output"] == large["output"]
    assert step["metadata"] == {**large["metadata"], "favorite": True}


async def test_metadata_of_a_user_comes_back_whatever_its_size(make_layer: MakeLayer) -> None:
    metadata = {"picture": incompressible(MB)}
    await make_layer().create_user(type(ALICE)(id="x", createdAt="", identifier="alice", metadata=metadata))
    found = await make_layer().get_user("alice")
    assert found is not None
    assert found.metadata == metadata


@pytest.mark.parametrize("size", [10, 100 * KB, MB])
async def test_a_replaced_value_leaves_no_part_behind(layer: DynamoDBDataLayer, rows: Rows, size: int) -> None:
    await start_thread(layer)
    await layer.create_step(tool("s1", output=incompressible(MB), input=incompressible(BIG, 1)))
    before = generations(rows())
    await layer.update_step(tool("s1", output=incompressible(size, 2), input="small"))
    after = generations(rows())
    assert (await steps_of(layer))["s1"]["output"] == incompressible(size, 2)
    assert not before & after
    assert {attribute for _, attribute, _ in after} == ({"output"} if size > 64 * KB else set())
    assert len(after) <= 1


@pytest.mark.parametrize("attribute", ["metadata", "name", "props", "comment"])
async def test_nothing_is_left_of_what_was_replaced_by_something_small(
    layer: DynamoDBDataLayer, rows: Rows, attribute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chainlit_dynamodb.arguments.NAME_CHARS", BIG)  # as before there was a limit
    await start_thread(layer)
    await layer.create_step(message("s1"))
    for text in (incompressible(BIG), "small"):
        if attribute == "metadata":
            await layer.update_thread("t1", metadata={"state": text})
        elif attribute == "name":
            await layer.update_thread("t1", name=text)
        elif attribute == "props":
            await layer.create_element(custom({"text": text}))
        else:
            await layer.upsert_feedback(opinion(text[:COMMENT_CHARS]))
        assert bool(part_rows(rows())) == (text != "small")


async def test_an_entry_taken_away_takes_its_parts_along(layer: DynamoDBDataLayer, rows: Rows) -> None:
    await start_thread(layer)
    await layer.update_thread("t1", metadata={"state": incompressible(BIG)})
    await layer.update_thread("t1", metadata={"state": None})
    assert part_rows(rows()) == []


async def test_a_creation_that_comes_late_leaves_no_parts(layer: DynamoDBDataLayer, rows: Rows) -> None:
    await start_thread(layer)
    await layer.update_step(message("s1", output=incompressible(BIG, 1)))
    await layer.create_step(message("s1", output=incompressible(BIG, 2)))
    assert (await steps_of(layer))["s1"]["output"] == incompressible(BIG, 1)
    assert len(generations(rows())) == 1


@pytest.mark.parametrize("what", ["step", "element", "feedback", "thread"])
async def test_parts_go_with_their_owner(layer: DynamoDBDataLayer, rows: Rows, what: str) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1", output="" if what == "feedback" else incompressible(BIG)))
    await layer.create_element(custom({"text": incompressible(BIG)}))
    feedback_id = await layer.upsert_feedback(opinion(incompressible(BIG)))
    if what == "step":
        await layer.delete_step("s1")
    elif what == "element":
        await layer.delete_element("e1", "t1")
    elif what == "feedback":
        await layer.delete_feedback(feedback_id)
    else:
        await layer.delete_thread("t1")
    left = {owner.partition("#")[0] for owner, _, _ in generations(rows())}
    assert left == {"step": set(), "element": {"STEP"}, "feedback": {"ELEMENT"}, "thread": set()}[what]


async def test_without_compression_large_values_are_split_as_they_are(make_layer: MakeLayer, rows: Rows) -> None:
    layer = make_layer(compress_above=None)
    await start_thread(layer)
    await layer.create_step(message("s1", output=compressible(MB)))
    assert len(part_rows(rows())) >= 4
    assert (await steps_of(layer))["s1"]["output"] == compressible(MB)


@pytest.mark.parametrize(("writer", "reader"), [(None, 4096), (4096, None), (0, None)])
async def test_compression_may_be_turned_on_and_off_at_any_time(
    make_layer: MakeLayer, rows: Rows, writer: int | None, reader: int | None
) -> None:
    before, after = make_layer(compress_above=writer), make_layer(compress_above=reader)
    await start_thread(before)
    await before.create_step(tool("s1", output=compressible(MB), input=incompressible(BIG)))
    assert (await steps_of(after))["s1"]["output"] == compressible(MB)
    await after.update_step(tool("s1", output=compressible(MB, 7), input=compressible(10 * KB)))
    step = (await steps_of(before))["s1"]
    assert (step["output"], step["input"]) == (compressible(MB, 7), compressible(10 * KB))
    assert {attribute for _, attribute, _ in generations(rows())} <= {"output"}


async def test_a_row_of_many_values_that_are_not_large_fits_all_the_same(layer: DynamoDBDataLayer) -> None:
    await start_thread(layer)
    extra = {f"field{n}": incompressible(30 * KB, n) for n in range(20)}
    await layer.create_step(tool("s1", **extra))
    step = (await steps_of(layer))["s1"]
    assert {name: step[name] for name in extra} == extra


async def test_many_large_steps_of_one_burst_all_come_back(layer: DynamoDBDataLayer) -> None:
    await start_thread(layer)
    steps = [message(f"s{n}", output=incompressible(BIG, n)) for n in range(12)]
    await asyncio.gather(*map(layer.create_step, steps))
    found = await steps_of(layer)
    assert {step["id"]: step["output"] for step in steps} == {key: step["output"] for key, step in found.items()}


async def test_a_thread_of_large_steps_is_in_order(layer: DynamoDBDataLayer) -> None:
    await start_thread(layer)
    for n in range(3):
        created = f"2026-11-01T10:00:0{n}.000000Z"
        await layer.create_step(message(f"s{9 - n}", output=incompressible(MB, n), createdAt=created))
    enter_chat("t1")
    thread: Any = await layer.get_thread("t1")
    assert ids(thread["steps"]) == ["s9", "s8", "s7"]
