"""Servers whose clocks differ, step back, or were set in another time zone; and an index that is behind itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from chainlit.element import CustomElement

from chainlit_dynamodb.schema import INDEX_NAME
from chainlit_dynamodb.testing.transports import Counting, Wrapped
from tests.contract.chats import enter_chat, ids, listed, message, page_of, start_thread, steps_of, walk
from tests.reliability.conftest import MakeLayer, Rows, dynamodb_local
from tests.wiring import wrap

pytestmark = dynamodb_local

AHEAD = "2099-11-01T10:00:00.000000Z"
BEHIND_SECONDS = -120

SetClock = Callable[[float], None]
PutRow = Callable[..., None]


@pytest.fixture
def clock_is(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Say by how many seconds the clock is wrong from now on: the next calls are those of another machine."""
    true_time_ns = time.time_ns

    def set_clock(seconds: float) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: true_time_ns() + int(seconds * 1e9))

    return set_clock


@pytest.fixture
def put_row(dynamodb_client: Any, table_name: str) -> PutRow:
    """Write a raw row."""

    def put(pk: str, sk: str, **attributes: str) -> None:
        item = {name: {"S": value} for name, value in {"PK": pk, "SK": sk, **attributes}.items()}
        dynamodb_client.put_item(TableName=table_name, Item=item)

    return put


def put_thread(put_row: PutRow, thread_id: str, at: str) -> None:
    """Write a thread as the built-in layer does."""
    owner = {"userId": "alice", "userIdentifier": "alice", "UserThreadPK": "USER#alice", "UserThreadSK": f"TS#{at}"}
    put_row(f"THREAD#{thread_id}", "THREAD", id=thread_id, name=thread_id, createdAt=at, **owner)


# Whose write counts.


async def test_an_update_of_a_server_whose_clock_is_behind_counts(
    layer: Any, make_layer: MakeLayer, clock_is: SetClock
) -> None:
    other = make_layer()
    await start_thread(layer)
    await layer.update_step(message("s1", output="v1"))
    for turn in range(3):
        clock_is(BEHIND_SECONDS)
        await other.update_step(message("s1", output=f"behind {turn}"))
        assert (await steps_of(layer))["s1"]["output"] == f"behind {turn}"
        clock_is(0)
        await layer.update_step(message("s1", output=f"ahead {turn}"))
        assert (await steps_of(layer))["s1"]["output"] == f"ahead {turn}"


async def test_a_value_that_is_cleared_by_a_server_whose_clock_is_behind_is_cleared(
    layer: Any, make_layer: MakeLayer, clock_is: SetClock
) -> None:
    other = make_layer()
    await start_thread(layer)
    await layer.update_step(message("s1", language="python"))
    clock_is(BEHIND_SECONDS)
    await other.update_step(message("s1", language=None))
    assert "language" not in (await steps_of(layer))["s1"]


async def test_name_and_metadata_of_a_server_whose_clock_is_behind_count(
    layer: Any, make_layer: MakeLayer, clock_is: SetClock
) -> None:
    other = make_layer()
    await start_thread(layer)
    await layer.update_thread("t1", metadata={"a": 1, "b": 1})
    clock_is(BEHIND_SECONDS)
    await other.update_thread("t1", name="behind", metadata={"b": 2, "a": None})
    thread: Any = await layer.get_thread("t1")
    assert (thread["name"], thread["metadata"]) == ("behind", {"b": 2})


async def test_an_element_of_a_server_whose_clock_is_behind_counts(
    layer: Any, make_layer: MakeLayer, clock_is: SetClock
) -> None:
    other = make_layer()
    await start_thread(layer)
    await layer.create_element(CustomElement(id="e1", name="C", props={"n": 1}, for_id="s1", thread_id="t1"))
    clock_is(BEHIND_SECONDS)
    await other.create_element(CustomElement(id="e1", name="C", props={"n": 2}, for_id="s1", thread_id="t1"))
    element: Any = await layer.get_element("t1", "e1")
    assert element["props"] == {"n": 2}


@pytest.mark.parametrize("favorite", [True, False])
async def test_a_star_of_a_server_whose_clock_is_behind_counts(
    layer: Any, make_layer: MakeLayer, clock_is: SetClock, favorite: bool
) -> None:
    other = make_layer()
    await start_thread(layer)
    await layer.create_step(message("s1"))
    await layer.set_step_favorite(message("s1"), not favorite)
    clock_is(BEHIND_SECONDS)
    await other.set_step_favorite(message("s1"), favorite)
    assert bool(await other.get_favorite_steps("alice")) is favorite


async def test_a_deletion_of_a_server_whose_clock_is_behind_counts(
    layer: Any, make_layer: MakeLayer, clock_is: SetClock
) -> None:
    other = make_layer()
    await start_thread(layer)
    await layer.update_step(message("s1"))
    clock_is(BEHIND_SECONDS)
    await other.delete_step("s1")
    clock_is(0)
    await layer.update_step(message("s1"))
    assert await steps_of(layer) == {}


async def test_a_clock_that_steps_back_takes_nothing_back(
    layer: Any, make_layer: MakeLayer, clock_is: SetClock
) -> None:
    await start_thread(layer)
    for number, seconds in enumerate([0, -60, 60, -3600, 0]):
        clock_is(seconds)
        await layer.update_step(message("s1", output=f"v{number}"))
        assert (await steps_of(make_layer()))["s1"]["output"] == f"v{number}"


async def test_a_server_whose_clock_is_behind_tries_once_more_and_then_knows(
    layer: Any, make_layer: MakeLayer, clock_is: SetClock
) -> None:
    other = make_layer()
    await start_thread(layer)
    for step_id in ("s1", "s2"):
        await layer.update_step(message(step_id))
    clock_is(BEHIND_SECONDS)
    counting = wrap(other, Counting)
    await other.update_step(message("s2", output="v1"))
    assert counting.counts["UpdateItem"] == 2
    await other.update_step(message("s1", output="v1"))
    assert counting.counts["UpdateItem"] == 3


# Where a chat is in its list.


@pytest.mark.parametrize(
    "ahead",
    [AHEAD, AHEAD.removesuffix("Z"), "2099-11-01T10:00:00Z", "2099-11-01T10:00:00", "2099-11-01T19:00:00+09:00"],
)
async def test_a_message_moves_a_chat_up_though_its_place_is_in_the_future(
    layer: Any, make_layer: MakeLayer, put_row: PutRow, ahead: str
) -> None:
    for thread_id in ("t1", "t2"):
        put_thread(put_row, thread_id, ahead)
    assert await listed(make_layer()) == ["t2", "t1"]
    enter_chat("t1")
    counting = wrap(layer, Counting)
    await layer.create_step(message("s1"))
    assert counting.counts["UpdateItem"] == 3
    assert await listed(make_layer()) == ["t1", "t2"]


async def test_naming_a_chat_does_not_move_it_down_though_its_place_is_in_the_future(
    layer: Any, put_row: PutRow
) -> None:
    put_thread(put_row, "t1", AHEAD)
    put_thread(put_row, "t2", AHEAD.replace("T10", "T09"))
    await start_thread(layer, "t1")
    assert await listed(layer) == ["t1", "t2"]


async def test_a_message_in_a_chat_that_has_no_place_is_stored_at_once(
    layer: Any, put_row: PutRow, caplog: pytest.LogCaptureFixture
) -> None:
    put_row("THREAD#t1", "THREAD", id="t1", name="a chat", createdAt="2026-11-01T10:00:00")
    enter_chat("t1")
    counting = wrap(layer, Counting)
    await layer.create_step(message("s1"))
    assert counting.counts["UpdateItem"] == 2
    assert caplog.text == ""


# An index that is behind itself.


class TwoPlaces(Wrapped):
    """An index that shows entries where they were, too."""

    def __init__(self, inner: Any, *entries: Mapping[str, Any]) -> None:
        super().__init__(inner)
        self.entries = entries

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        answer = await super().call(operation, request)
        if operation != "Query" or request.get("IndexName") != INDEX_NAME:
            return answer
        start = request.get("ExclusiveStartKey", {}).get("UserThreadSK", {"S": "~"})["S"]
        old = [entry for entry in self.entries if entry["UserThreadSK"]["S"] < start]
        items = sorted([*answer["Items"], *old], key=lambda entry: str(entry["UserThreadSK"]["S"]), reverse=True)
        return {**answer, "Items": items}


def entry_of(rows: Rows, thread_id: str) -> dict[str, Any]:
    row = next(row for row in rows() if row["PK"]["S"] == f"THREAD#{thread_id}" and row["SK"]["S"] == "THREAD")
    return {name: row[name] for name in ("PK", "SK", "UserThreadPK", "UserThreadSK", "id", "name")}


@pytest.mark.parametrize("first", [1, 2, 3, 35])
async def test_a_chat_that_the_index_shows_at_two_places_is_shown_once(
    layer: Any, make_layer: MakeLayer, rows: Rows, first: int
) -> None:
    for number in range(1, 6):
        await start_thread(layer, f"t{number}")
    old = entry_of(rows, "t2")
    await start_thread(layer, "t2")
    reader = make_layer()
    wrap(reader, lambda inner: TwoPlaces(inner, old))
    pages = await walk(reader, first=first)
    assert [thread_id for page in pages for thread_id in page] == ["t2", "t5", "t4", "t3", "t1"]


async def test_a_chat_that_another_server_moves_between_two_pages_is_on_one_of_them(
    layer: Any, make_layer: MakeLayer, rows: Rows
) -> None:
    for number in range(1, 5):
        await start_thread(layer, f"t{number}")
    reader = make_layer()
    stale = entry_of(rows, "t1")
    await start_thread(layer, "t1")
    page = await page_of(reader, first=2)
    assert ids(page.data) == ["t1", "t4"]
    wrap(reader, lambda inner: TwoPlaces(inner, stale))
    page = await page_of(reader, first=2, cursor=page.pageInfo.endCursor)
    assert ids(page.data) == ["t3", "t2"]
    assert not page.pageInfo.hasNextPage
