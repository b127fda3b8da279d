"""Turns that are edited away go whole, and a server that ends leaves nothing running."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from chainlit.element import Text

from chainlit_dynamodb import DynamoDBDataLayer, LocalStorageClient
from chainlit_dynamodb.testing.transports import Gated
from tests.contract.chats import ids, message, start_thread, steps_of, tool
from tests.reliability.conftest import MakeLayer, Rows, dynamodb_local
from tests.reliability.waiting import eventually, files_of
from tests.wiring import wrap

pytestmark = dynamodb_local


def text(for_id: str) -> Any:
    return Text(id="e1", name="a.txt", content="secret words", for_id=for_id, thread_id="t1", mime="text/plain")


# Turns that are edited away.


async def two_turns(layer: DynamoDBDataLayer) -> None:
    """Store two turns as Chainlit does: a message, its run, a tool and an answer below the run."""
    await start_thread(layer)
    for turn in (1, 2):
        at = f"2026-11-01T10:0{turn}:0"
        await layer.create_step(message(f"user{turn}", createdAt=at + "0Z"))
        await layer.create_step(tool(f"run{turn}", type="run", parentId=f"user{turn}", createdAt=at + "1Z"))
        await layer.create_step(tool(f"tool{turn}", parentId=f"run{turn}", createdAt=at + "2Z"))
        await layer.create_step(
            message(f"answer{turn}", type="assistant_message", parentId=f"run{turn}", createdAt=at + "3Z")
        )


FIRST_TURN = ["user1", "run1", "tool1", "answer1"]


async def test_the_runs_and_tools_of_a_deleted_message_go_with_it(
    layer: Any, make_layer: MakeLayer, rows: Rows
) -> None:
    await two_turns(layer)
    await layer.create_element(text(for_id="tool2"))
    await layer.delete_step("answer2")
    await layer.delete_step("user2")
    reader: Any = make_layer()
    thread = await reader.get_thread("t1")
    assert (ids(thread["steps"]), thread["elements"]) == (FIRST_TURN, [])
    await eventually(lambda: sum("_buriedAt" in row for row in rows()) == 5)


async def test_the_messages_below_a_deleted_run_are_deleted_too_with_their_files(
    layer: Any, make_layer: MakeLayer, storage: LocalStorageClient
) -> None:
    await two_turns(layer)
    await layer.create_element(text(for_id="tool2"))
    await layer.delete_step("user2")
    await layer.get_thread("t1")
    await eventually(lambda: not files_of(storage))
    assert list(await steps_of(make_layer())) == FIRST_TURN


def run(turn: int) -> Any:
    return tool(
        f"run{turn}", type="run", name="on_message", parentId="user1", createdAt=f"{YEARS[turn]}-11-01T10:01:01Z"
    )


YEARS = {1: 2026, 2: 2090}
"""When messages are run: edits happen now, after the first time."""


async def runs_of_a_message(layer: DynamoDBDataLayer, *turns: int) -> None:
    """Store a message that was run several times, each time with a tool and an answer."""
    if 1 in turns:
        await start_thread(layer)
        await layer.create_step(message("user1", createdAt="2026-11-01T10:01:00Z"))
    for turn in turns:
        await layer.create_step(run(turn))
        at = f"{YEARS[turn]}-11-01T10:01:0"
        await layer.create_step(tool(f"tool{turn}", parentId=f"run{turn}", createdAt=at + "2Z"))
        answer = {"type": "assistant_message", "parentId": f"run{turn}", "createdAt": at + "3Z"}
        await layer.create_step(message(f"answer{turn}", **answer))


async def an_edited_turn(layer: DynamoDBDataLayer, *, answers: tuple[str, ...] = ("answer2",)) -> None:
    """Store a message, its run, an edit, and the run after it; without some answers."""
    await runs_of_a_message(layer, 1)
    await edit(layer)
    await runs_of_a_message(layer, 2)
    for answer_id in {"answer1", "answer2"} - set(answers):
        await layer.delete_step(answer_id)


async def edit(layer: DynamoDBDataLayer) -> None:
    """Change the message, as Chainlit does when a user edits it."""
    await layer.update_step(message("user1", output="edited", createdAt="2026-11-01T10:01:00Z"))


async def test_the_run_that_an_edit_has_replaced_goes_with_its_tools_and_files(
    layer: Any, make_layer: MakeLayer, rows: Rows, storage: LocalStorageClient
) -> None:
    await an_edited_turn(layer)
    await layer.create_element(text(for_id="tool1"))
    reader: Any = make_layer()
    thread = await reader.get_thread("t1")
    assert (ids(thread["steps"]), thread["elements"]) == (["user1", "run2", "tool2", "answer2"], [])
    await eventually(lambda: sum("_buriedAt" in row for row in rows()) == 4)
    await eventually(lambda: not files_of(storage))


async def test_a_run_whose_answer_is_there_stays_beside_a_later_one(layer: Any) -> None:
    await an_edited_turn(layer, answers=("answer1", "answer2"))
    assert {"run1", "tool1", "answer1"} <= (await steps_of(layer)).keys()


async def test_the_newest_run_stays_though_its_answer_is_not_there_yet(layer: Any) -> None:
    await an_edited_turn(layer, answers=())
    assert list(await steps_of(layer)) == ["user1", "run2", "tool2"]


async def test_a_run_whose_answer_was_deleted_stays_where_its_message_was_not_edited(layer: Any) -> None:
    """An app runs a message again by itself, after an error, or twice at a time; its answers may be elsewhere."""
    await runs_of_a_message(layer, 1, 2)
    await layer.delete_step("answer1")
    for _ in range(2):
        assert {"run1", "tool1", "run2"} <= (await steps_of(layer)).keys()
        await asyncio.sleep(0.1)


async def test_a_run_stays_where_the_app_changes_its_message_while_that_runs_again(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("user1", createdAt="2026-11-01T10:01:00Z"))
    for number in (1, 2):
        at = f"2026-11-01T10:01:{number}"
        await layer.create_step({**run(1), "id": f"run{number}", "createdAt": at + "1Z"})
        await layer.create_step(tool(f"tool{number}", parentId=f"run{number}", createdAt=at + "2Z"))
        await edit(layer)
    for _ in range(2):
        assert {"run1", "tool1", "run2", "tool2"} <= (await steps_of(layer)).keys()
        await asyncio.sleep(0.1)


async def test_a_step_whose_answer_was_deleted_stays(layer: Any) -> None:
    await two_turns(layer)
    await layer.delete_step("answer1")
    assert "answer1" not in await steps_of(layer)
    await asyncio.sleep(0.1)
    assert sorted(await steps_of(layer)) == sorted([*FIRST_TURN[:3], "user2", "run2", "tool2", "answer2"])


async def test_a_step_whose_parent_was_never_stored_is_a_root(layer: Any, make_layer: MakeLayer) -> None:
    await start_thread(layer)
    await layer.create_step(tool("s1", parentId="slack"))
    await layer.delete_step("slack")
    for _ in range(2):
        assert (await steps_of(make_layer()))["s1"]["parentId"] is None


async def test_an_element_of_a_step_that_was_deleted_before_it_was_stored_is_not_shown(
    layer: Any, make_layer: MakeLayer
) -> None:
    await start_thread(layer)
    await layer.delete_step("slow")
    await make_layer().create_element(text(for_id="slow"))
    for _ in range(2):
        thread: Any = await make_layer().get_thread("t1")
        assert thread["elements"] == []


async def test_a_run_that_goes_on_after_its_message_was_deleted_is_not_shown(
    layer: Any, make_layer: MakeLayer
) -> None:
    other = make_layer()
    await two_turns(layer)
    await layer.delete_step("user2")
    await layer.get_thread("t1")
    await other.create_step(tool("tool3", parentId="run2"))
    await layer.update_step(tool("run2", parentId="user2", output="done"))
    for _ in range(2):
        assert list(await steps_of(make_layer())) == FIRST_TURN


# The end of a server.


async def tasks_left_by(layer: DynamoDBDataLayer, before: set[Any]) -> list[str]:
    await layer.close()
    await asyncio.sleep(0)
    return [str(task.get_coro()) for task in asyncio.all_tasks() - before]


async def test_nothing_is_left_running_after_close_while_a_look_at_the_thread_hangs(
    layer: Any, make_layer: MakeLayer
) -> None:
    await start_thread(layer)
    other = make_layer(close_seconds=0.1)
    gated = wrap(other, lambda inner: Gated(inner, "GetItem"))
    before = asyncio.all_tasks()
    creating = asyncio.create_task(other.create_step(tool("s1")))
    await gated.arrived.wait()
    assert await tasks_left_by(other, before | {creating}) == []
    await asyncio.wait([creating])


async def test_nothing_is_left_running_after_close_while_a_deleted_turn_is_cleared(
    layer: Any, make_layer: MakeLayer
) -> None:
    await two_turns(layer)
    await layer.delete_step("user2")
    other = make_layer(close_seconds=0.1)
    gated = wrap(other, lambda inner: Gated(inner, "PutItem"))
    before = asyncio.all_tasks()
    await other.get_thread("t1")
    await gated.arrived.wait()
    assert await tasks_left_by(other, before) == []


class HoldingElements(Gated):
    """Holds reads of a thread's elements."""

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        if operation == "Query" and {"S": "ELEMENT#"} not in request["ExpressionAttributeValues"].values():
            return await self.inner.call(operation, request)
        return await super().call(operation, request)


async def test_nothing_is_left_running_after_close_while_files_of_a_deleted_turn_are_looked_for(
    layer: Any, make_layer: MakeLayer
) -> None:
    await two_turns(layer)
    await layer.delete_step("user2")
    other = make_layer(close_seconds=0.1)
    holding = wrap(other, lambda inner: HoldingElements(inner, "Query"))
    before = asyncio.all_tasks()
    await other.get_thread("t1")
    await holding.arrived.wait()
    assert await tasks_left_by(other, before) == []


async def test_nothing_is_left_running_after_close_while_a_deletion_is_looked_after(layer: Any) -> None:
    before = asyncio.all_tasks()
    await start_thread(layer)
    await layer.delete_thread("t1")
    assert await tasks_left_by(layer, before) == []
