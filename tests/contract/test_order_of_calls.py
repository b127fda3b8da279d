"""What was asked for first comes first, also while Chainlit holds writes back until the visitor speaks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from chainlit.element import CustomElement, Text
from chainlit.types import Feedback
from chainlit.user import PersistedUser

from chainlit_dynamodb.storage.local.signed_urls import FILES_PATH
from chainlit_dynamodb.testing.transports import Gated, Shuffling
from tests.contract.chats import (
    assert_clean,
    enter_bot,
    enter_chat,
    ids,
    message,
    one_engine,
    start_thread,
    steps_of,
    tool,
)
from tests.wiring import wrap

pytestmark = one_engine


def custom(**props: Any) -> Any:
    return CustomElement(id="e1", name="Chart", props=props, for_id="s1", thread_id="t1")


def text(element_id: str, content: str = "x") -> Any:
    name = f"{element_id}.txt"
    return Text(id=element_id, name=name, content=content, for_id="s1", thread_id="t1", mime="text/plain")


# Held back until the visitor speaks.


async def test_an_element_that_is_changed_before_the_first_message_stays_changed(layer: Any) -> None:
    session = enter_chat("t1", spoken=False)
    await layer.create_element(custom(n=1))
    enter_bot("t1")  # an HTTP request, which nothing holds back
    await layer.create_element(custom(n=2))
    enter_chat("t1")
    await session.flush_method_queue()
    await start_thread(layer)
    assert (await layer.get_element("t1", "e1"))["props"] == {"n": 2}


async def test_a_step_that_is_changed_before_the_first_message_stays_changed(layer: Any) -> None:
    session = enter_chat("t1", spoken=False)
    await layer.update_step(message("s1", output="v1"))
    enter_bot("t1")
    await layer.update_step(message("s1", output="v2"))
    enter_chat("t1")
    await session.flush_method_queue()
    await start_thread(layer)
    assert (await steps_of(layer))["s1"]["output"] == "v2"


async def test_what_only_the_older_change_knew_is_kept(layer: Any) -> None:
    session = enter_chat("t1", spoken=False)
    await layer.update_step(message("s1", output="v1", language="python"))
    enter_bot("t1")
    await layer.update_step({"id": "s1", "threadId": "t1", "output": "v2"})
    enter_chat("t1")
    await session.flush_method_queue()
    await start_thread(layer)
    step = (await steps_of(layer))["s1"]
    assert (step["output"], step["language"]) == ("v2", "python")


async def test_an_element_that_is_deleted_before_the_first_message_stays_deleted(layer: Any) -> None:
    session = enter_chat("t1", spoken=False)
    await layer.create_element(custom(n=1))
    enter_bot("t1")
    await layer.delete_element("e1", "t1")
    enter_chat("t1")
    await session.flush_method_queue()
    await start_thread(layer)
    assert await layer.get_element("t1", "e1") is None


# Before a thread is made.

EARLY: dict[str, dict[str, Any]] = {
    "tags": {"tags": ["a"]},
    "metadata": {"metadata": {"profile": "x"}},
    "both": {"tags": ["a"], "metadata": {"profile": "x"}},
}


@pytest.mark.parametrize("early", EARLY)
async def test_what_is_known_of_a_thread_before_it_is_made_is_kept(layer: Any, early: str) -> None:
    enter_chat("t1")
    await layer.update_thread("t1", **EARLY[early])
    assert await layer.get_thread("t1") is None
    await start_thread(layer)
    thread = await layer.get_thread("t1")
    assert {name: thread[name] for name in EARLY[early]} == EARLY[early]


async def test_early_metadata_is_merged_in_order(layer: Any) -> None:
    enter_chat("t1")
    await layer.update_thread("t1", metadata={"a": 1, "b": 1})
    await layer.update_thread("t1", metadata={"b": 2, "c": 2})
    await layer.update_thread("t1", name="a chat", user_id="alice", metadata={"c": 3, "a": None})
    assert (await layer.get_thread("t1"))["metadata"] == {"b": 2, "c": 3}


async def test_what_is_known_of_a_thread_just_before_it_is_made_is_kept(layer: Any) -> None:
    enter_chat("t1")
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    early = asyncio.create_task(layer.update_thread("t1", tags=["a"]))
    await gated.arrived.wait()
    making = asyncio.create_task(layer.update_thread("t1", name="a chat", user_id="alice"))
    await asyncio.sleep(0.01)
    gated.gate.set()
    await asyncio.gather(early, making)
    assert (await layer.get_thread("t1"))["tags"] == ["a"]


async def test_what_is_known_of_a_thread_that_another_server_makes_is_kept(layer: Any, make_layer: Any) -> None:
    enter_chat("t1")
    await layer.update_thread("t1", tags=["a"])
    await start_thread(make_layer())
    await layer.update_thread("t1", metadata={"a": 1})
    thread = await layer.get_thread("t1")
    assert (thread["tags"], thread["metadata"]) == (["a"], {"a": 1})


async def test_what_is_known_early_makes_no_thread(layer: Any, rows: Any) -> None:
    enter_chat("t1")
    await layer.update_thread("t1", tags=["a"], metadata={"a": 1})
    assert rows() == []


async def test_what_is_known_early_does_not_revive_a_deleted_thread(layer: Any, make_layer: Any) -> None:
    enter_chat("t1")
    await layer.update_thread("t1", tags=["a"])
    other = make_layer()
    await start_thread(other)
    await other.delete_thread("t1")
    await layer.update_thread("t1", name="late", user_id="alice")
    assert await make_layer().get_thread("t1") is None


async def test_what_is_known_early_stays_with_its_thread(layer: Any) -> None:
    enter_chat("t1")
    await layer.update_thread("t1", tags=["a"])
    await start_thread(layer, "t2")
    assert (await layer.get_thread("t2"))["tags"] is None


# The order of files.


async def test_elements_come_back_in_the_order_in_which_they_were_created(layer: Any, make_layer: Any) -> None:
    await start_thread(layer)
    pages = ["e5", "e1", "e4", "e2", "e3", "e0"]
    for element_id in pages:
        await layer.create_element(text(element_id))
    await layer.create_element(text("e4"))
    thread = await make_layer().get_thread("t1")
    assert ids(thread["elements"]) == pages
    assert_clean(thread)


async def test_elements_that_are_stored_at_once_come_back_in_the_order_of_their_calls(layer: Any) -> None:
    await start_thread(layer)
    wrap(layer, Shuffling)
    pages = ["e5", "e1", "e4", "e2", "e3", "e0"]
    await asyncio.gather(*(layer.create_element(text(element_id)) for element_id in pages))
    assert ids((await layer.get_thread("t1"))["elements"]) == pages


async def content_of(layer: Any, storage: Any, element_id: str) -> bytes:
    """Read what an element's URL opens, as the server's route does."""
    url = (await layer.get_element("t1", element_id))["url"]
    digest = await storage.accepted_digest(url.removeprefix(f"{FILES_PATH}/"))
    return bytes((await storage.find(digest)).path.read_bytes())


async def test_of_two_files_of_one_element_the_later_one_stays_though_its_upload_is_faster(
    layer: Any, storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start_thread(layer)
    upload, delays_seconds = storage.upload_file, [0.2, 0.0]

    async def upload_slower_first(*args: Any, **options: Any) -> Any:
        await asyncio.sleep(delays_seconds.pop(0))
        return await upload(*args, **options)

    monkeypatch.setattr(storage, "upload_file", upload_slower_first)
    await asyncio.gather(
        layer.create_element(text("e1", content="first")), layer.create_element(text("e1", content="second"))
    )
    assert await content_of(layer, storage, "e1") == b"second"


async def test_a_file_that_is_replaced_before_the_first_message_stays_replaced(layer: Any, storage: Any) -> None:
    session = enter_chat("t1", spoken=False)
    await layer.create_element(text("e1", content="first"))
    enter_bot("t1")
    await layer.create_element(text("e1", content="second"))
    enter_chat("t1")
    await session.flush_method_queue()
    await start_thread(layer)
    assert await content_of(layer, storage, "e1") == b"second"


# The owner's name.


async def test_the_identifier_of_an_owner_whose_id_differs_is_kept(layer: Any, put_row: Any) -> None:
    put_row("USER#ann@x.org", "USER", id={"S": "uuid-1"}, identifier={"S": "ann@x.org"})
    ann = PersistedUser(id="uuid-1", createdAt="2026-01-01T00:00:00.000000Z", identifier="ann@x.org")
    enter_chat("t1", ann)
    await layer.update_thread("t1", name="a chat", user_id="uuid-1")
    assert await layer.get_thread_author("t1") == "ann@x.org"
    assert (await layer.get_thread("t1"))["userId"] == "uuid-1"


# What is stamped is not seen.


async def test_no_answer_shows_a_stamp(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(tool("s1"))
    await layer.update_step(tool("s1", output="done"))
    await layer.create_element(custom(n=1))
    await layer.upsert_feedback(Feedback(forId="s1", threadId="t1", value=1))
    await layer.set_step_favorite(tool("s1"), True)
    for answer in (
        await layer.get_thread("t1"),
        await layer.get_element("t1", "e1"),
        await layer.get_favorite_steps("alice"),
    ):
        assert_clean(answer)
