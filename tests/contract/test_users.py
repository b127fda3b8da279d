"""get_user and create_user: upsert, fresh objects, shared reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from chainlit.user import PersistedUser, User

from chainlit_dynamodb.errors import AccessDeniedError, InvalidIdError, TransientError
from chainlit_dynamodb.testing.transports import Counting, Failing, Gated
from tests.contract.chats import assert_clean, keys_of, one_engine
from tests.wiring import wrap

Rows = Callable[[], list[dict[str, Any]]]


async def test_an_unknown_user_is_none(layer: Any) -> None:
    assert await layer.get_user("nobody") is None


async def test_a_user_comes_back_as_it_was_made(layer: Any, make_layer: Any) -> None:
    made = await layer.create_user(User("alice", metadata={"role": "admin", "n": 3, "x": 0.5}))
    assert isinstance(made, PersistedUser)
    assert (made.id, made.identifier, made.metadata) == ("alice", "alice", {"role": "admin", "n": 3, "x": 0.5})
    assert made.createdAt.endswith("Z")
    assert await make_layer().get_user("alice") == made
    assert_clean(made.to_dict())


async def test_a_new_login_keeps_id_and_created_at(layer: Any, make_layer: Any) -> None:
    first = await layer.create_user(User("alice", metadata={"a": 1}))
    second = await make_layer().create_user(User("alice", metadata={"b": 2}))
    assert (second.id, second.createdAt) == (first.id, first.createdAt)
    assert second.metadata == {"b": 2}


async def test_a_migrated_user_keeps_its_id(layer: Any, put_row: Any) -> None:
    row = {"id": {"S": "uuid-7"}, "identifier": {"S": "alice"}, "createdAt": {"S": "2025-01-01T00:00:00.000000Z"}}
    put_row("USER#alice", "USER", metadata={"M": {}}, **row)
    user = await layer.create_user(User("alice", metadata={"a": 1}))
    assert (user.id, user.createdAt, user.metadata) == ("uuid-7", "2025-01-01T00:00:00.000000Z", {"a": 1})


async def test_every_answer_is_a_fresh_object(layer: Any) -> None:
    made = await layer.create_user(User("alice", metadata={"a": {"b": 1}}))
    first = await layer.get_user("alice")
    first.display_name = "Alice"  # Chainlit does this
    first.metadata["a"]["b"] = 2
    made.metadata["a"]["b"] = 3
    second = await layer.get_user("alice")
    assert second is not first
    assert (second.display_name, second.metadata) == (None, {"a": {"b": 1}})


async def test_concurrent_identical_reads_share_one_request(layer: Any, make_layer: Any) -> None:
    await layer.create_user(User("alice"))
    fresh = make_layer()
    counting = wrap(fresh, Counting)
    users = await asyncio.gather(*(fresh.get_user("alice") for _ in range(20)))
    assert counting.counts == {"GetItem": 1}
    assert len({id(user) for user in users}) == 20


async def test_a_page_load_reads_the_user_once(layer: Any, make_layer: Any) -> None:
    await layer.create_user(User("alice"))
    fresh = make_layer(user_cache_seconds=60)
    counting = wrap(fresh, Counting)
    for _ in range(5):
        await fresh.get_user("alice")
    assert counting.counts == {"GetItem": 1}


async def test_the_cache_can_be_turned_off(layer: Any, make_layer: Any) -> None:
    await layer.create_user(User("alice"))
    fresh = make_layer(user_cache_seconds=0)
    counting = wrap(fresh, Counting)
    for _ in range(3):
        await fresh.get_user("alice")
    assert counting.counts == {"GetItem": 3}


async def test_the_cache_ends(layer: Any, make_layer: Any) -> None:
    await layer.create_user(User("alice", metadata={"n": 1}))
    other = make_layer(user_cache_seconds=0.05)
    await other.get_user("alice")
    await layer.create_user(User("alice", metadata={"n": 2}))
    await asyncio.sleep(0.06)
    assert (await other.get_user("alice")).metadata == {"n": 2}


async def test_unknown_users_are_not_cached(layer: Any, make_layer: Any) -> None:
    other = make_layer()
    assert await other.get_user("alice") is None
    await layer.create_user(User("alice"))
    assert await other.get_user("alice") is not None


async def test_create_user_refreshes_the_cache(make_layer: Any) -> None:
    layer = make_layer(user_cache_seconds=60)
    await layer.create_user(User("alice", metadata={"n": 1}))
    await layer.get_user("alice")
    await layer.create_user(User("alice", metadata={"n": 2}))
    counting = wrap(layer, Counting)
    assert (await layer.get_user("alice")).metadata == {"n": 2}
    assert counting.counts == {}


@one_engine
async def test_a_user_who_is_being_made_is_known(layer: Any, make_layer: Any) -> None:
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    making = asyncio.create_task(layer.create_user(User("alice", metadata={"role": "admin"})))
    await gated.arrived.wait()
    found = await layer.get_user("alice")
    assert (found.id, found.identifier, found.metadata) == ("alice", "alice", {"role": "admin"})
    gated.gate.set()
    assert await making == await make_layer().get_user("alice")


@one_engine
async def test_a_user_who_could_not_be_made_is_none(layer: Any) -> None:
    wrap(layer, lambda inner: Failing(inner, AccessDeniedError("UpdateItem", "Refused", ""), "UpdateItem"))
    with pytest.raises(AccessDeniedError):
        await layer.create_user(User("alice"))
    assert await layer.get_user("alice") is None


@one_engine
async def test_a_read_that_began_before_create_user_does_not_undo_it(layer: Any, make_layer: Any) -> None:
    await layer.create_user(User("alice", metadata={"n": 1}))
    other = make_layer()
    gated = wrap(other, lambda inner: Gated(inner, "GetItem", after=True))
    reading = asyncio.create_task(other.get_user("alice"))
    await gated.arrived.wait()
    await other.create_user(User("alice", metadata={"n": 2}))
    gated.gate.set()
    await reading
    assert (await other.get_user("alice")).metadata == {"n": 2}


async def test_a_reader_that_goes_away_does_not_take_the_others_along(layer: Any, make_layer: Any) -> None:
    await layer.create_user(User("alice"))
    other = make_layer()
    gated = wrap(other, lambda inner: Gated(inner, "GetItem"))
    first, second = (asyncio.create_task(other.get_user("alice")) for _ in range(2))
    await gated.arrived.wait()
    first.cancel()
    gated.gate.set()
    assert (await second).id == "alice"


async def test_a_known_user_is_as_last_seen_while_the_table_does_not_answer(layer: Any, make_layer: Any) -> None:
    other = make_layer(user_cache_seconds=0)
    await layer.create_user(User("alice", metadata={"n": 1}))
    await other.get_user("alice")
    await layer.create_user(User("alice", metadata={"n": 2}))
    gated = wrap(other, lambda inner: Gated(inner, "GetItem"))
    start = time.monotonic()
    assert (await other.get_user("alice")).metadata == {"n": 1}
    assert time.monotonic() - start < 5
    gated.gate.set()
    await asyncio.sleep(0)
    assert (await other.get_user("alice")).metadata == {"n": 2}


async def test_a_known_user_is_as_last_seen_while_the_table_fails(make_layer: Any) -> None:
    layer = make_layer(user_cache_seconds=0)
    await layer.create_user(User("alice"))
    wrap(layer, lambda inner: Failing(inner, TransientError("GetItem", "ServiceUnavailable", "away"), "GetItem"))
    assert (await layer.get_user("alice")).id == "alice"


async def test_a_refusal_is_not_hidden_behind_what_was_known(make_layer: Any) -> None:
    layer = make_layer(user_cache_seconds=0)
    await layer.create_user(User("alice"))
    wrap(layer, lambda inner: Failing(inner, AccessDeniedError("GetItem", "AccessDeniedException", "no"), "GetItem"))
    with pytest.raises(AccessDeniedError):
        await layer.get_user("alice")


@one_engine
@pytest.mark.parametrize("identifier", ["a#b", "USER#x", "ÄÖ🌍", "a b", "x" * 1900, "alice@example.org", "USER"])
async def test_odd_identifiers_are_users(layer: Any, make_layer: Any, identifier: str) -> None:
    await layer.create_user(User(identifier))
    found = await make_layer().get_user(identifier)
    assert (found.id, found.identifier) == (identifier, identifier)


@one_engine
@pytest.mark.parametrize("identifier", ["", "x" * 3000, "a\nb"])
async def test_identifiers_that_cannot_be_are_no_users(layer: Any, rows: Rows, identifier: str) -> None:
    assert await layer.get_user(identifier) is None
    with pytest.raises(InvalidIdError):
        await layer.create_user(User(identifier))
    assert rows() == []


async def test_any_metadata_is_stored(layer: Any, make_layer: Any) -> None:
    odd = {"nan": float("nan"), "set": {1}, "bytes": b"x", "": {"": None}, "big": 2**60, "object": object(), 5: "key"}
    await layer.create_user(User("alice", metadata=odd))
    metadata = (await make_layer().get_user("alice")).metadata
    assert_clean(metadata)
    assert (metadata["big"], metadata["nan"], metadata["5"], metadata[""]) == (2**60, None, "key", {"": None})


MALFORMED: dict[str, dict[str, Any]] = {
    "empty": {},
    "odd types": {"id": {"N": "7"}, "identifier": {"NULL": True}, "createdAt": {"N": "1"}, "metadata": {"S": "x"}},
    "built-in layer": {
        "id": {"S": "alice"},
        "identifier": {"S": "alice"},
        "createdAt": {"S": "2025-01-01T10:00:00.123Z"},
        "metadata": {"M": {"count": {"N": "3"}}},
    },
}


@one_engine
@pytest.mark.parametrize("kind", MALFORMED)
async def test_malformed_rows_are_read_as_users(layer: Any, put_row: Any, kind: str) -> None:
    put_row("USER#alice", "USER", **MALFORMED[kind])
    user = await layer.get_user("alice")
    assert_clean(user.to_dict())
    assert (user.identifier, type(user.id), type(user.createdAt)) == ("alice", str, str)
    assert isinstance(user.metadata, dict)


async def test_a_user_is_one_row(layer: Any, rows: Rows) -> None:
    await layer.create_user(User("alice"))
    await layer.create_user(User("alice"))
    assert keys_of(rows()) == [("USER#alice", "USER")]
