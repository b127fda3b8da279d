"""Bugs of Chainlit's built-in layer: each test passes here and fails there, until upstream is fixed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from chainlit.element import Pdf, Text
from chainlit.types import Feedback

from tests.contract.builtin import BUILT_IN, Recording, built_in_layer, fails_there
from tests.contract.chats import (
    ALICE,
    enter_bot,
    enter_chat,
    ids,
    keys_of,
    listed,
    message,
    one_engine,
    page_of,
    start_thread,
    steps_of,
    tool,
)
from tests.contract.conftest import client_of

Rows = Callable[[], list[dict[str, Any]]]

pytestmark = one_engine


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the two layers."""
    return str(request.param)


@pytest.fixture
def make(kind: str, make_layer: Any, table_name: str, storage: Any, dynamodb_url: str) -> Callable[..., Any]:
    """Make layers of the kind in turn."""

    def make_one(**options: Any) -> Any:
        if kind != BUILT_IN:
            return make_layer(**options)
        return built_in_layer(
            table_name, **{"client": client_of(dynamodb_url), "storage_provider": storage, **options}
        )

    return make_one


@pytest.fixture
def either(make: Callable[..., Any]) -> Any:
    """The layer of the kind in turn."""
    return make()


def text(element_id: str = "e1", **fields: Any) -> Any:
    options = {"name": "a.txt", "content": "hello", "for_id": "s1", "thread_id": "t1", "mime": "text/plain", **fields}
    return Text(id=element_id, **options)


@fails_there("B1", "a set of characters is stripped off the id, so the list shows dead links")
@pytest.mark.parametrize("thread_id", ["DEADHEART-thread-TEAR", "EAT", "D123"])
async def test_the_list_shows_ids_as_they_are(either: Any, thread_id: str) -> None:
    await start_thread(either, thread_id)
    assert await listed(either) == [thread_id]


@fails_there("B2", "the wrong row is changed, an empty one is made, and the feedback stays")
async def test_feedback_of_any_thread_id_can_be_deleted(either: Any, rows: Rows) -> None:
    await start_thread(either, "EAT-1")
    await either.create_step(tool("PETS", "EAT-1"))
    before = keys_of(rows())
    feedback_id = await either.upsert_feedback(Feedback(forId="PETS", value=1, threadId="EAT-1"))
    await either.delete_feedback(feedback_id)
    assert keys_of(rows()) == before
    assert not (await steps_of(either, "EAT-1"))["PETS"].get("feedback")


@fails_there("B3", "a rename wipes the session's metadata")
async def test_a_rename_keeps_the_metadata(either: Any) -> None:
    await start_thread(either)
    await either.update_thread("t1", metadata={"chat_profile": "x"})
    await either.update_thread("t1", "renamed")
    assert (await either.get_thread("t1"))["metadata"] == {"chat_profile": "x"}


@fails_there("B4", "the metadata that a disconnect writes un-shares the thread")
async def test_a_disconnect_keeps_the_thread_shared(either: Any) -> None:
    await start_thread(either)
    await either.update_thread("t1", metadata={"is_shared": True})
    await either.update_thread("t1", metadata={"chat_profile": "x"})
    assert (await either.get_thread("t1"))["metadata"]["is_shared"] is True


@fails_there("B5", "the creation date is lost, and an old chat moves to Today when it is renamed")
async def test_a_rename_keeps_the_creation_date(either: Any) -> None:
    await start_thread(either)
    before = (await either.get_thread("t1"))["createdAt"]
    await either.update_thread("t1", "renamed")
    assert (await either.get_thread("t1"))["createdAt"] == before


@fails_there("B5", "renaming a chat moves it to the top")
async def test_a_rename_keeps_the_place_in_the_list(either: Any) -> None:
    for thread_id in ("t1", "t2"):
        await start_thread(either, thread_id)
    await either.update_thread("t1", "renamed")
    assert await listed(either) == ["t2", "t1"]


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put this host into another time zone."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@fails_there("B6", "local time is labelled UTC")
async def test_times_are_utc_wherever_the_host_is(in_tokyo: None, either: Any) -> None:
    await start_thread(either)
    created_at = (await either.get_thread("t1"))["createdAt"]
    stored = datetime.fromisoformat(created_at.removesuffix("Z")).replace(tzinfo=timezone.utc)
    assert abs(datetime.now(timezone.utc) - stored) < timedelta(minutes=5)


@fails_there("B7", "every whole number comes back as a float")
async def test_whole_numbers_come_back_whole(either: Any) -> None:
    await start_thread(either)
    await either.update_thread("t1", metadata={"count": 3})
    await either.create_element(Pdf(id="e1", name="p", content=b"x", page=3, for_id="s1", thread_id="t1"))
    thread = await either.get_thread("t1")
    assert type(thread["metadata"]["count"]) is int
    assert type(thread["elements"][0]["page"]) is int


@fails_there("B7", "large numbers lose their last digits")
async def test_large_numbers_keep_their_digits(either: Any) -> None:
    await start_thread(either)
    await either.update_thread("t1", metadata={"id": 2**60 + 1})
    assert (await either.get_thread("t1"))["metadata"]["id"] == 2**60 + 1


@fails_there("B8", "every request stops the whole server")
async def test_no_request_is_sent_from_the_event_loop(make: Any, dynamodb_url: str) -> None:
    client = Recording(client_of(dynamodb_url))
    layer = make(client=client)
    await start_thread(layer)
    await layer.get_thread("t1")
    assert client.calls
    assert threading.get_ident() not in client.threads


@fails_there("B9", "ten rows instead of those asked for, so older chats cannot be reached")
async def test_a_page_has_as_many_as_asked_for(either: Any) -> None:
    for n in range(12):
        await start_thread(either, f"t{n}")
    assert len(await listed(either, first=12)) == 12


@fails_there("B10", "search sees the ten newest threads only")
async def test_search_sees_all_threads(either: Any) -> None:
    await start_thread(either, "needle", name="needle")
    for n in range(12):
        await start_thread(either, f"t{n}")
    assert await listed(either, search="needle") == ["needle"]


@fails_there("B10", "search minds the case")
async def test_search_does_not_mind_the_case(either: Any) -> None:
    await start_thread(either, name="Weather")
    assert await listed(either, search="weather") == ["t1"]


@fails_there("B11", "one thread without a name breaks the whole list")
async def test_a_thread_without_a_name_is_listed(either: Any) -> None:
    await either.update_thread("t1", user_id="alice")
    assert await listed(either) == ["t1"]


@fails_there("B12", "no sign that a thread is shared")
async def test_the_list_has_metadata(either: Any) -> None:
    await start_thread(either)
    await either.update_thread("t1", metadata={"is_shared": True})
    (thread,) = (await page_of(either)).data
    assert thread["metadata"] == {"is_shared": True}


@fails_there("B13", "anybody can make anybody's thread unreadable for ever")
async def test_feedback_for_an_unknown_step_leaves_the_thread_readable(either: Any) -> None:
    await start_thread(either)
    await either.create_step(message("s1"))
    await either.upsert_feedback(Feedback(forId="unknown", value=1, threadId="t1"))
    assert ids((await either.get_thread("t1"))["steps"]) == ["s1"]


@fails_there("B14", "feedback from Teams and Discord is lost")
async def test_feedback_without_a_thread_finds_its_step(either: Any) -> None:
    enter_bot("t1")
    await either.create_step(message("answer"))
    await either.update_thread("t1", name="teams", user_id="alice")
    await either.upsert_feedback(Feedback(forId="answer", value=1))
    assert (await steps_of(either))["answer"]["feedback"]["value"] == 1


@fails_there("B15", "a foreign id is an internal error")
async def test_a_foreign_feedback_id_is_refused(either: Any) -> None:
    await either.delete_feedback("b7b1f1c2-0000-4000-8000-000000000000")


@fails_there("B15", "the id of feedback is the key of a row, and anybody can make one up")
async def test_feedback_cannot_be_deleted_with_a_made_up_id(either: Any) -> None:
    await start_thread(either)
    await either.create_step(tool("run"))
    await either.upsert_feedback(Feedback(forId="run", value=1, threadId="t1"))
    await either.delete_feedback("THREAD#t1::STEP#run")
    assert (await steps_of(either))["run"]["feedback"]


@fails_there("B16", "a create that arrives late wipes the answer")
async def test_a_late_create_keeps_what_an_update_wrote(either: Any) -> None:
    await start_thread(either)
    await either.update_step(tool("s1", output="answer"))
    await either.create_step(tool("s1"))
    assert (await steps_of(either))["s1"]["output"] == "answer"


@fails_there("B16", "a create that is repeated wipes the feedback")
async def test_a_repeated_create_keeps_the_feedback(either: Any) -> None:
    await start_thread(either)
    await either.create_step(tool("s1"))
    await either.upsert_feedback(Feedback(forId="s1", value=1, threadId="t1"))
    await either.create_step(tool("s1"))
    assert (await steps_of(either))["s1"].get("feedback")


@fails_there("B17", "a step that was deleted comes back")
async def test_a_late_update_brings_no_deleted_step_back(either: Any) -> None:
    await start_thread(either)
    await either.create_step(tool("s1"))
    await either.delete_step("s1")
    await either.update_step(tool("s1", output="late"))
    assert await steps_of(either) == {}


@fails_there("B18", "a field can never be cleared")
async def test_none_clears_a_field(either: Any) -> None:
    await start_thread(either)
    await either.create_step(tool("s1", language="json"))
    await either.update_step(tool("s1", language=None))
    assert (await steps_of(either))["s1"].get("language") is None


@fails_there("B19", "an element of another thread is silently not deleted")
async def test_an_element_of_another_thread_is_deleted(either: Any) -> None:
    await start_thread(either)
    await either.create_element(text())
    enter_chat("other", ALICE)
    await either.delete_element("e1", "t1")
    assert (await either.get_thread("t1"))["elements"] == []


@fails_there("B19", "a step of another thread is silently not deleted")
async def test_a_step_of_another_thread_is_deleted(either: Any) -> None:
    await start_thread(either)
    await either.create_step(tool("s1"))
    enter_chat("other", ALICE)
    await either.delete_step("s1")
    assert await steps_of(either) == {}


def contents(storage: Any) -> list[bytes]:
    """Give the contents of all files."""
    return [path.read_bytes() for path in storage.path.rglob("*") if path.is_file()]


DELETIONS: dict[str, Callable[[Any], Any]] = {
    "element": lambda layer: layer.delete_element("e1", "t1"),
    "step": lambda layer: layer.delete_step("s1"),
    "thread": lambda layer: layer.delete_thread("t1"),
}


@fails_there("B20", "files of users stay in the bucket for ever")
@pytest.mark.parametrize("what", DELETIONS)
async def test_files_go_with_what_they_belong_to(either: Any, storage: Any, what: str) -> None:
    await start_thread(either)
    await either.create_step(message("s1"))
    await either.create_element(text())
    assert b"hello" in contents(storage)
    await DELETIONS[what](either)
    assert b"hello" not in contents(storage)


@fails_there("B21", "what has no thread row can never be deleted")
async def test_steps_without_a_thread_row_can_be_deleted(either: Any, rows: Rows) -> None:
    enter_bot("t1", None)
    await either.create_step(message("s1"))
    await either.delete_thread("t1")
    assert ("THREAD#t1", "STEP#s1") not in keys_of(rows())


@fails_there("B22", "a favourite that is removed in a fresh chat comes back")
async def test_a_favorite_is_removed_in_a_fresh_chat(either: Any) -> None:
    await start_thread(either)
    await either.create_step(message("s1"))
    await either.set_step_favorite(message("s1"), True)
    assert ids(await either.get_favorite_steps("alice")) == ["s1"]
    enter_chat("fresh", spoken=False)
    await either.set_step_favorite(message("s1"), False)
    assert await either.get_favorite_steps("alice") == []
