"""list_threads: full pages, exact ends, newest activity first, visible at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from fastapi import HTTPException

from chainlit_dynamodb.testing.transports import Counting, Gated, Lagging
from tests.contract.chats import (
    assert_clean,
    enter_chat,
    go_on,
    ids,
    leave,
    listed,
    message,
    one_engine,
    page_of,
    start_thread,
    tool,
    walk,
)
from tests.wiring import switch_of, wrap

PutRow = Callable[..., None]


async def start_threads(layer: Any, count: int, **options: Any) -> list[str]:
    """Start threads one after the other and give their ids, newest first."""
    names = [f"t{n:03}" for n in range(count)]
    for name in names:
        await start_thread(layer, name, **options)
    return names[::-1]


async def test_a_user_without_threads_gets_an_empty_page(layer: Any) -> None:
    page = await page_of(layer)
    assert page.to_dict() == {"data": [], "pageInfo": {"hasNextPage": False, "startCursor": None, "endCursor": None}}


async def test_newest_activity_comes_first(layer: Any) -> None:
    expected = await start_threads(layer, 3)
    assert await listed(layer) == expected


async def test_a_users_list_holds_nobody_elses_threads(layer: Any) -> None:
    await start_thread(layer, "hers", user_id="alice")
    await start_thread(layer, "his", user_id="bob")
    assert await listed(layer) == ["hers"]
    assert await listed(layer, userId="bob") == ["his"]


@one_engine
@pytest.mark.parametrize("identifier", ["bob#FAVORITE", "a#b", "FEEDBACK#1", "alice#", "ÄÖ@example.org", "x y"])
async def test_odd_identifiers_stay_in_their_own_list(layer: Any, identifier: str) -> None:
    await start_thread(layer, "plain", user_id="alice")
    await start_thread(layer, "odd", user_id=identifier)
    assert await listed(layer, userId=identifier) == ["odd"]
    assert await listed(layer) == ["plain"]


@pytest.mark.parametrize("user_id", ["", None])
async def test_nobody_has_no_threads(layer: Any, user_id: str | None) -> None:
    await layer.update_thread("t1", name="ownerless")
    assert await listed(layer, userId=user_id) == []


async def test_a_listed_thread_has_what_the_sidebar_reads(layer: Any) -> None:
    await start_thread(layer)
    await layer.update_thread("t1", metadata={"is_shared": True, "n": 1}, tags=["profile"])
    (thread,) = (await page_of(layer)).data
    assert_clean(thread)
    assert thread.items() >= {"id": "t1", "name": "a chat", "userId": "alice", "userIdentifier": "alice"}.items()
    assert thread["metadata"] == {"is_shared": True, "n": 1}
    assert (thread["tags"], thread["steps"], thread["elements"]) == (["profile"], [], [])


async def test_a_page_is_json_clean(layer: Any) -> None:
    await start_threads(layer, 3)
    assert_clean((await page_of(layer, first=2)).to_dict())


@pytest.mark.parametrize(("first", "shown"), [(-5, 1), (0, 1), (1, 1), (7, 7), (12, 12), (35, 12), (10**9, 12)])
async def test_a_page_has_as_many_as_asked_for(make_layer: Any, first: int, shown: int) -> None:
    layer = make_layer(user_thread_limit=5)
    await start_threads(layer, 12)
    page = await page_of(layer, first=first)
    assert len(page.data) == shown
    assert page.pageInfo.hasNextPage is (shown < 12)


async def test_a_page_ends_at_two_hundred(layer: Any) -> None:
    for n in range(0, 205, 41):
        await asyncio.gather(*(layer.update_thread(f"t{n + i}", name="x", user_id="alice") for i in range(41)))
    page = await page_of(layer, first=1000)
    assert (len(page.data), page.pageInfo.hasNextPage) == (200, True)
    rest = await page_of(layer, first=1000, cursor=page.pageInfo.endCursor)
    assert (len(rest.data), rest.pageInfo.hasNextPage) == (5, False)
    assert len({*ids(page.data), *ids(rest.data)}) == 205


@pytest.mark.parametrize("first", [1, 3, 4, 12])
async def test_walking_all_pages_gives_each_thread_once(make_layer: Any, first: int) -> None:
    layer = make_layer(user_thread_limit=3)
    expected = await start_threads(layer, 12)
    pages = await walk(layer, first=first)
    assert [thread_id for page in pages for thread_id in page] == expected
    assert [len(page) for page in pages] == [first] * (12 // first)


async def test_another_process_walks_the_same_pages(layer: Any, make_layer: Any) -> None:
    expected = await start_threads(layer, 7)
    pages = await walk(make_layer(user_thread_limit=2), first=3)
    assert [thread_id for page in pages for thread_id in page] == expected


async def test_threads_of_the_same_instant_are_all_walked(layer: Any, make_layer: Any, put_row: PutRow) -> None:
    for n in range(7):
        put_legacy_thread(put_row, f"t{n}", "2026-10-01T10:00:00.000000Z")
    pages = await walk(make_layer(user_thread_limit=2), first=2)
    assert sorted(thread_id for page in pages for thread_id in page) == [f"t{n}" for n in range(7)]


async def test_pages_stay_full_where_rows_have_gone(layer: Any, make_layer: Any) -> None:
    expected = await start_threads(layer, 12)
    for thread_id in expected[1:9]:
        await layer.delete_thread(thread_id)
    assert await listed(make_layer(user_thread_limit=2), first=4) == [expected[0], *expected[9:]]


async def test_pages_stay_full_where_the_index_still_shows_deleted_threads(layer: Any) -> None:
    expected = await start_threads(layer, 8)
    counting = wrap(layer, Counting)
    stale = await index_entries(layer)
    for thread_id in expected[:4]:
        await layer.delete_thread(thread_id)
    wrap(layer, lambda inner: Stale(inner, stale))
    page = await page_of(layer, first=4)
    assert (ids(page.data), page.pageInfo.hasNextPage) == (expected[4:], False)
    assert counting.counts["Query"] >= 2


async def index_entries(layer: Any) -> list[dict[str, Any]]:
    """Give all entries of Alice's partition of the index, raw, newest first."""
    answer = await switch_of(layer).call(
        "Query",
        {
            "TableName": layer.table_name,
            "IndexName": "UserThread",
            "ScanIndexForward": False,
            "KeyConditionExpression": "UserThreadPK = :p",
            "ExpressionAttributeValues": {":p": {"S": "USER#alice"}},
        },
    )
    items: list[dict[str, Any]] = answer["Items"]
    return items


class Stale(Counting):
    """An index that still shows what it showed before."""

    def __init__(self, inner: Any, items: list[dict[str, Any]]) -> None:
        """Take what it shows."""
        super().__init__(inner)
        self.items = items

    async def call(self, operation: str, request: Any) -> dict[str, Any]:
        """Answer for the index from memory."""
        if operation == "Query" and request.get("IndexName"):
            return {"Items": self.items}
        return await super().call(operation, request)


async def test_a_new_thread_is_listed_at_once_even_while_the_index_lags(layer: Any) -> None:
    wrap(layer, Lagging)
    expected = await start_threads(layer, 3)
    page = await page_of(layer, first=2)
    assert (ids(page.data), page.pageInfo.hasNextPage) == (expected[:2], True)
    assert await walk(layer, first=2) == [expected[:2], expected[2:]]


async def test_a_thread_that_moved_up_is_listed_once_while_the_index_lags(layer: Any) -> None:
    await start_threads(layer, 4)
    lagging = wrap(layer, Lagging)
    lagging.show(await index_entries_of(lagging, layer))
    enter_chat("t001")
    await layer.create_step(message("s1", "t001"))
    assert await listed(layer) == ["t001", "t003", "t002", "t000"]
    assert await walk(layer, first=1) == [["t001"], ["t003"], ["t002"], ["t000"]]


async def index_entries_of(lagging: Lagging, layer: Any) -> list[dict[str, Any]]:
    """Give the entries of the index as it really is."""
    switch_of(layer).inner = lagging.inner
    try:
        return await index_entries(layer)
    finally:
        switch_of(layer).inner = lagging


async def test_a_user_message_moves_its_thread_to_the_top(layer: Any, make_layer: Any) -> None:
    await start_threads(layer, 3)
    enter_chat("t000")
    await layer.create_step(message("s1", "t000"))
    assert await listed(layer) == ["t000", "t002", "t001"]
    assert await listed(make_layer()) == ["t000", "t002", "t001"]


@one_engine
async def test_a_message_that_waited_for_the_table_moves_its_thread_to_where_it_was_written(layer: Any) -> None:
    await start_threads(layer, 2)
    enter_chat("t000")
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    writing = asyncio.create_task(layer.create_step(message("s1", "t000")))
    await gated.arrived.wait()
    enter_chat("t002")
    naming = asyncio.create_task(layer.update_thread("t002", name="later", user_id="alice"))
    await asyncio.sleep(0.01)
    gated.gate.set()
    await asyncio.gather(writing, naming)
    assert await listed(layer) == ["t002", "t000", "t001"]


async def test_the_list_gives_the_last_activity_as_created_at(layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await start_thread(layer)
    created_at = (await layer.get_thread("t1"))["createdAt"]
    go_on(monkeypatch, minutes=15)
    await layer.create_step(message("s1"))
    (thread,) = (await page_of(layer)).data
    assert thread["createdAt"] > created_at
    assert (await layer.get_thread("t1"))["createdAt"] == created_at


async def test_a_chat_goes_on_top_whichever_server_wrote_to_another_meanwhile(make_layer: Any) -> None:
    here, there = make_layer(), make_layer()
    await start_thread(here, "t1")
    await start_thread(there, "t2")
    for server, thread_id in [(here, "t1"), (there, "t2"), (here, "t1"), (here, "t1"), (there, "t2")]:
        enter_chat(thread_id)
        await server.create_step(message(f"s{uuid4()}", thread_id))
        assert (await listed(make_layer()))[0] == thread_id


UNMOVING: dict[str, Callable[[Any], Any]] = {
    "metadata at a disconnect": lambda layer: layer.update_thread("t000", metadata={"a": 1}),
    "a rename": lambda layer: layer.update_thread("t000", "renamed"),
    "tags": lambda layer: layer.update_thread("t000", tags=["x"]),
    "a share": lambda layer: layer.update_thread("t000", metadata={"is_shared": True}),
    "an answer": lambda layer: layer.create_step(tool("s1", "t000")),
    "nothing": lambda layer: layer.update_thread("t000"),
}


@pytest.mark.parametrize("what", UNMOVING)
async def test_what_is_no_activity_moves_nothing(layer: Any, what: str) -> None:
    expected = await start_threads(layer, 3)
    leave() if what in ("a rename", "a share") else enter_chat("t000")
    await UNMOVING[what](layer)
    assert await listed(layer) == expected


@one_engine
@pytest.mark.parametrize(
    "cursor",
    ["garbage", "%%%", "{}", '{"PK": {"S": "THREAD#t1"}}', "A" * 3000, "ÄÖ", "\0", "bnVsbA", "\ud800"],
)
async def test_a_garbage_cursor_is_a_bad_request(layer: Any, cursor: str) -> None:
    await start_threads(layer, 3)
    with pytest.raises(HTTPException) as caught:
        await page_of(layer, first=1, cursor=cursor)
    assert caught.value.status_code == 400


async def test_another_users_cursor_is_a_bad_request(layer: Any) -> None:
    await start_threads(layer, 3)
    await start_thread(layer, "his", user_id="bob")
    cursor = (await page_of(layer, first=1)).pageInfo.endCursor
    with pytest.raises(HTTPException) as caught:
        await page_of(layer, first=1, cursor=cursor, userId="bob")
    assert caught.value.status_code == 400


@one_engine
@pytest.mark.parametrize(
    "content", ["5", "null", "[]", '["a"]', '["", ""]', '["TS#x", ""]', '[1, {"a": 2}]', "[" * 9000]
)
async def test_a_forged_cursor_is_a_bad_request(layer: Any, content: str) -> None:
    import base64

    from chainlit_dynamodb.chat.cursors import _digest

    await start_threads(layer, 3)
    signed = _digest(content.encode(), "alice\0None\0") + content.encode()
    with pytest.raises(HTTPException) as caught:
        await page_of(layer, cursor=base64.urlsafe_b64encode(signed).decode().rstrip("="))
    assert caught.value.status_code == 400


async def test_a_cursor_tells_no_key(layer: Any) -> None:
    await start_threads(layer, 3)
    cursor = (await page_of(layer, first=1)).pageInfo.endCursor
    assert "UserThread" not in cursor
    assert "THREAD#" not in cursor


async def test_a_cursor_survives_the_deletion_of_its_thread(layer: Any) -> None:
    expected = await start_threads(layer, 5)
    page = await page_of(layer, first=2)
    await layer.delete_thread(expected[1])
    assert await listed(layer, cursor=page.pageInfo.endCursor) == expected[2:]


async def test_a_restart_does_not_break_cursors(layer: Any, make_layer: Any) -> None:
    expected = await start_threads(layer, 5)
    page = await page_of(layer, first=2)
    assert await listed(make_layer(), cursor=page.pageInfo.endCursor) == expected[2:]


def put_legacy_thread(put_row: PutRow, thread_id: str, activity: str, **attributes: Any) -> None:
    """Write a thread as Chainlit's built-in layer does."""
    row = {"name": {"S": "old"}, "userId": {"S": "alice"}, "userIdentifier": {"S": "alice"}, "metadata": {"M": {}}}
    row |= {"id": {"S": thread_id}, "createdAt": {"S": activity}, "UserThreadPK": {"S": "USER#alice"}}
    put_row(f"THREAD#{thread_id}", "THREAD", **{**row, "UserThreadSK": {"S": f"TS#{activity}"}, **attributes})


ODD_ROWS: dict[str, dict[str, Any]] = {
    "name-number": {"name": {"N": "5"}},
    "name-map": {"name": {"M": {}}},
    "name-null": {"name": {"NULL": True}},
    "metadata-text": {"metadata": {"S": "{}"}},
    "odd-time": {"UserThreadSK": {"S": "TS#yesterday"}},
    "no-prefix": {"UserThreadSK": {"S": "x"}},
    "owner-number": {"userId": {"N": "1"}, "userIdentifier": {"L": []}},
}


@one_engine
@pytest.mark.parametrize("kind", ODD_ROWS)
@pytest.mark.parametrize("search", [None, "a chat"])
async def test_an_odd_row_does_not_break_the_list(layer: Any, put_row: PutRow, kind: str, search: str | None) -> None:
    await start_thread(layer)
    put_legacy_thread(put_row, "odd", "2026-10-01T10:00:00.000000Z", **ODD_ROWS[kind])
    page = await page_of(layer, search=search)
    assert_clean(page.to_dict())
    assert "t1" in ids(page.data)


@one_engine
@pytest.mark.parametrize("pk", ["OTHER#1", "THREAD#", "THREAD#a\nb", "THREAD#" + "x" * 1950, "x"])
async def test_rows_that_are_no_threads_do_not_break_the_list(
    layer: Any, make_layer: Any, put_row: PutRow, pk: str
) -> None:
    await start_thread(layer)
    put_row(pk, "THREAD", UserThreadPK={"S": "USER#alice"}, UserThreadSK={"S": "TS#2026-10-01T10:00:00.000000Z"})
    put_row("THREAD#t1", "OTHER", UserThreadPK={"S": "USER#alice"}, UserThreadSK={"S": "TS#2026-10-02"})
    assert await listed(layer) == ["t1"]
    assert await listed(make_layer()) == ["t1"]
