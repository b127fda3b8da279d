"""Who may touch a thread: its owner, the app and bots; and whoever comes first to what is nobody's."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from chainlit.context import init_http_context
from chainlit.element import Text
from chainlit.types import Feedback
from chainlit.user import PersistedUser

from chainlit_dynamodb import LocalStorageClient
from chainlit_dynamodb.testing.transports import Gated
from tests.contract.chats import (
    alices_chat,
    chart,
    enter_bot,
    enter_chat,
    ids,
    leave,
    living,
    message,
    one_engine,
    person,
    start_thread,
    steps_of,
)
from tests.reliability.waiting import files_of
from tests.wiring import wrap

pytestmark = one_engine

MALLORY = person("mallory")
Rows = Callable[[], list[dict[str, Any]]]


def note(element_id: str = "e1") -> Any:
    return Text(id=element_id, name="a.txt", content="secret", for_id="s1", thread_id="t1")


ATTACKS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "takes it over": lambda layer: layer.update_thread("t1", name="hi", user_id="mallory"),
    "renames it": lambda layer: layer.update_thread("t1", name="hi"),
    "shares it": lambda layer: layer.update_thread("t1", metadata={"is_shared": True}),
    "tags it": lambda layer: layer.update_thread("t1", tags=["x"]),
    "says something in it": lambda layer: layer.create_step(message("s2", output="hi")),
    "changes a message": lambda layer: layer.update_step(message("s1", output="hi")),
    "fills a gap of a message": lambda layer: layer.create_step(message("s1", output="hi", command="x")),
    "deletes a message": lambda layer: layer.delete_step("s1"),
    "adds an element": lambda layer: layer.create_element(chart("e2")),
    "adds a file": lambda layer: layer.create_element(note("e2")),
    "changes an element": lambda layer: layer.create_element(note("e1")),
    "deletes an element": lambda layer: layer.delete_element("e1"),
    "rates a message": lambda layer: layer.upsert_feedback(Feedback("s1", 0, "t1", comment="bad")),
    "makes a message its favourite": lambda layer: layer.set_step_favorite(message("s1"), True),
    "takes a favourite away": lambda layer: layer.set_step_favorite(message("s1"), False),
}


@pytest.mark.parametrize("server", ["the same server", "another server"])
@pytest.mark.parametrize("what", ATTACKS)
async def test_a_stranger_in_a_session_of_the_thread_changes_nothing(
    make_layer: Any, storage: LocalStorageClient, rows: Rows, what: str, server: str
) -> None:
    """Whoever connects before there is a thread stays in it: Chainlit compares owners at connection only."""
    layer = make_layer(storage_provider=storage)
    await alices_chat(layer)
    before = living(rows())
    enter_chat("t1", MALLORY)
    await ATTACKS[what](layer if server == "the same server" else make_layer(storage_provider=storage))
    await asyncio.sleep(0.05)
    assert living(rows()) == before
    assert (files_of(storage), await layer.get_favorite_steps("mallory")) == ([], [])


@pytest.mark.parametrize("what", ATTACKS)
async def test_the_owner_may_do_all_that(make_layer: Any, storage: LocalStorageClient, rows: Rows, what: str) -> None:
    layer = make_layer(storage_provider=storage)
    await alices_chat(layer)
    before = living(rows())
    enter_chat("t1")
    await ATTACKS[what](make_layer(storage_provider=storage))
    assert living(rows()) != before or what == "makes a message its favourite"


async def test_who_waits_in_a_thread_that_a_bot_will_make_does_not_take_it_over(layer: Any, make_layer: Any) -> None:
    """The thread ids of Slack, Discord and Teams can be told beforehand."""
    enter_bot("t1", person("alice"))
    await layer.update_thread("t1", name="teams", user_id="alice")
    await layer.create_step(message("s1", output="what is my salary?"))
    other = make_layer()
    enter_chat("t1", MALLORY)
    await asyncio.gather(
        other.create_step(message("s2", output="hi")),
        other.update_thread("t1", name="hi", user_id="mallory"),
        other.update_thread("t1", metadata={"chat_profile": "x"}),
    )
    thread = await make_layer().get_thread("t1")
    assert (thread["userIdentifier"], thread["name"], ids(thread["steps"])) == ("alice", "teams", ["s1"])
    assert thread["metadata"] == {}


async def test_a_server_hears_within_seconds_that_a_thread_is_somebodys(
    make_layer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chainlit_dynamodb.chat.tombstones.CHECK_EVERY_SECONDS", 0.1)
    layer, other = make_layer(), make_layer()
    enter_chat("t1", MALLORY)
    await layer.create_step(message("s0"))
    enter_bot("t1", person("alice"))
    await other.update_thread("t1", name="teams", user_id="alice")
    await other.create_step(message("s1", output="what is my salary?"))
    await asyncio.sleep(0.2)
    enter_chat("t1", MALLORY)
    await layer.set_step_favorite(message("s1"), True)
    await layer.create_step(message("s2"))
    assert await layer.get_favorite_steps("mallory") == []
    assert sorted(await steps_of(other)) == ["s0", "s1"]


async def test_a_bot_may_give_a_thread_to_somebody_else(layer: Any) -> None:
    await start_thread(layer)
    enter_bot("t1", person("bob"))
    await layer.update_thread("t1", user_id="bob")
    await layer.create_step(message("s1"))
    thread = await layer.get_thread("t1")
    assert (thread["userIdentifier"], ids(thread["steps"])) == ("bob", ["s1"])


async def test_who_has_lost_a_thread_deletes_nothing_there(
    make_layer: Any, storage: LocalStorageClient, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose it is, is remembered for ten seconds, here for less."""
    monkeypatch.setattr("chainlit_dynamodb.chat.tombstones.CHECK_EVERY_SECONDS", 0.1)
    layer, other = make_layer(storage_provider=storage), make_layer(storage_provider=storage)
    await alices_chat(layer)
    enter_chat("t1")
    await layer.create_element(note("e2"))
    leave()
    await other.update_thread("t1", user_id="bob")
    before = rows()
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    enter_chat("t1")
    calls = [asyncio.create_task(layer.update_step(message("s1", output="written before he had it")))]
    calls += [asyncio.create_task(layer.delete_step("s1"))]
    await asyncio.sleep(0.2)
    enter_bot("t1", person("bob"))
    calls += [asyncio.create_task(layer.update_step(message("s1", output="of Bob's bot")))]
    gated.gate.set()
    await asyncio.gather(*calls)
    assert (len(rows()), len(files_of(storage))) == (len(before), 1)
    assert (await steps_of(layer))["s1"]["output"] == "of Bob's bot"


async def test_an_app_that_gives_the_thread_of_a_session_away_may_go_on_in_it(layer: Any) -> None:
    """As one without login that keeps all chats as one user's, or one that hands over to somebody else."""
    for thread_id, visitor in (("t1", None), ("t2", person("alice"))):
        enter_chat(thread_id, visitor)
        await layer.create_step(message("s1", thread_id))
        await layer.update_thread(thread_id, name="given", user_id="bob")
        await layer.create_step(message("s2", thread_id))
        await layer.update_thread(thread_id, metadata={"color": "red"})
        thread = await layer.get_thread(thread_id)
        assert (thread["userIdentifier"], ids(thread["steps"])) == ("bob", ["s1", "s2"])
        assert thread["metadata"] == {"color": "red"}


async def test_an_app_cannot_give_away_what_is_somebody_elses(layer: Any) -> None:
    await start_thread(layer)
    await start_thread(layer, "t2", user_id="bob")
    for thread_id, visitor in (("t1", None), ("t2", None), ("t2", MALLORY)):
        enter_chat(thread_id, visitor)
        await layer.update_thread(thread_id, user_id="bob")
        await layer.create_step(message("s1", thread_id))
    assert (await layer.get_thread("t1"))["userIdentifier"] == "alice"
    assert (await steps_of(layer), await steps_of(layer, "t2")) == ({}, {})


async def test_a_thread_that_was_given_on_is_no_longer_its_first_givers(layer: Any) -> None:
    await start_thread(layer)
    await layer.update_thread("t1", user_id="bob")
    await layer.create_step(message("s1"))
    enter_bot("t1", person("bob"))
    await layer.update_thread("t1", user_id="carol")
    enter_chat("t1")
    await layer.create_step(message("s2"))
    assert list(await steps_of(layer)) == ["s1"]


MIGRATED = PersistedUser(id="0b5c", createdAt="2026-01-01T00:00:00.000000Z", identifier="alice")


async def test_a_thread_that_names_its_owner_by_id_is_theirs(layer: Any) -> None:
    """A fresh process does not know yet which identifier an id belongs to."""
    await layer.update_thread("t1", name="of a task", user_id=MIGRATED.id)
    enter_chat("t1", MIGRATED)
    await layer.create_step(message("s1"))
    assert list(await steps_of(layer)) == ["s1"]


@pytest.mark.parametrize("owner", [{"NULL": True}, {"S": ""}])
async def test_an_owner_that_is_empty_is_none(layer: Any, put_row: Any, owner: Any) -> None:
    """So rows may be that other layers and scripts have made."""
    await start_thread(layer)
    leave()
    put_row("THREAD#t9", "THREAD", id={"S": "t9"}, userId=owner)
    enter_chat("t9")
    await layer.update_thread("t9", name="hers", user_id="alice")
    assert (await layer.get_thread("t9"))["userIdentifier"] == "alice"


async def test_an_app_writes_to_others_threads_in_a_session_of_its_own(layer: Any) -> None:
    await start_thread(layer, "t2", user_id="bob")
    await start_thread(layer)

    async def tell() -> None:
        init_http_context(thread_id="t2")
        await layer.create_step(message("s1", "t2"))
        await layer.update_thread("t2", metadata={"told": True})

    await contextvars.Context().run(asyncio.create_task, tell())
    thread = await layer.get_thread("t2")
    assert (ids(thread["steps"]), thread["metadata"], thread["userIdentifier"]) == (["s1"], {"told": True}, "bob")


async def test_what_is_nobodys_belongs_to_who_speaks_first_in_it(layer: Any) -> None:
    enter_chat("t1")
    await layer.create_step(message("s1"))
    await layer.update_thread("t1", name="mine", user_id="alice")
    enter_chat("t1", MALLORY)
    await layer.update_thread("t1", name="no, mine", user_id="mallory")
    assert (await layer.get_thread("t1"))["userIdentifier"] == "alice"


async def test_visitors_without_login_may_touch_what_is_nobodys_alone(layer: Any) -> None:
    enter_chat("t1", None)
    await layer.update_thread("t1", name="public")
    await layer.create_step(message("s1"))
    assert list(await steps_of(layer)) == ["s1"]
    await start_thread(layer, "t2")
    enter_chat("t2", None)
    await layer.create_step(message("s1", "t2"))
    assert await steps_of(layer, "t2") == {}


async def test_a_message_of_a_stranger_is_not_deleted_by_its_id(layer: Any) -> None:
    """Whoever has a share link knows the ids of the messages."""
    await alices_chat(layer)
    enter_chat("of mallory", MALLORY)
    await layer.update_thread("of mallory", name="mine", user_id="mallory")
    await layer.delete_step("s1")
    enter_chat("t1")
    await layer.update_step(message("s1", output="still written"))
    assert (await steps_of(layer))["s1"]["output"] == "still written"


async def test_a_stranger_who_chose_the_id_of_a_message_does_not_keep_it_from_being_deleted(
    layer: Any, make_layer: Any
) -> None:
    await alices_chat(layer)
    other = make_layer()
    enter_chat("of mallory", MALLORY)
    await other.update_thread("of mallory", name="mine", user_id="mallory")
    await other.create_step(message("s1", "of mallory"))
    enter_chat("t1")
    await other.delete_step("s1")
    assert await steps_of(layer) == {}


async def test_an_element_in_a_thread_that_is_nobodys_takes_a_session_of_it(layer: Any, rows: Rows) -> None:
    enter_chat("t1", MALLORY)
    await layer.create_element(chart(thread_id="t2"))
    await layer.delete_element("e1", "t2")
    assert rows() == []


# Sharing.

SESSION: dict[str, Any] = {"chat_profile": None, "chat_settings": {}, "client_type": "webapp", "env": {}}


async def test_a_session_that_ends_does_not_share_its_thread_again(layer: Any, make_layer: Any) -> None:
    await start_thread(layer)
    leave()
    await layer.update_thread("t1", metadata={"is_shared": True, "shared_at": "2026-11-01"})
    resumed = (await layer.get_thread("t1"))["metadata"]
    await make_layer().update_thread("t1", metadata={"is_shared": False})
    enter_chat("t1")
    await layer.update_thread("t1", metadata={**resumed, **SESSION, "color": "red"})
    metadata = (await layer.get_thread("t1"))["metadata"]
    assert (metadata["is_shared"], metadata["color"]) == (False, "red")


async def test_an_app_may_share_the_thread_of_its_session(layer: Any) -> None:
    await start_thread(layer)
    await layer.update_thread("t1", metadata={"is_shared": True})
    assert (await layer.get_thread("t1"))["metadata"] == {"is_shared": True}
