"""What a browser chooses has limits: what is more is cut or refused, and said in the log."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from chainlit.element import CustomElement
from chainlit.types import Feedback

from chainlit_dynamodb.limits import (
    COMMENT_CHARS,
    ELEMENTS_PER_MESSAGE,
    METADATA_BYTES,
    NAME_CHARS,
    SEARCH_CHARS,
    TAG_CHARS,
    TAGS,
)
from tests.contract.chats import enter_chat, listed, message, one_engine, page_of, person, start_thread, steps_of

pytestmark = one_engine


async def test_a_longer_name_is_cut(layer: Any, caplog: pytest.LogCaptureFixture) -> None:
    await start_thread(layer, name="secret " * NAME_CHARS)
    assert (await layer.get_thread("t1"))["name"] == ("secret " * NAME_CHARS)[:NAME_CHARS]
    assert f"The name of a thread of {7 * NAME_CHARS} characters is cut to {NAME_CHARS}" in caplog.text
    assert "secret" not in caplog.text


async def test_a_longer_search_finds_by_its_beginning(layer: Any, caplog: pytest.LogCaptureFixture) -> None:
    await start_thread(layer, name="a" * SEARCH_CHARS + "b")
    assert await listed(layer, search="A" * SEARCH_CHARS + "something else") == ["t1"]
    assert "A search of" in caplog.text


async def test_a_longer_comment_is_cut(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    await layer.upsert_feedback(Feedback("s1", 1, "t1", comment="x" * (COMMENT_CHARS + 1)))
    assert (await steps_of(layer))["s1"]["feedback"]["comment"] == "x" * COMMENT_CHARS


async def test_more_tags_are_left_out_and_longer_ones_cut(layer: Any) -> None:
    await start_thread(layer)
    await layer.update_thread("t1", tags=["x" * (TAG_CHARS + 1), *map(str, range(TAGS))])
    tags = (await layer.get_thread("t1"))["tags"]
    assert tags == ["x" * TAG_CHARS, *map(str, range(TAGS - 1))]


async def test_larger_metadata_is_not_stored_and_what_was_there_stays(
    layer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await start_thread(layer)
    await layer.update_thread("t1", metadata={"kept": 1})
    await layer.update_thread("t1", name="new name", metadata={"large": "x" * METADATA_BYTES})
    thread = await layer.get_thread("t1")
    assert (thread["name"], thread["metadata"]) == ("new name", {"kept": 1})
    assert [record.levelno for record in caplog.records if "Metadata of a thread" in record.getMessage()] == [
        logging.ERROR
    ]


async def test_more_elements_of_one_message_are_not_stored(layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainlit_dynamodb.chat.elements.ELEMENTS_PER_MESSAGE", 2)
    await start_thread(layer)
    for element_id, for_id in [("e1", "s1"), ("e2", "s1"), ("e3", "s1"), ("e4", "s2"), ("e1", "s1")]:
        await layer.create_element(CustomElement(id=element_id, name="x", for_id=for_id, thread_id="t1", props={}))
    assert [e["id"] for e in (await layer.get_thread("t1"))["elements"]] == ["e1", "e2", "e4"]
    assert ELEMENTS_PER_MESSAGE == 1_000


async def test_what_was_deleted_gives_its_room_in_a_message_back(layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a widget that is taken away and shown again, each time with another id."""
    monkeypatch.setattr("chainlit_dynamodb.chat.elements.ELEMENTS_PER_MESSAGE", 2)
    await start_thread(layer)
    for number in range(5):
        await layer.create_element(CustomElement(id=f"e{number}", name="x", for_id="s1", thread_id="t1", props={}))
        if number < 4:
            await layer.delete_element(f"e{number}", "t1")
    assert [e["id"] for e in (await layer.get_thread("t1"))["elements"]] == ["e4"]


async def test_nothing_is_remembered_of_messages_whose_elements_are_deleted(layer: Any) -> None:
    await start_thread(layer)
    for number in range(3):
        element = CustomElement(id=f"e{number}", name="x", for_id=f"s{number}", thread_id="t1", props={})
        await layer.create_element(element)
        await layer.delete_element(f"e{number}", "t1")
    assert len(layer._store.elements._ids) == 0


async def test_what_a_stranger_sends_takes_no_room_of_a_message(layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainlit_dynamodb.chat.elements.ELEMENTS_PER_MESSAGE", 2)
    await start_thread(layer)
    for user, element_id in [("mallory", "e1"), ("mallory", "e2"), ("alice", "e3")]:
        enter_chat("t1", person(user))
        await layer.create_element(CustomElement(id=element_id, name="x", for_id="s1", thread_id="t1", props={}))
    assert [e["id"] for e in (await layer.get_thread("t1"))["elements"]] == ["e3"]


async def test_names_and_comments_at_their_limit_are_kept_whole(layer: Any) -> None:
    await start_thread(layer, name="n" * NAME_CHARS)
    assert len((await layer.get_thread("t1"))["name"]) == NAME_CHARS
    assert len((await page_of(layer, search="n" * SEARCH_CHARS)).data) == 1
