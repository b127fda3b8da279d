"""A process is killed at each request of an operation in turn. What is seen is whole; asking again finishes it."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from chainlit.element import CustomElement, Text
from chainlit.types import Feedback

from chainlit_dynamodb import DynamoDBDataLayer, LocalStorageClient
from tests.contract.chats import enter_bot, ids, listed, living, message, page_of, start_thread, steps_of, tool
from tests.reliability.conftest import MakeLayer, Rows, dynamodb_local
from tests.reliability.death import killed
from tests.reliability.values import KB, incompressible, part_rows
from tests.reliability.waiting import eventually, files_of

pytestmark = [dynamodb_local, pytest.mark.parametrize("after", [False, True], ids=["before", "after"])]

LARGE = 150 * KB
MOST_REQUESTS = 60


@pytest.fixture(autouse=True)
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Store names and comments that have parts, as before there were limits."""
    monkeypatch.setattr("chainlit_dynamodb.arguments.NAME_CHARS", LARGE)
    monkeypatch.setattr("chainlit_dynamodb.arguments.COMMENT_CHARS", LARGE)


OLD, NEW = incompressible(LARGE, 1), incompressible(LARGE, 2)

Look = Callable[[DynamoDBDataLayer], Awaitable[Any]]


def opinion(step_id: str, value: Any, comment: str) -> Any:
    return Feedback(forId=step_id, threadId="t1", value=value, comment=comment)


def attachment(element_id: str = "e1", **fields: Any) -> Any:
    return Text(id=element_id, name="a.txt", content="hello", for_id="s1", thread_id="t1", **fields)


@pytest.fixture
def clear(dynamodb_client: Any, table_name: str, rows: Rows, storage: LocalStorageClient) -> Callable[[], None]:
    """Empty table and storage."""

    def empty() -> None:
        for row in rows():
            dynamodb_client.delete_item(TableName=table_name, Key={"PK": row["PK"], "SK": row["SK"]})
        shutil.rmtree(storage.path / "files", ignore_errors=True)

    return empty


@pytest.fixture
def dying(make_layer: MakeLayer, clear: Callable[[], None]) -> Callable[..., Any]:
    """Kill an operation at each of its requests in turn, and give a fresh process each time."""

    async def dying(prepare: Look, operation: Look, *, after: bool) -> Any:
        for last in range(1, MOST_REQUESTS):
            clear()
            await prepare(make_layer())
            layer = make_layer(close_seconds=0.1)
            died = await killed(layer, operation(layer), last, after=after)
            yield make_layer()
            if not died:
                assert last > 1
                return
        raise AssertionError("it never ends")

    return dying


async def a_full_chat(layer: DynamoDBDataLayer) -> None:
    await start_thread(layer, name=OLD)
    await layer.update_thread("t1", metadata={"state": OLD})
    enter_bot("t1")
    for number in range(2):
        await layer.create_step(message(f"s{number}", output=incompressible(LARGE, number)))
        await layer.upsert_feedback(opinion(f"s{number}", number, OLD))
        await layer.set_step_favorite(message(f"s{number}"), True)
        await layer.create_element(attachment(f"e{number}"))
    await layer.create_element(CustomElement(id="e2", name="Chart", props={"text": OLD}, for_id="s1", thread_id="t1"))


async def test_a_deleted_thread_is_whole_or_gone(
    dying: Any, rows: Rows, storage: LocalStorageClient, after: bool
) -> None:
    seen = set()
    async for layer in dying(a_full_chat, lambda dead: dead.delete_thread("t1"), after=after):
        thread: Any = await layer.get_thread("t1")
        seen.add(thread is None)
        assert await listed(layer) == ([] if thread is None else ["t1"])
        for value in (0, 1):
            assert await listed(layer, feedback=value) == ([] if thread is None else ["t1"])
        if thread is not None:
            assert (thread["name"], thread["metadata"]) == (OLD, {"state": OLD})
            assert sorted(ids(thread["steps"])) == ["s0", "s1"]
            assert sorted(ids(thread["elements"])) == ["e0", "e1", "e2"]
        for step in await layer.get_favorite_steps("alice"):
            assert step["output"] == incompressible(LARGE, int(step["id"][1:]))
        await layer.delete_thread("t1")
        assert [(row["PK"]["S"], row["SK"]["S"]) for row in living(rows())] == [("THREAD#t1", "THREAD")]
        assert files_of(storage) == []
    assert seen == {True, False}


async def test_a_large_value_is_the_old_one_or_the_new_one(dying: Any, rows: Rows, after: bool) -> None:
    async def prepare(layer: DynamoDBDataLayer) -> None:
        await start_thread(layer)
        await layer.create_step(tool("s1", output=OLD, input=OLD))

    def change(layer: DynamoDBDataLayer) -> Awaitable[None]:
        return layer.update_step(tool("s1", output=NEW, input=NEW))

    async for layer in dying(prepare, change, after=after):
        step = (await steps_of(layer))["s1"]
        assert (step["output"], step["input"]) in ((OLD, OLD), (NEW, NEW))
        await change(layer)
        step = (await steps_of(layer))["s1"]
        assert (step["output"], step["input"]) == (NEW, NEW)
        await layer.delete_step("s1")
        assert part_rows(rows()) == []


async def test_a_large_new_step_is_whole_or_not_there(dying: Any, rows: Rows, after: bool) -> None:
    def create(layer: DynamoDBDataLayer) -> Awaitable[None]:
        return layer.create_step(tool("s1", output=NEW))

    async for layer in dying(start_thread, create, after=after):
        assert [step["output"] for step in (await steps_of(layer)).values()] in ([], [NEW])
        await create(layer)
        assert (await steps_of(layer))["s1"]["output"] == NEW
        await layer.delete_step("s1")
        assert part_rows(rows()) == []


async def test_metadata_of_a_thread_is_the_old_or_the_merged(dying: Any, rows: Rows, after: bool) -> None:
    async def prepare(layer: DynamoDBDataLayer) -> None:
        await start_thread(layer)
        await layer.update_thread("t1", metadata={"state": OLD, "kept": 1})

    def change(layer: DynamoDBDataLayer) -> Awaitable[None]:
        return layer.update_thread("t1", metadata={"state": NEW, "added": 2})

    async for layer in dying(prepare, change, after=after):
        thread: Any = await layer.get_thread("t1")
        merged = {"state": NEW, "kept": 1, "added": 2}
        assert thread["metadata"] in ({"state": OLD, "kept": 1}, merged)
        await change(layer)
        thread = await layer.get_thread("t1")
        assert thread["metadata"] == merged
        await layer.delete_thread("t1")
        assert part_rows(rows()) == []


async def test_feedback_its_comment_and_the_filter_change_together(dying: Any, rows: Rows, after: bool) -> None:
    async def prepare(layer: DynamoDBDataLayer) -> None:
        await start_thread(layer)
        await layer.create_step(message("s1"))
        await layer.upsert_feedback(opinion("s1", 1, OLD))

    def change(layer: DynamoDBDataLayer) -> Awaitable[str]:
        return layer.upsert_feedback(opinion("s1", 0, NEW))

    async for layer in dying(prepare, change, after=after):
        feedback = (await steps_of(layer))["s1"]["feedback"]
        assert (feedback["value"], feedback["comment"]) in ((1, OLD), (0, NEW))
        assert await listed(layer, feedback=feedback["value"]) == ["t1"]
        assert await listed(layer, feedback=1 - feedback["value"]) == []
        await change(layer)
        feedback = (await steps_of(layer))["s1"]["feedback"]
        assert (feedback["value"], feedback["comment"]) == (0, NEW)
        markers = [row["SK"]["S"] for row in rows() if row["SK"]["S"].startswith("FEEDBACK#")]
        assert markers == ["FEEDBACK#0"]
        await layer.delete_step("s1")
        assert [row["SK"]["S"] for row in living(rows())] == ["THREAD"]


async def test_deleted_feedback_is_whole_or_gone(dying: Any, rows: Rows, after: bool) -> None:
    given: dict[str, str] = {}

    async def prepare(layer: DynamoDBDataLayer) -> None:
        await start_thread(layer)
        await layer.create_step(message("s1"))
        given["id"] = await layer.upsert_feedback(opinion("s1", 1, OLD))

    async for layer in dying(prepare, lambda dead: dead.delete_feedback(given["id"]), after=after):
        feedback = (await steps_of(layer))["s1"].get("feedback")
        assert feedback is None or feedback["comment"] == OLD
        assert await listed(layer, feedback=1) == ([] if feedback is None else ["t1"])
        await layer.delete_feedback(given["id"])
        assert (await steps_of(layer))["s1"].get("feedback") is None
        await layer.delete_step("s1")
        assert [row["SK"]["S"] for row in living(rows())] == ["THREAD"]


@pytest.mark.parametrize("favorite", [True, False])
async def test_a_favourite_is_one_everywhere_or_nowhere(dying: Any, rows: Rows, after: bool, favorite: bool) -> None:
    stored = message("s1", output=OLD, metadata={"trace": OLD})

    async def prepare(layer: DynamoDBDataLayer) -> None:
        await start_thread(layer)
        await layer.create_step(stored)
        if not favorite:
            await layer.set_step_favorite(stored, True)

    def change(layer: DynamoDBDataLayer) -> Awaitable[Any]:
        return layer.set_step_favorite(stored, favorite)

    async for layer in dying(prepare, change, after=after):
        step = (await steps_of(layer))["s1"]
        found = await layer.get_favorite_steps("alice")
        assert (step["output"], step["metadata"]["trace"]) == (OLD, OLD)
        assert [step["metadata"].get("favorite")] == [True] if found else [None, False]
        await change(layer)
        assert [step["output"] for step in await layer.get_favorite_steps("alice")] == ([OLD] if favorite else [])
        await layer.delete_step("s1")
        assert part_rows(rows()) == []


async def test_an_attachment_is_there_with_its_file_or_not_at_all(
    dying: Any, storage: LocalStorageClient, after: bool
) -> None:
    async for layer in dying(start_thread, lambda dead: dead.create_element(attachment()), after=after):
        thread: Any = await layer.get_thread("t1")
        assert len(thread["elements"]) <= len(files_of(storage)) <= 1
        await layer.create_element(attachment())
        thread = await layer.get_thread("t1")
        assert (len(thread["elements"]), len(files_of(storage))) == (1, 1)


async def test_a_deleted_attachment_goes_with_its_file(
    dying: Any, rows: Rows, storage: LocalStorageClient, after: bool
) -> None:
    async def prepare(layer: DynamoDBDataLayer) -> None:
        await start_thread(layer)
        await layer.create_element(attachment())

    async for layer in dying(prepare, lambda dead: dead.delete_element("e1", "t1"), after=after):
        await layer.delete_element("e1", "t1")
        assert [row["SK"]["S"] for row in living(rows())] == ["THREAD"]
        assert files_of(storage) == []


async def test_a_deleted_step_goes_with_all_that_is_its(
    dying: Any, rows: Rows, storage: LocalStorageClient, after: bool
) -> None:
    async def prepare(layer: DynamoDBDataLayer) -> None:
        await start_thread(layer)
        enter_bot("t1")
        await layer.create_step(message("s1", output=OLD))
        await layer.upsert_feedback(opinion("s1", 1, OLD))
        await layer.create_element(attachment())

    async for layer in dying(prepare, lambda dead: dead.delete_step("s1"), after=after):
        assert [step["output"] for step in (await steps_of(layer)).values()] in ([], [OLD])
        await layer.delete_step("s1")
        assert [row["SK"]["S"] for row in living(rows())] == ["THREAD"]
        await eventually(lambda: files_of(storage) == [])  # who reads the chat tidies it, too, by and by


async def test_a_new_thread_is_in_the_list_with_its_name_or_not_at_all(dying: Any, after: bool) -> None:
    async def nothing(layer: DynamoDBDataLayer) -> None:
        await layer.update_thread("other", name="other", user_id="bob")

    async for layer in dying(nothing, lambda dead: start_thread(dead, name=NEW), after=after):
        threads = (await page_of(layer)).data
        assert [NEW.startswith(thread["name"]) for thread in threads] in ([], [True])
        await start_thread(layer, name=NEW)
        thread: Any = await layer.get_thread("t1")
        assert thread["name"] == NEW
