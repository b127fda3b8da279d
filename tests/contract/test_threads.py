"""update_thread and get_thread_author."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from chainlit.user import User

from chainlit_dynamodb.testing.transports import Shuffling
from tests.contract.chats import (
    ALICE,
    assert_clean,
    enter_bot,
    enter_chat,
    keys_of,
    leave,
    listed,
    one_engine,
    start_thread,
)
from tests.wiring import wrap

Rows = Callable[[], list[dict[str, Any]]]


async def test_the_first_message_makes_the_thread(layer: Any) -> None:
    enter_chat("t1")
    await layer.update_thread("t1", name="hello", user_id="alice", tags=["profile"])
    thread = await layer.get_thread("t1")
    assert_clean(thread)
    assert thread.items() >= {"id": "t1", "name": "hello", "userId": "alice", "userIdentifier": "alice"}.items()
    assert (thread["tags"], thread["metadata"], thread["steps"], thread["elements"]) == (["profile"], {}, [], [])


async def test_created_at_is_written_once(layer: Any) -> None:
    await start_thread(layer)
    created_at = (await layer.get_thread("t1"))["createdAt"]
    await layer.update_thread("t1", name="again", user_id="alice", metadata={"a": 1})
    assert (await layer.get_thread("t1"))["createdAt"] == created_at


async def test_times_are_utc(layer: Any) -> None:
    from datetime import datetime, timedelta, timezone

    await start_thread(layer)
    created_at = (await layer.get_thread("t1"))["createdAt"]
    stored = datetime.strptime(created_at, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    assert abs(datetime.now(timezone.utc) - stored) < timedelta(minutes=1)


async def test_what_is_omitted_is_untouched(layer: Any) -> None:
    await layer.update_thread("t1", name="name", user_id="alice", metadata={"a": 1}, tags=["t"])
    before = await layer.get_thread("t1")
    await layer.update_thread("t1", "renamed")
    assert await layer.get_thread("t1") == {**before, "name": "renamed"}
    await layer.update_thread("t1", tags=["u"])
    assert await layer.get_thread("t1") == {**before, "name": "renamed", "tags": ["u"]}


async def test_an_update_of_nothing_changes_nothing(layer: Any, rows: Rows) -> None:
    await start_thread(layer)
    before = rows()
    await layer.update_thread("t1")
    assert rows() == before


async def test_metadata_is_merged(layer: Any) -> None:
    await start_thread(layer)
    await layer.update_thread("t1", metadata={"is_shared": True, "a": 1})
    await layer.update_thread("t1", metadata={"a": 2, "b": {"c": [1]}})
    assert (await layer.get_thread("t1"))["metadata"] == {"is_shared": True, "a": 2, "b": {"c": [1]}}


async def test_none_deletes_a_key_of_metadata(layer: Any) -> None:
    await start_thread(layer)
    await layer.update_thread("t1", metadata={"a": 1, "b": 2})
    await layer.update_thread("t1", metadata={"a": None})
    assert (await layer.get_thread("t1"))["metadata"] == {"b": 2}


async def test_concurrent_merges_of_two_processes_are_all_kept(layer: Any, make_layer: Any) -> None:
    await start_thread(layer)
    layers = [layer, make_layer(), make_layer()]
    await asyncio.gather(*(each.update_thread("t1", metadata={f"k{n}": n}) for n, each in enumerate(layers * 4)))
    assert (await layer.get_thread("t1"))["metadata"] == {f"k{n}": n for n in range(12)}


async def test_fifty_concurrent_renames_end_in_the_last_one(layer: Any) -> None:
    await start_thread(layer)
    wrap(layer, Shuffling)
    await asyncio.gather(*(layer.update_thread("t1", f"{n}") for n in range(50)))
    assert (await layer.get_thread("t1"))["name"] == "49"


async def test_numbers_in_metadata_keep_their_kind(layer: Any) -> None:
    await start_thread(layer)
    sent = {"count": 3, "big": 2**60, "ratio": 0.25, "negative": -7, "flag": True, "list": [1, 2.5]}
    await layer.update_thread("t1", metadata=sent)
    stored = (await layer.get_thread("t1"))["metadata"]
    assert stored == sent
    assert [type(stored[name]) for name in ("count", "big", "ratio", "flag")] == [int, int, float, bool]


async def test_any_metadata_is_json_clean(layer: Any) -> None:
    await start_thread(layer)
    odd = {"nan": float("nan"), "set": {1}, "": "x", "tuple": (1,), 5: "x", "PKey": 1, "nested": {"none": None}}
    await layer.update_thread("t1", metadata=odd)
    stored = (await layer.get_thread("t1"))["metadata"]
    assert_clean(stored)
    assert (stored["nested"], stored["tuple"]) == ({"none": None}, [1])


async def test_metadata_of_a_megabyte_is_kept(layer: Any) -> None:
    import random

    await start_thread(layer)
    noise = random.Random(1).randbytes(400_000).hex()  # noqa: S311 - it only must not compress
    await layer.update_thread("t1", metadata={"history": noise, "chat_profile": "x"})
    assert (await layer.get_thread("t1"))["metadata"] == {"history": noise, "chat_profile": "x"}
    assert await listed(layer) == ["t1"]


async def test_metadata_does_not_make_a_thread(layer: Any, rows: Rows) -> None:
    enter_chat("t1")
    await layer.update_thread("t1", metadata={"a": 1})
    await layer.update_thread("t1", tags=["x"])
    assert rows() == []


async def test_an_owner_alone_makes_a_thread(layer: Any) -> None:
    await layer.update_thread("t1", user_id="alice")
    assert (await layer.get_thread("t1"))["name"] is None
    assert await listed(layer) == ["t1"]


async def test_a_bots_update_of_everything_is_stored(layer: Any) -> None:
    enter_bot("t1")
    await layer.update_thread(thread_id="t1", name="slack", metadata={"client_type": "slack"}, user_id="alice")
    thread = await layer.get_thread("t1")
    assert (thread["name"], thread["metadata"], thread["userId"]) == ("slack", {"client_type": "slack"}, "alice")


async def test_a_change_of_owner_moves_the_thread(layer: Any) -> None:
    await layer.update_thread("t1", name="x", user_id="bob")
    await layer.update_thread("t1", user_id="alice")
    assert (await listed(layer), await listed(layer, userId="bob")) == (["t1"], [])
    assert await layer.get_thread_author("t1") == "alice"


async def test_a_chat_whose_user_could_not_be_read_gets_its_owner(layer: Any) -> None:
    """Chainlit goes on with a plain user then, and hands over no id."""
    await layer.create_user(User("alice"))
    enter_chat("t1", User("alice"))
    await layer.update_thread("t1", name="hello", user_id=None)
    assert await listed(layer) == ["t1"]


async def test_a_rename_outside_of_a_session_gives_no_owner(layer: Any) -> None:
    enter_chat("t1", None)
    await layer.update_thread("t1", name="hello")
    leave()
    await layer.update_thread("t1", "renamed")
    assert (await layer.get_thread("t1"))["userId"] is None


async def test_the_author_is_the_identifier(layer: Any) -> None:
    await start_thread(layer)
    leave()
    assert await layer.get_thread_author("t1") == ALICE.identifier


@one_engine
@pytest.mark.parametrize("thread_id", ["unknown", "", "a\nb", "x" * 3000, "\ud800"])
async def test_an_unknown_thread_has_no_author(layer: Any, thread_id: str) -> None:
    assert await layer.get_thread_author(thread_id) == ""
    assert await layer.get_thread(thread_id) is None


async def test_an_ownerless_thread_has_no_author(layer: Any) -> None:
    await layer.update_thread("t1", name="nobody's")
    assert await layer.get_thread_author("t1") == ""


ODD_IDS = [
    "DEADHEART-thread-TEAR",
    "EAT",
    "D123",
    "THREAD#1",
    "a#b",
    "TS#",
    "ÄÖ🌍",
    "a b",
    "x" * 1900,
    "../..",
    "null",
]


@one_engine
@pytest.mark.parametrize("thread_id", ODD_IDS)
async def test_odd_thread_ids_come_back_as_they_are(layer: Any, thread_id: str) -> None:
    await start_thread(layer, thread_id)
    assert await listed(layer) == [thread_id]
    assert (await layer.get_thread(thread_id))["id"] == thread_id
    await layer.delete_thread(thread_id)
    assert await listed(layer) == []


@one_engine
@pytest.mark.parametrize("thread_id", ["", "x" * 3000, "a\nb"])
async def test_thread_ids_that_cannot_be_change_nothing(layer: Any, rows: Rows, thread_id: str) -> None:
    await layer.update_thread(thread_id, name="x", user_id="alice")
    await layer.delete_thread(thread_id)
    assert rows() == []


async def test_threads_are_kept_in_the_layout_of_the_seed(layer: Any, rows: Rows) -> None:
    await layer.create_user(User("alice"))
    await start_thread(layer)
    assert keys_of(rows()) == [("THREAD#t1", "THREAD"), ("USER#alice", "USER")]
    thread = rows()[0]
    assert thread["UserThreadPK"]["S"] == "USER#alice"
    assert thread["UserThreadSK"]["S"].startswith("TS#20")


async def test_there_is_no_debug_button(layer: Any) -> None:
    assert await layer.build_debug_url() == ""
