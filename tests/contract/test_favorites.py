"""set_step_favorite and get_favorite_steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chainlit_dynamodb.testing.transports import Counting, Lagging
from tests.contract.chats import assert_clean, enter_chat, ids, message, one_engine, start_thread, steps_of, unsealed
from tests.wiring import wrap

Rows = Callable[[], list[dict[str, Any]]]


async def star(layer: Any, step_id: str, thread_id: str = "t1", **fields: Any) -> Any:
    """Store a message and make it a favourite."""
    await layer.create_step(message(step_id, thread_id, **fields))
    return await layer.set_step_favorite(message(step_id, thread_id, **fields), True)


async def test_a_favorite_is_listed_at_once(layer: Any) -> None:
    await start_thread(layer)
    await star(layer, "s1", metadata={"a": 1})
    (favorite,) = await layer.get_favorite_steps("alice")
    assert_clean(favorite)
    assert favorite.items() >= {"id": "s1", "threadId": "t1", "output": "hello"}.items()
    assert favorite["metadata"] == {"a": 1, "favorite": True}
    assert favorite["createdAt"].endswith("Z")


async def test_the_step_is_answered_with_its_flag(layer: Any) -> None:
    await start_thread(layer)
    answered = await star(layer, "s1", metadata={"a": 1})
    assert_clean(answered)
    assert (answered["id"], answered["metadata"]) == ("s1", {"a": 1, "favorite": True})
    answered = await layer.set_step_favorite(answered, False)
    assert answered["metadata"]["favorite"] is False


async def test_the_flag_is_in_the_thread(layer: Any) -> None:
    await start_thread(layer)
    await star(layer, "s1")
    assert (await steps_of(layer))["s1"]["metadata"]["favorite"] is True


async def test_a_favorite_can_be_taken_back(layer: Any) -> None:
    await start_thread(layer)
    await star(layer, "s1")
    (favorite,) = await layer.get_favorite_steps("alice")
    await layer.set_step_favorite(favorite, False)
    assert await layer.get_favorite_steps("alice") == []
    assert (await steps_of(layer))["s1"]["metadata"]["favorite"] is False


@pytest.mark.parametrize("favorite", [True, False])
async def test_set_step_favorite_is_never_queued(layer: Any, favorite: bool) -> None:
    await start_thread(layer, "old")
    await star(layer, "s1", "old")
    enter_chat("new", spoken=False)
    await layer.set_step_favorite(message("s1", "old"), favorite)
    assert ids(await layer.get_favorite_steps("alice")) == (["s1"] if favorite else [])


async def test_favorites_of_all_threads_come_newest_first(layer: Any) -> None:
    for n in range(3):
        await start_thread(layer, f"t{n}")
        await star(layer, f"s{n}", f"t{n}", createdAt=f"2026-11-01T10:00:0{n}Z")
    assert ids(await layer.get_favorite_steps("alice")) == ["s2", "s1", "s0"]


@unsealed
async def test_favorites_cost_one_query_however_many_threads(layer: Any, make_layer: Any) -> None:
    for n in range(4):
        await start_thread(layer, f"t{n}")
        await star(layer, f"s{n}", f"t{n}")
    fresh = make_layer()
    counting = wrap(fresh, Counting)
    assert len(await fresh.get_favorite_steps("alice")) == 4
    assert counting.counts == {"Query": 1, "BatchGetItem": 1}


async def test_favorites_are_each_users_own(layer: Any) -> None:
    await start_thread(layer)
    await star(layer, "s1")
    assert await layer.get_favorite_steps("bob") == []


async def test_a_favorite_is_listed_even_while_the_index_lags(layer: Any) -> None:
    await start_thread(layer)
    wrap(layer, Lagging)
    await star(layer, "s1")
    assert ids(await layer.get_favorite_steps("alice")) == ["s1"]


async def test_a_favorite_taken_back_is_gone_even_while_the_index_lags(layer: Any) -> None:
    await start_thread(layer)
    await star(layer, "s1")
    lagging = wrap(layer, Lagging)
    stale = await lagging.inner.call(
        "Query",
        {
            "TableName": layer.table_name,
            "IndexName": "UserThread",
            "KeyConditionExpression": "UserThreadPK = :p",
            "ExpressionAttributeValues": {":p": {"S": "FAVORITE#alice"}},
        },
    )
    lagging.show(stale["Items"])
    await layer.set_step_favorite(message("s1"), False)
    assert await layer.get_favorite_steps("alice") == []


async def test_later_updates_leave_the_favorite(layer: Any) -> None:
    await start_thread(layer)
    await star(layer, "s1")
    await layer.update_step(message("s1", output="edited"))
    (favorite,) = await layer.get_favorite_steps("alice")
    assert (favorite["output"], favorite["metadata"]["favorite"]) == ("edited", True)


async def test_a_deleted_step_is_no_favorite(layer: Any) -> None:
    await start_thread(layer)
    await star(layer, "s1")
    await layer.delete_step("s1")
    assert await layer.get_favorite_steps("alice") == []


@one_engine
@pytest.mark.parametrize("step_id", ["unknown", "", "a\nb"])
async def test_an_unknown_step_is_not_made(layer: Any, rows: Rows, step_id: str) -> None:
    await start_thread(layer)
    before = rows()
    assert (await layer.set_step_favorite(message(step_id), True))["metadata"]["favorite"] is True
    assert rows() == before


@one_engine
@pytest.mark.parametrize("user_id", ["", "a\nb", "x" * 3000])
async def test_users_that_cannot_be_have_no_favorites(layer: Any, user_id: str) -> None:
    assert await layer.get_favorite_steps(user_id) == []


async def test_a_favorite_needs_a_user(layer: Any, rows: Rows) -> None:
    enter_chat("t1", None)
    await layer.create_step(message("s1"))
    before = rows()
    await layer.set_step_favorite(message("s1"), True)
    assert rows() == before


async def test_setting_twice_is_one_favorite(layer: Any) -> None:
    await start_thread(layer)
    await star(layer, "s1")
    await layer.set_step_favorite(message("s1"), True)
    assert ids(await layer.get_favorite_steps("alice")) == ["s1"]


@one_engine
async def test_more_favorites_than_one_batch_holds_are_listed(layer: Any, put_row: Any) -> None:
    for n in range(105):
        row = {"id": {"S": f"s{n}"}, "type": {"S": "user_message"}, "createdAt": {"S": "2026-11-01T10:00:00.000000Z"}}
        index = {"UserThreadPK": {"S": "FAVORITE#alice"}, "UserThreadSK": {"S": f"TS#2026#s{n}"}}
        put_row(f"THREAD#t{n}", f"STEP#s{n}", **row, **index)
    assert len(await layer.get_favorite_steps("alice")) == 105
