"""More bugs of Chainlit's built-in layer: reading, limits, configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from chainlit.element import CustomElement, Image
from chainlit.user import User
from fastapi import HTTPException

from tests.conftest import REGION
from tests.contract.builtin import BUILT_IN, Lagging, Recording, built_in_layer, fails_there
from tests.contract.chats import (
    BOB,
    assert_clean,
    enter_bot,
    enter_chat,
    listed,
    message,
    one_engine,
    page_of,
    start_thread,
    steps_of,
)
from tests.contract.conftest import client_of
from tests.contract.test_builtin_bugs import either, kind, make, text

__all__ = ["either", "kind", "make"]

Rows = Callable[[], list[dict[str, Any]]]

pytestmark = one_engine


@fails_there("B23", "keys of the table reach the browser")
async def test_elements_show_no_key_of_the_table(either: Any) -> None:
    await start_thread(either)
    await either.create_element(text())
    assert_clean(await either.get_element("t1", "e1"))


@fails_there("B23", "the element page gets the URL of the upload, which a private bucket refuses")
async def test_the_element_page_gets_a_fresh_url(either: Any, storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await start_thread(either)
    await either.create_element(text())

    async def sign(object_key: str) -> str:
        return "https://signed/just-now"

    monkeypatch.setattr(storage, "get_read_url", sign)
    assert (await either.get_element("t1", "e1"))["url"] == "https://signed/just-now"


@fails_there("B23", "keys of the table reach everybody a thread is shared with")
async def test_threads_show_no_key_of_the_table(either: Any) -> None:
    await start_thread(either)
    await either.create_step(message("s1"))
    assert_clean(await either.get_thread("t1"))


@fails_there("B24", "an unknown thread is an internal error instead of 404")
async def test_an_unknown_thread_has_no_author(either: Any) -> None:
    assert await either.get_thread_author("unknown") == ""


@fails_there("B24", "a thread without an owner is an internal error")
async def test_a_thread_without_owner_has_no_author(either: Any) -> None:
    await either.update_thread("t1", name="nobody's")
    assert await either.get_thread_author("t1") == ""


@fails_there("B25", "the chat never loads: Chainlit reads a key that is not there")
async def test_a_thread_without_owner_has_the_key_chainlit_reads(either: Any) -> None:
    await either.update_thread("t1", name="nobody's")
    assert (await either.get_thread("t1"))["userIdentifier"] is None


@fails_there("B26", "every login is the day the user was created")
async def test_a_login_keeps_the_creation_date(either: Any) -> None:
    first = await either.create_user(User("alice"))
    second = await either.create_user(User("alice"))
    assert second.createdAt == first.createdAt


@fails_there("B27", "a long step is lost")
async def test_a_long_step_is_kept(either: Any) -> None:
    await start_thread(either)
    await either.create_step(message("s1", output="x" * 600_000))
    assert len((await steps_of(either))["s1"]["output"]) == 600_000


@fails_there("B27", "large session metadata fails at the disconnect, and the session is never freed")
async def test_large_session_metadata_is_kept(either: Any) -> None:
    await start_thread(either)
    await either.update_thread("t1", metadata={"history": "x" * 1_000_000})
    assert len((await either.get_thread("t1"))["metadata"]["history"]) == 1_000_000


@fails_there("B28", "a step with a number DynamoDB does not know is lost")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e-200, set()])
async def test_a_step_with_odd_values_is_kept(either: Any, value: Any) -> None:
    await start_thread(either)
    await either.create_step(message("s1", metadata={"value": value}))
    step = (await steps_of(either))["s1"]
    assert_clean(step["metadata"])


@fails_there("B29", "elements that need no storage are dropped without one")
async def test_elements_without_files_need_no_storage(make: Any) -> None:
    layer = make(storage_provider=None)
    await start_thread(layer)
    await layer.create_element(CustomElement(id="e1", name="C", props={}, for_id="s1", thread_id="t1"))
    await layer.create_element(Image(id="e2", name="i", url="https://example.org/x", for_id="s1", thread_id="t1"))
    assert len((await layer.get_thread("t1"))["elements"]) == 2


@fails_there("B29", "what an element's URL shows is downloaded into memory, from wherever it points")
async def test_a_url_is_not_downloaded(either: Any, storage: Any) -> None:
    await start_thread(either)
    await either.create_element(
        Image(id="e1", name="i", url="http://127.0.0.1:9/x", for_id="s1", thread_id="t1", mime="image/png")
    )
    assert (await either.get_thread("t1"))["elements"][0]["url"] == "http://127.0.0.1:9/x"


@fails_there("B30", "an element can be put into a stranger's thread")
async def test_an_element_for_a_strangers_thread_is_refused(either: Any) -> None:
    await start_thread(either)
    enter_chat("own", BOB)
    await either.create_element(text())
    assert (await either.get_thread("t1"))["elements"] == []


@fails_there("B31", "one URL that cannot be signed makes the whole thread unreadable")
async def test_a_url_that_cannot_be_signed_costs_that_element_only(
    either: Any, storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start_thread(either)
    await either.create_element(text("e1"))

    async def fail(object_key: str) -> str:
        raise RuntimeError("no")

    monkeypatch.setattr(storage, "get_read_url", fail)
    assert (await either.get_thread("t1"))["name"] == "a chat"


@fails_there("B32", "every connection reads all steps of all threads")
async def test_favorites_are_one_query_however_many_threads(make: Any, dynamodb_url: str) -> None:
    client = Recording(client_of(dynamodb_url))
    layer = make(client=client)
    for n in range(4):
        await start_thread(layer, f"t{n}")
    client.calls.clear()
    await layer.get_favorite_steps("alice")
    assert [name for name, _ in client.calls].count("query") == 1


@fails_there("B33", "a garbage cursor is an internal error")
async def test_a_garbage_cursor_is_a_bad_request(either: Any) -> None:
    with pytest.raises(HTTPException) as caught:
        await page_of(either, cursor="garbage")
    assert caught.value.status_code == 400


@fails_there("B33", "cursors are keys of the table")
async def test_a_cursor_tells_no_key(either: Any) -> None:
    for n in range(12):
        await start_thread(either, f"t{n}")
    cursor = (await page_of(either, first=10)).pageInfo.endCursor
    assert cursor
    assert "THREAD#" not in cursor


@fails_there("B34", "a thread that was deleted comes back without an owner")
async def test_a_late_disconnect_brings_no_deleted_thread_back(either: Any) -> None:
    await start_thread(either)
    await either.delete_thread("t1")
    await either.update_thread("t1", metadata={"chat_profile": "x"})
    assert await either.get_thread("t1") is None


@fails_there("B35", "users whose id is not their identifier are locked out of their threads")
async def test_the_author_is_the_identifier(either: Any, put_row: Any) -> None:
    row = {"id": {"S": "uuid-7"}, "identifier": {"S": "alice"}, "createdAt": {"S": "2025-01-01T00:00:00.000000Z"}}
    put_row("USER#alice", "USER", metadata={"M": {}}, **row)
    user = await either.get_user("alice")
    await either.update_thread("t1", name="x", user_id=user.id)
    assert await either.get_thread_author("t1") == "alice"


@fails_there("B36", "the region of AWS_DEFAULT_REGION and of profiles is ignored")
async def test_the_region_is_found_as_aws_does(
    kind: str, table_name: str, make: Any, dynamodb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chainlit_dynamodb.dynamodb.endpoint import resolve_target

    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    if kind == BUILT_IN:
        assert built_in_layer(table_name).client.meta.region_name == "eu-central-1"
    else:
        import os

        assert resolve_target(None, None, os.environ).region_name == "eu-central-1" != REGION


@fails_there("B37", "the log says delete_feedback where a step is deleted")
async def test_the_log_says_what_is_done(either: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="chainlit.DynamoDB")
    await start_thread(either)
    await either.create_step(message("s1"))
    await either.delete_step("s1")
    assert caplog.records
    assert "delete_feedback" not in caplog.text


@fails_there("B38", "a new chat is missing in the list, which is read once")
async def test_a_new_thread_is_listed_while_the_index_lags(make: Any, dynamodb_url: str) -> None:
    layer = make(client=Lagging(client_of(dynamodb_url)))
    await start_thread(layer)
    assert await listed(layer) == ["t1"]


@fails_there("B38", "a chat that is resumed right after its last turn may miss it")
async def test_threads_are_read_consistently(make: Any, dynamodb_url: str) -> None:
    client = Recording(client_of(dynamodb_url))
    layer = make(client=client)
    enter_bot("t1")
    await layer.update_thread("t1", name="x", user_id="alice")
    client.calls.clear()
    await layer.get_thread("t1")
    queries = [request for name, request in client.calls if name == "query"]
    assert queries
    assert all(request.get("ConsistentRead") for request in queries)
