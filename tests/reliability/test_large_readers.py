"""Who reads while large values are replaced, and what a lost or damaged part costs."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from chainlit.element import CustomElement
from chainlit.types import Feedback

from chainlit_dynamodb import DynamoDBDataLayer
from chainlit_dynamodb.dynamodb.packing import UNREADABLE
from chainlit_dynamodb.testing.transports import Meanwhile
from tests.contract.chats import ids, listed, living, page_of, start_thread, steps_of, tool
from tests.reliability.conftest import MakeLayer, Rows, dynamodb_local
from tests.reliability.values import KB, MB, PART, compressible, incompressible
from tests.wiring import wrap

BIG = 200 * KB
ROUNDS = 12
SETTLED_SECONDS = 30.0


def numbered(number: int, size: int = BIG) -> Any:
    """Give a step all of whose values tell the same number, some large and some not."""
    text = f"{number}|" + (incompressible(size, number) if number % 2 else f"{number}")
    return tool("s1", output=text, input=f"{number}|{incompressible(BIG, -number)}", name=str(number))


def chart(number: int) -> Any:
    """Give an element that tells its number twice."""
    props = {"n": number, "text": incompressible(BIG, number)}
    return CustomElement(id="e1", name=str(number), props=props, for_id="s1", thread_id="t1")


def numbers(step: dict[str, Any]) -> set[str]:
    return {step["name"], *(step[name].partition("|")[0] for name in ("output", "input"))}


@asynccontextmanager
async def reading(read: Callable[[], Any]) -> Any:
    """Read again and again meanwhile, and give what was seen."""
    seen: list[Any] = []
    stop = asyncio.Event()

    async def again() -> None:
        while not stop.is_set():
            seen.append(await read())

    reader = asyncio.create_task(again())
    yield seen
    stop.set()
    await asyncio.wait_for(reader, SETTLED_SECONDS)


async def test_a_reader_sees_all_values_of_a_step_before_or_all_after_a_change(make_layer: MakeLayer) -> None:
    writer, other = make_layer(), make_layer()
    await start_thread(writer)
    await writer.create_step(numbered(0))
    async with reading(lambda: steps_of(other)) as seen:
        for number in range(1, ROUNDS):
            await writer.update_step(numbered(number))
    assert len(seen) > 3
    assert [numbers(found["s1"]) for found in seen if len(numbers(found["s1"])) > 1] == []


async def test_a_reader_never_sees_less_than_a_whole_step_while_it_is_deleted(make_layer: MakeLayer) -> None:
    writer, other = make_layer(), make_layer()
    await start_thread(writer)
    async with reading(lambda: steps_of(other)) as seen:
        for number in range(ROUNDS):
            step_id = f"s{number}"
            step: Any = {**numbered(1), "id": step_id}
            await writer.create_step(step)
            await writer.delete_step(step_id)
    whole = numbered(1)["output"]
    assert all(step["output"] == whole for found in seen for step in found.values())


async def test_a_reader_never_sees_a_mixture_of_metadata(make_layer: MakeLayer) -> None:
    writer, other = make_layer(), make_layer()
    await start_thread(writer)

    async def read() -> Any:
        thread: Any = await other.get_thread("t1")
        return thread["metadata"]

    async with reading(read) as seen:
        for number in range(ROUNDS):
            text = incompressible(BIG, number) if number % 2 else "short"
            await writer.update_thread("t1", metadata={"n": number, "text": text, "again": [number]})
    assert all(metadata["again"] == [metadata["n"]] for metadata in seen if metadata)
    assert UNREADABLE not in seen


async def test_an_element_that_is_replaced_all_the_time_is_always_there(make_layer: MakeLayer) -> None:
    writer, other = make_layer(), make_layer()
    await start_thread(writer)

    await writer.create_element(chart(0))
    async with reading(lambda: other.get_element("t1", "e1")) as seen:
        for number in range(1, ROUNDS):
            await writer.create_element(chart(number))
    assert [e for e in seen if e is None or e["props"]["n"] != int(e["name"])] == []


@dynamodb_local
async def test_a_step_replaced_in_the_middle_of_a_read_is_read_again_whole(make_layer: MakeLayer) -> None:
    writer, other = make_layer(), make_layer()
    await start_thread(writer)
    await writer.create_step(numbered(1, size=2 * MB))
    wrap(
        other,
        lambda inner: Meanwhile(
            inner,
            "Query",
            lambda: writer.update_step(numbered(3, size=2 * MB)),
            lambda: writer.update_step(numbered(4)),
        ),
    )
    assert numbers((await steps_of(other))["s1"]) in ({"3"}, {"4"})


@dynamodb_local
async def test_a_step_deleted_in_the_middle_of_a_read_is_not_there(make_layer: MakeLayer) -> None:
    writer, other = make_layer(), make_layer()
    await start_thread(writer)
    await writer.create_step(numbered(1, size=2 * MB))
    wrap(other, lambda inner: Meanwhile(inner, "Query", lambda: writer.delete_step("s1")))
    assert await steps_of(other) == {}


@dynamodb_local
async def test_a_thread_deleted_in_the_middle_of_a_read_is_not_there(make_layer: MakeLayer) -> None:
    writer, other = make_layer(), make_layer()
    await start_thread(writer)
    await writer.create_step(numbered(1, size=2 * MB))
    wrap(other, lambda inner: Meanwhile(inner, "Query", lambda: writer.delete_thread("t1")))
    assert await other.get_thread("t1") is None


async def test_an_element_replaced_in_the_middle_of_a_read_is_read_again_whole(make_layer: MakeLayer) -> None:
    writer, other = make_layer(), make_layer()
    await start_thread(writer)
    await writer.create_element(chart(1))
    changes = [lambda n=n: writer.create_element(chart(n)) for n in (2, 3)]
    wrap(other, lambda inner: Meanwhile(inner, "GetItem", *changes))
    element: Any = await other.get_element("t1", "e1")
    assert element == {**element, "name": "3", "props": chart(3).props}


async def test_an_element_deleted_in_the_middle_of_a_read_is_not_there(make_layer: MakeLayer) -> None:
    writer, other = make_layer(), make_layer()
    await start_thread(writer)
    await writer.create_element(chart(1))
    wrap(other, lambda inner: Meanwhile(inner, "GetItem", lambda: writer.delete_element("e1", "t1")))
    assert await other.get_element("t1", "e1") is None


async def test_a_favourite_deleted_in_the_middle_of_a_read_is_not_there(make_layer: MakeLayer) -> None:
    writer, other = make_layer(), make_layer()
    await start_thread(writer)
    await writer.create_step(numbered(1))
    await writer.set_step_favorite(numbered(1), True)
    wrap(other, lambda inner: Meanwhile(inner, "BatchGetItem", lambda: writer.delete_step("s1")))
    assert await other.get_favorite_steps("alice") == []


def damage(part: dict[str, Any]) -> dict[str, Any]:
    content = base64.b64decode(base64.b64encode(part["data"]["B"]))
    return {**part, "data": {"B": content[:-1] + bytes([content[-1] ^ 1])}}


@pytest.fixture
def spoil(dynamodb_client: Any, table_name: str, rows: Rows) -> Callable[[str, str], None]:
    """Lose or damage the last part of an attribute."""

    def spoil(how: str, attribute: str) -> None:
        part = [row for row in rows() if f"{PART}{attribute}{PART}" in row["SK"]["S"]][-1]
        if how == "damaged":
            dynamodb_client.put_item(TableName=table_name, Item=damage(part))
        elif how == "of another type":
            dynamodb_client.put_item(TableName=table_name, Item={**part, "data": {"N": "1"}})
        else:
            dynamodb_client.delete_item(TableName=table_name, Key={name: part[name] for name in ("PK", "SK")})

    return spoil


async def a_chat_of_large_values(layer: DynamoDBDataLayer) -> None:
    await start_thread(layer, name=incompressible(BIG))
    await layer.update_thread("t1", metadata={"state": incompressible(BIG)})
    await layer.create_step(tool("s1", output=incompressible(MB), input="in"))
    await layer.create_step(tool("s2", output=compressible(MB)))
    props = {"text": incompressible(BIG)}
    await layer.create_element(CustomElement(id="e1", name="Chart", props=props, for_id="s1", thread_id="t1"))
    comment = Feedback(forId="s1", threadId="t1", value=1, comment=incompressible(BIG))
    await layer.upsert_feedback(comment)


@pytest.mark.parametrize("how", ["lost", "damaged", "of another type"])
@pytest.mark.parametrize("attribute", ["output", "props", "metadata", "_fullName", "_feedbackComment"])
async def test_a_part_that_cannot_be_read_costs_its_value_only(
    layer: DynamoDBDataLayer,
    spoil: Callable[[str, str], None],
    attribute: str,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chainlit_dynamodb.arguments.NAME_CHARS", BIG)  # as before there was a limit
    monkeypatch.setattr("chainlit_dynamodb.arguments.COMMENT_CHARS", BIG)
    await a_chat_of_large_values(layer)
    spoil(how, attribute)
    thread: Any = await layer.get_thread("t1")
    steps = {step["id"]: step for step in thread["steps"]}
    values = {
        "output": steps["s1"]["output"],
        "props": thread["elements"][0]["props"],
        "_feedbackComment": steps["s1"]["feedback"]["comment"],
        "_fullName": thread["name"],
    }
    assert {name for name, value in values.items() if value == UNREADABLE} == {attribute} - {"metadata"}
    assert thread["metadata"] == ({} if attribute == "metadata" else {"state": incompressible(BIG)})
    assert (steps["s1"]["input"], steps["s2"]["output"]) == ("in", compressible(MB))
    assert await listed(layer) == ["t1"]


async def test_a_note_that_is_damaged_costs_its_value_only(
    layer: DynamoDBDataLayer, dynamodb_client: Any, table_name: str, rows: Rows
) -> None:
    await a_chat_of_large_values(layer)
    (row,) = (row for row in rows() if row["SK"]["S"] == "STEP#s1")
    note = bytes(row["output"]["B"])
    for spoilt in (note[:-5], note[:20] + b"\xff" * (len(note) - 20)):
        dynamodb_client.put_item(TableName=table_name, Item={**row, "output": {"B": spoilt}})
        steps = await steps_of(layer)
        assert (steps["s1"]["output"], steps["s1"]["input"]) == (UNREADABLE, "in")
        assert steps["s2"]["output"] == compressible(MB)


async def test_a_damaged_value_is_whole_again_once_it_is_written_again(
    layer: DynamoDBDataLayer, spoil: Callable[[str, str], None], rows: Rows
) -> None:
    await start_thread(layer)
    await layer.create_step(tool("s1", output=incompressible(MB)))
    spoil("lost", "output")
    await layer.update_step(tool("s1", output=incompressible(MB, 2)))
    assert (await steps_of(layer))["s1"]["output"] == incompressible(MB, 2)


async def test_parts_without_an_owner_are_ignored(
    layer: DynamoDBDataLayer, dynamodb_client: Any, table_name: str, rows: Rows
) -> None:
    await a_chat_of_large_values(layer)
    owners = ("STEP#s1", "ELEMENT#e1", "THREAD")
    for row in rows():
        if row["SK"]["S"] in owners:
            key = {name: row[name] for name in ("PK", "SK")}
            dynamodb_client.delete_item(TableName=table_name, Key=key)
    assert await layer.get_thread("t1") is None
    assert await layer.get_element("t1", "e1") is None
    await start_thread(layer)
    thread: Any = await layer.get_thread("t1")
    assert ids(thread["steps"]) == ["s2"]
    assert thread["elements"] == []
    assert len((await page_of(layer)).data) == 1


async def test_parts_an_interrupted_write_has_left_go_with_the_step(
    layer: DynamoDBDataLayer, dynamodb_client: Any, table_name: str, rows: Rows
) -> None:
    await start_thread(layer)
    await layer.create_step(tool("s1", output="small"))
    sk = PART.join(("STEP#s1", "output", "0123456789abcdef", "00000"))
    orphan = {"PK": {"S": "THREAD#t1"}, "SK": {"S": sk}, "data": {"B": b"\x01left"}}
    dynamodb_client.put_item(TableName=table_name, Item=orphan)
    await layer.delete_step("s1")
    assert [row["SK"]["S"] for row in living(rows()) if row["PK"]["S"] == "THREAD#t1"] == ["THREAD"]
