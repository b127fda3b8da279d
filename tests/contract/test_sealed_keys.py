"""The keys that seal content: whose they are, when they are made, erased, wrapped anew, and out of reach."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chainlit.types import Feedback
from chainlit.user import User

from chainlit_dynamodb import CipherError, LocalKeys, RetryPolicies, RetryPolicy
from chainlit_dynamodb.errors import SchemaError, TransientError
from chainlit_dynamodb.rows import keys as keyring
from chainlit_dynamodb.testing.transports import Counting
from tests.contract.chats import (
    enter_bot,
    enter_chat,
    ids,
    leave,
    listed,
    message,
    page_of,
    person,
    sealed_only,
    start_thread,
    steps_of,
    tool,
)
from tests.contract.sealed import MARK, tell_everything
from tests.wiring import wrap

pytestmark = sealed_only

Raw = Callable[[], list[dict[str, Any]]]


async def test_where_processes_make_a_key_at_once_the_first_one_counts(
    make_layer: Any, key_table: str, dynamodb_client: Any
) -> None:
    enter_chat("t1")
    layers = [make_layer() for _ in range(8)]
    writes = [layer.create_step(tool(f"s{number}", output=MARK)) for number, layer in enumerate(layers)]
    naming = [layer.update_thread("t1", name=MARK, user_id="alice") for layer in layers]
    await asyncio.gather(*writes, *naming)
    thread = await make_layer().get_thread("t1")
    assert thread["name"] == MARK
    assert [step["output"] for step in thread["steps"]] == [MARK] * 8
    made = {row["PK"]["S"] for row in dynamodb_client.scan(TableName=key_table)["Items"]}
    assert made - {"KEY#USER#"} == {"KEY#THREAD#t1", "KEY#USER#alice"}


async def test_what_is_written_before_a_chat_has_its_owner_goes_with_the_owners_key(
    layer: Any, make_layer: Any
) -> None:
    enter_chat("t1")
    await layer.create_step(message("s1"))
    await layer.update_thread("t1", name="a chat", user_id="alice")
    assert ids((await layer.get_thread("t1"))["steps"]) == ["s1"]
    assert await layer.keys.erase("alice")
    assert await make_layer().get_thread("t1") is None


async def test_a_chat_from_before_the_cipher_is_sealed_for_its_owner(make_layer: Any) -> None:
    await start_thread(make_layer(cipher=None))
    layer = make_layer()
    await layer.create_step(message("s1"))
    await layer.keys.erase("alice")
    assert await steps_of(make_layer()) == {}


async def test_a_chat_that_changes_hands_goes_with_the_key_of_its_new_owner(layer: Any, make_layer: Any) -> None:
    await start_thread(layer)
    await layer.update_thread("t1", user_id="bob")
    await layer.keys.erase("alice")
    assert (await make_layer().get_thread("t1"))["name"] == "a chat"
    await layer.keys.erase("bob")
    assert await make_layer().get_thread("t1") is None


@pytest.mark.parametrize("erased", ["mallory", "alice"])
async def test_a_stranger_who_is_refused_gets_no_hold_of_the_key(
    layer: Any, make_layer: Callable[..., Any], erased: str
) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1", output="precious"))
    enter_chat("t1", person("mallory"))
    await layer.update_thread("t1", name="hi", user_id="mallory")
    leave()
    await layer.keys.erase(erased)
    assert (await make_layer().get_thread("t1") is None) == (erased == "alice")


async def test_a_stranger_who_is_refused_gets_no_chat_from_before_the_cipher(make_layer: Callable[..., Any]) -> None:
    plain, layer = make_layer(cipher=None), make_layer()
    await start_thread(plain)
    enter_chat("t1", person("mallory"))
    await layer.update_thread("t1", name="hi", user_id="mallory")
    enter_chat("t1")
    await layer.create_step(message("s1", output="precious"))
    leave()
    await layer.keys.erase("mallory")
    assert list(await steps_of(make_layer())) == ["s1"]


async def test_bots_chats_need_no_owner(layer: Any, make_layer: Any) -> None:
    enter_bot("t1", None)
    await layer.create_step(message("s1", output=MARK))
    await layer.update_thread("t1", name=MARK)
    other = make_layer()
    assert (await steps_of(other))["s1"]["output"] == MARK
    assert await other.upsert_feedback(Feedback(forId="s1", value=1, comment=MARK))


async def test_an_erased_user_is_gone_and_nothing_fails(
    layer: Any, make_layer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await tell_everything(layer)
    await start_thread(layer, "t2", name="bobs", user_id="bob")
    assert await layer.keys.erase("alice")
    caplog.clear()
    other = make_layer()
    enter_chat("t1")
    for reader in (layer, other):
        assert await reader.get_thread("t1") is None
        assert await reader.get_element("t1", "e1") is None
        assert (await page_of(reader)).data == []
        assert await listed(reader, search=MARK) == []
        assert await listed(reader, feedback=1) == []
        assert await reader.get_favorite_steps("alice") == []
        assert await reader.upsert_feedback(Feedback(forId="s1", threadId="t1", value=0)) == ""
        assert (await reader.get_thread("t2"))["name"] == "bobs"
    assert await other.get_user("alice") is None
    said = [r.message for r in caplog.records if "erased" in r.message and "THREAD#t1" in r.message]
    assert len(said) == 2  # once in each process
    assert [r for r in caplog.records if r.levelno >= logging.ERROR or r.exc_info] == []


async def test_an_erased_user_may_come_back(layer: Any, make_layer: Any) -> None:
    await layer.create_user(User("alice", metadata={"is": "old"}))
    await start_thread(layer)
    await layer.keys.erase("alice")
    other = make_layer()
    assert (await other.create_user(User("alice", metadata={"is": "new"}))).metadata == {"is": "new"}
    await start_thread(other, "t2", name="new")
    await other.update_thread("t1", metadata={"is": "late"})
    await other.create_step(message("s1", "t1", output="late"))
    third = make_layer()
    assert (await third.get_user("alice")).metadata == {"is": "new"}
    assert await listed(third) == ["t2"]
    assert await third.get_thread("t1") is None


async def test_an_erased_chat_can_be_deleted(layer: Any, make_layer: Any, rows: Raw) -> None:
    await tell_everything(layer)
    await layer.keys.erase("alice")
    other = make_layer()
    enter_chat("t1")
    await other.delete_step("s2")
    await other.delete_element("e1", "t1")
    await other.delete_thread("t1")
    assert {row["SK"]["S"] for row in rows()} == {"USER", "THREAD"}


async def test_the_key_of_a_deleted_chat_is_erased(layer: Any, key_table: str, dynamodb_client: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    await layer.delete_thread("t1")
    keys = dynamodb_client.scan(TableName=key_table)["Items"]
    assert "KEY#THREAD#t1" not in {row["PK"]["S"] for row in keys}


async def test_deleting_an_unknown_chat_leaves_a_key_that_was_just_made(
    layer: Any, make_layer: Any, put_row: Any, dynamodb_client: Any, key_table: str
) -> None:
    await layer.keys.for_writing("THREAD#t1")
    put_row("THREAD#t1", "ELEMENT#e1", _announcedAt={"N": str(int(time.time()))}, objectKey={"S": "a file"})
    await make_layer().delete_thread("t1")
    assert "KEY#THREAD#t1" in {row["PK"]["S"] for row in dynamodb_client.scan(TableName=key_table)["Items"]}


async def test_a_new_master_key_wraps_anew_what_old_values_are_read_with(
    make_layer: Any, tmp_path: Path, key_table: str
) -> None:
    await start_thread(make_layer(), name="old")
    file = tmp_path / "keys"
    old, new = file.read_text(), base64.b64encode(b"n" * 32).decode()
    file.write_text(f"{new}\n{old}")
    both = make_layer(cipher=LocalKeys(file, key_table=key_table))
    assert (await both.get_thread("t1"))["name"] == "old"
    assert await both.keys.rewrap("alice")
    assert not await both.keys.rewrap("carol")
    await both.create_step(message("s1"))
    file.write_text(new)
    rotated = make_layer(cipher=LocalKeys(file, key_table=key_table))
    thread = await rotated.get_thread("t1")
    assert (thread["name"], ids(thread["steps"])) == ("old", ["s1"])


async def test_the_key_of_nobodys_chats_is_wrapped_anew_too(make_layer: Any, tmp_path: Path, key_table: str) -> None:
    layer = make_layer()
    enter_bot("t1", None)
    await layer.create_step(message("s1"))
    await layer.update_thread("t1", name="bots")
    file = tmp_path / "keys"
    new = base64.b64encode(b"n" * 32).decode()
    file.write_text(f"{new}\n{file.read_text()}")
    assert await make_layer(cipher=LocalKeys(file, key_table=key_table)).keys.rewrap(None)
    file.write_text(new)
    assert (await make_layer(cipher=LocalKeys(file, key_table=key_table)).get_thread("t1"))["name"] == "bots"


class Flaky:
    """Keys from a file whose keeper is away for some calls, or slow."""

    def __init__(self, keys: LocalKeys, *, refusals: int = 0) -> None:
        self.key_table = keys.key_table
        self.refusals = refusals
        self.calls: list[str] = []
        self._keys = keys

    async def new_key(self, owner: str) -> tuple[bytes, bytes]:
        self._refuse("new_key")
        return await self._keys.new_key(owner)

    async def unwrap(self, wrapped: bytes, owner: str) -> bytes:
        self._refuse("unwrap")
        return await self._keys.unwrap(wrapped, owner)

    async def rewrap(self, wrapped: bytes, owner: str) -> bytes:
        self._refuse("rewrap")
        return await self._keys.rewrap(wrapped, owner)

    async def close(self) -> None:
        await self._keys.close()

    def _refuse(self, call: str) -> None:
        self.calls.append(call)
        if self.refusals > 0:
            self.refusals -= 1
            raise TransientError(call, "ThrottlingException", "KMS is throttling or briefly unavailable")


async def test_no_write_is_lost_while_keys_are_out_of_reach_for_a_moment(
    make_layer: Any, tmp_path: Path, key_table: str
) -> None:
    flaky = Flaky(LocalKeys(tmp_path / "keys", key_table=key_table), refusals=5)
    layer = make_layer(cipher=flaky)
    enter_chat("t1")
    await asyncio.gather(
        layer.create_step(message("s1")),
        layer.update_thread("t1", name="a chat", user_id="alice"),
        layer.create_step(tool("s2")),
    )
    await layer.close()  # in a session Chainlit waits for a moment only
    assert sorted(await steps_of(make_layer())) == ["s1", "s2"]


async def test_whoever_reads_hears_that_keys_are_out_of_reach(
    make_layer: Any, tmp_path: Path, key_table: str
) -> None:
    await start_thread(make_layer())
    flaky = Flaky(LocalKeys(tmp_path / "keys", key_table=key_table), refusals=10**6)
    impatient = RetryPolicies(read=RetryPolicy(0.1), write=RetryPolicy(30))
    layer = make_layer(cipher=flaky, retry=impatient)
    with pytest.raises(TransientError, match="KMS is throttling"):
        await layer.get_thread("t1")
    with pytest.raises(TransientError):
        await page_of(layer)
    assert flaky.calls.count("unwrap") > 2
    flaky.refusals = 0
    assert (await layer.get_thread("t1"))["name"] == "a chat"


async def test_a_write_that_waits_for_its_key_does_not_end_with_a_reader_who_gives_up(
    make_layer: Any, tmp_path: Path, key_table: str
) -> None:
    await start_thread(make_layer())
    flaky = Flaky(LocalKeys(tmp_path / "keys", key_table=key_table), refusals=10**6)
    layer = make_layer(cipher=flaky, retry=RetryPolicies(read=RetryPolicy(0.1), write=RetryPolicy(30)))
    reading = asyncio.create_task(layer.keys.find({"THREAD#t1": {b"...."}}, None))
    await asyncio.sleep(0.05)  # it asks first
    writing = asyncio.create_task(layer.create_step(message("s1")))
    with pytest.raises(TransientError):
        await reading
    flaky.refusals = 0
    await writing
    assert ids((await layer.get_thread("t1"))["steps"]) == ["s1"]


async def test_a_key_is_asked_for_once_for_many_chats_and_steps(
    make_layer: Any, tmp_path: Path, key_table: str
) -> None:
    first = make_layer()
    for number in range(5):
        await start_thread(first, f"t{number}")
    flaky = Flaky(LocalKeys(tmp_path / "keys", key_table=key_table))
    layer = make_layer(cipher=flaky)
    counting = wrap(layer, Counting)
    await asyncio.gather(*(layer.create_step(tool(f"s{n}", f"t{n % 5}")) for n in range(50)))
    assert flaky.calls == ["unwrap"]
    assert counting.counts["BatchGetItem"] == 6  # five chats and their owner
    assert len((await page_of(layer)).data) == 5
    assert counting.counts["BatchGetItem"] == 7  # the rows of the list


async def test_a_first_message_makes_the_keys_of_its_chat_and_of_its_user(layer: Any) -> None:
    counting = wrap(layer, Counting)
    enter_chat("t1")
    await layer.update_thread("t1", name="a chat", user_id="alice")
    await layer.create_step(message("s1"))
    assert counting.counts == {
        "BatchGetItem": 2,  # is there a key of the chat, and of the user?
        "PutItem": 2,
        "UpdateItem": 2,  # the chat and the message
        "Query": 1,  # is the chat on top?
    }


async def test_a_key_that_was_erased_elsewhere_is_forgotten_in_time(
    make_layer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "CACHE_SECONDS", 0.3)
    one, other = make_layer(), make_layer()
    await start_thread(one)
    assert await other.get_thread("t1") is not None
    await one.keys.erase("alice")
    assert await one.get_thread("t1") is None
    await asyncio.sleep(0.4)
    assert await other.get_thread("t1") is None


async def test_so_many_keys_are_held_and_no_more(make_layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "CACHED_KEYS", 3)
    layer = make_layer()
    for number in range(6):
        await start_thread(layer, f"t{number}")
    assert len(layer.keys._cache) == 3
    assert len((await page_of(layer)).data) == 6


async def test_check_tries_the_keys(make_layer: Any, tmp_path: Path, key_table: str) -> None:
    await make_layer().check()
    (tmp_path / "broken").write_text("no key")
    with pytest.raises(CipherError):
        await make_layer(cipher=LocalKeys(tmp_path / "broken", key_table=key_table)).check()


async def test_a_key_table_that_is_not_there_is_named(make_layer: Any, tmp_path: Path) -> None:
    layer = make_layer(cipher=LocalKeys(tmp_path / "keys", key_table="nowhere"))
    with pytest.raises(SchemaError, match="nowhere"):
        await layer.create_user(User("alice", metadata={"a": 1}))
