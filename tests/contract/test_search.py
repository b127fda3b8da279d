"""list_threads with a filter: names in any case over all pages, and feedback of both values."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from chainlit.types import Feedback

from chainlit_dynamodb.testing.transports import Lagging
from tests.contract.chats import (
    enter_bot,
    enter_chat,
    ids,
    listed,
    message,
    one_engine,
    page_of,
    start_thread,
    tool,
    walk,
)
from tests.wiring import wrap


async def start_named(layer: Any, names: dict[str, str]) -> None:
    """Start threads of these names, one after the other."""
    for thread_id, name in names.items():
        await start_thread(layer, thread_id, name=name)


@one_engine
@pytest.mark.parametrize("search", ["weather", "WEATHER", "Weather in Oslo", "her in o", "  weather  "])
async def test_search_finds_names_in_any_case(layer: Any, search: str) -> None:
    await start_named(layer, {"t1": "The WeaTHer in Oslo", "t2": "Cooking"})
    assert await listed(layer, search=search) == ["t1"]


@one_engine
@pytest.mark.parametrize(("name", "search"), [("Große Straße", "STRASSE"), ("ÄRGER", "ärger"), ("İzmir", "zmir")])
async def test_search_folds_the_case_of_other_alphabets(layer: Any, name: str, search: str) -> None:
    await start_named(layer, {"t1": name, "t2": "other"})
    assert await listed(layer, search=search) == ["t1"]


@pytest.mark.parametrize("search", ["", "   ", None])
async def test_an_empty_search_lists_everything(layer: Any, search: str | None) -> None:
    await start_named(layer, {"t1": "a", "t2": "b"})
    assert await listed(layer, search=search) == ["t2", "t1"]


async def test_search_looks_at_all_threads_not_at_one_page(make_layer: Any) -> None:
    layer = make_layer(user_thread_limit=2)
    await start_thread(layer, "needle", name="the needle")
    for n in range(25):
        await start_thread(layer, f"t{n}", name="hay")
    assert await listed(layer, search="NEEDLE", first=20) == ["needle"]


async def test_a_search_that_finds_nothing_ends_at_once(layer: Any) -> None:
    await start_named(layer, {"t1": "a", "t2": "b"})
    page = await page_of(layer, search="zebra")
    assert (page.data, page.pageInfo.hasNextPage) == ([], False)


async def test_search_pages_are_full_and_end_exactly(make_layer: Any) -> None:
    layer = make_layer(user_thread_limit=2)
    for n in range(12):
        await start_thread(layer, f"t{n:02}", name="hit" if n % 2 else "miss")
    assert await walk(layer, search="HIT", first=3) == [["t11", "t09", "t07"], ["t05", "t03", "t01"]]


@one_engine
@pytest.mark.parametrize("search", ["a#b", "%", "_", "\\", "'", '"', "(", "x" * 10_000, "\x00", "\ud800", "🌍"])
async def test_odd_searches_find_names_literally(layer: Any, search: str) -> None:
    await start_named(layer, {"t1": f"with {search} inside", "t2": "without"})
    assert await listed(layer, search=search) == ["t1"]


async def test_a_name_of_five_thousand_characters_comes_back_whole(layer: Any) -> None:
    name = "word " * 998 + "last word!"
    await start_thread(layer, name=name)
    assert (await layer.get_thread("t1"))["name"] == name
    assert (await page_of(layer)).data[0]["name"] == name


async def test_a_long_name_is_found_by_a_word_at_its_end(layer: Any) -> None:
    await start_named(layer, {"t1": "word " * 998 + "aardvark", "t2": "word " * 998 + "zebra"})
    assert await listed(layer, search="AARDVARK") == ["t1"]


async def test_a_long_name_that_becomes_short_is_forgotten(layer: Any) -> None:
    await start_thread(layer, name="word " * 998 + "aardvark")
    await layer.update_thread("t1", "short")
    assert await listed(layer, search="aardvark") == []
    assert (await layer.get_thread("t1"))["name"] == "short"


async def test_a_renamed_thread_is_found_by_its_new_name(layer: Any) -> None:
    await start_named(layer, {"t1": "old"})
    await layer.update_thread("t1", "new")
    assert await listed(layer, search="new") == ["t1"]
    assert await listed(layer, search="old") == []


async def test_a_new_thread_is_found_at_once_even_while_the_index_lags(layer: Any) -> None:
    wrap(layer, Lagging)
    await start_named(layer, {"t1": "weather"})
    assert await listed(layer, search="weather") == ["t1"]


async def test_a_cursor_of_another_search_is_a_bad_request(layer: Any) -> None:
    from fastapi import HTTPException

    await start_named(layer, {"t1": "a1", "t2": "a2"})
    cursor = (await page_of(layer, first=1, search="a")).pageInfo.endCursor
    with pytest.raises(HTTPException):
        await page_of(layer, first=1, search="1", cursor=cursor)


async def rate(layer: Any, thread_id: str, value: Any, step_id: str = "run") -> str:
    """Store a step with feedback."""
    await layer.create_step(tool(step_id, thread_id))
    feedback_id: str = await layer.upsert_feedback(Feedback(forId=step_id, value=value, threadId=thread_id))
    return feedback_id


@pytest.mark.parametrize(("value", "expected"), [(1, ["good"]), (0, ["bad"])])
async def test_the_feedback_filter_works_for_one_and_for_zero(layer: Any, value: int, expected: list[str]) -> None:
    await start_named(layer, {"good": "x", "bad": "x", "none": "x"})
    await rate(layer, "good", 1)
    await rate(layer, "bad", 0)
    assert await listed(layer, feedback=value) == expected


async def test_a_thread_with_both_values_is_in_both_lists(layer: Any) -> None:
    await start_thread(layer)
    await rate(layer, "t1", 1, "a")
    await rate(layer, "t1", 0, "b")
    assert (await listed(layer, feedback=0), await listed(layer, feedback=1)) == (["t1"], ["t1"])


async def test_feedback_that_changes_its_value_changes_the_list(layer: Any) -> None:
    await start_thread(layer)
    await rate(layer, "t1", 1)
    await rate(layer, "t1", 0)
    assert (await listed(layer, feedback=0), await listed(layer, feedback=1)) == (["t1"], [])


async def test_a_thread_stays_listed_while_another_step_has_the_value(layer: Any) -> None:
    await start_thread(layer)
    first = await rate(layer, "t1", 1, "a")
    second = await rate(layer, "t1", 1, "b")
    await layer.delete_feedback(first)
    assert await listed(layer, feedback=1) == ["t1"]
    await layer.delete_feedback(second)
    assert await listed(layer, feedback=1) == []


async def test_feedback_and_search_filter_together(layer: Any) -> None:
    await start_named(layer, {"t1": "weather", "t2": "weather", "t3": "cooking"})
    await rate(layer, "t2", 1)
    await rate(layer, "t3", 1)
    assert await listed(layer, feedback=1, search="Weather") == ["t2"]


async def test_feedback_pages_are_full_and_end_exactly(make_layer: Any) -> None:
    layer = make_layer(user_thread_limit=2)
    for n in range(12):
        await start_thread(layer, f"t{n:02}")
        if n % 2:
            await rate(layer, f"t{n:02}", 0)
    assert await walk(layer, feedback=0, first=3) == [["t11", "t09", "t07"], ["t05", "t03", "t01"]]


async def test_another_users_feedback_is_not_listed(layer: Any) -> None:
    await start_thread(layer, "his", user_id="bob")
    await rate(layer, "his", 1)
    assert await listed(layer, feedback=1) == []
    assert await listed(layer, feedback=1, userId="bob") == ["his"]


async def test_new_feedback_is_listed_at_once_even_while_the_index_lags(layer: Any) -> None:
    wrap(layer, Lagging)
    await start_thread(layer)
    await rate(layer, "t1", 1)
    assert await listed(layer, feedback=1) == ["t1"]


async def test_deleted_feedback_is_not_listed_even_while_the_index_lags(layer: Any) -> None:
    await start_thread(layer)
    feedback_id = await rate(layer, "t1", 1)
    await layer.delete_feedback(feedback_id)
    assert await listed(layer, feedback=1) == []


async def test_feedback_of_a_thread_without_owner_is_listed_when_it_gets_one(layer: Any) -> None:
    await layer.update_thread("t1", name="ownerless")
    enter_chat("t1", None)
    await rate(layer, "t1", 1)
    await layer.update_thread("t1", user_id="alice")
    assert await listed(layer, feedback=1) == ["t1"]


async def test_feedback_that_came_before_its_thread_is_listed(layer: Any) -> None:
    """A bot's buttons are there before the turn ends, and the thread's row comes last."""
    enter_bot("t1")
    await rate(layer, "t1", 1)
    await layer.update_thread("t1", name="slack", user_id="alice")
    assert await listed(layer, feedback=1) == ["t1"]


async def test_a_deleted_step_takes_its_feedback_out_of_the_list(layer: Any) -> None:
    await start_thread(layer)
    await rate(layer, "t1", 1)
    await layer.delete_step("run")
    assert await listed(layer, feedback=1) == []


async def test_concurrent_feedback_of_many_steps_is_all_kept(layer: Any) -> None:
    await start_thread(layer)
    await asyncio.gather(*(layer.create_step(message(f"s{n}")) for n in range(6)))
    values: list[Any] = [n % 2 for n in range(6)]
    given = (Feedback(forId=f"s{n}", value=value, threadId="t1") for n, value in enumerate(values))
    assert all(await asyncio.gather(*(layer.upsert_feedback(feedback) for feedback in given)))
    steps = (await layer.get_thread("t1"))["steps"]
    assert {step["id"]: step["feedback"]["value"] for step in steps} == {f"s{n}": n % 2 for n in range(6)}
    assert ids((await page_of(layer, feedback=0)).data) == ids((await page_of(layer, feedback=1)).data) == ["t1"]
