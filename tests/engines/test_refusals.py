"""What DynamoDB refuses, on both engines and through both transports: too large, misspelt, invalid."""

from __future__ import annotations

import pytest

from chainlit_dynamodb.dynamodb.codec import encode_item, item_size_bytes
from chainlit_dynamodb.dynamodb.expressions import (
    Update,
    equals,
)
from chainlit_dynamodb.dynamodb.packing import pack
from chainlit_dynamodb.dynamodb.table import Query, Table
from chainlit_dynamodb.errors import (
    ItemTooLargeError,
    RequestError,
    SchemaError,
)
from chainlit_dynamodb.schema import INDEX_PK, PK, SK
from tests.engines.conftest import MakeTransport

MAX_ITEM_BYTES = 400 * 1024


def key(sk: str, pk: str = "p") -> dict[str, str]:
    """Return a primary key."""
    return {PK: pk, SK: sk}


async def test_the_size_of_an_item_is_known_before_it_is_sent(table: Table) -> None:
    fields = {"n": 12345, "flag": True, "none": None, "list": ["é" * 10, 1.5], "map": {"kéy": {"inner": ["x"]}}}
    empty = item_size_bytes(encode_item({**key("a"), **fields, "filling": ""}))
    room = MAX_ITEM_BYTES - empty
    await table.put({**key("a"), **fields, "filling": "x" * (room - 64)})
    with pytest.raises(ItemTooLargeError):
        await table.put({**key("b"), **fields, "filling": "x" * (room + 64)})


async def test_values_just_below_the_limit_are_stored(table: Table) -> None:
    for value in ("x" * 409_000, pack("é" * 204_000, compress=False), ["x" * 8] * 40_000):
        assert item_size_bytes(encode_item({**key("a"), "v": value})) < MAX_ITEM_BYTES
        await table.put({**key("a"), "v": value})


async def test_an_item_that_is_too_large_is_told_apart(table: Table) -> None:
    with pytest.raises(ItemTooLargeError):
        await table.put({**key("a"), "x": "x" * 410_000})
    await table.put({**key("a"), "x": "x" * 300_000})
    with pytest.raises(ItemTooLargeError):
        await table.update(key("a"), Update(assign={"y": "y" * 200_000}))
    assert set(await table.get(key("a")) or {}) == {PK, SK, "x"}


async def test_a_table_that_is_not_there_is_named(dynamodb_url: str, make_transport: MakeTransport) -> None:
    table = Table("misspelt", make_transport(dynamodb_url, "misspelt"))
    for request in (table.get(key("a")), table.put(key("a")), table.query_page(Query(equals(PK, "p")))):
        with pytest.raises(SchemaError, match="create-table misspelt"):
            await request


async def test_an_index_that_is_not_there_is_a_matter_of_the_table(table: Table) -> None:
    with pytest.raises(SchemaError, match="lacks the index"):
        await table.query_page(Query(equals(INDEX_PK, "x"), index="Missing"))


async def test_other_keys_than_the_tables_are_a_matter_of_the_table(table: Table) -> None:
    with pytest.raises(SchemaError, match="other keys"):
        await table.get({"id": "x"})
    with pytest.raises(SchemaError, match="other keys"):
        await table.put({"id": "x"})


async def test_what_dynamodb_refuses_as_invalid_is_not_tried_again(table: Table) -> None:
    with pytest.raises(RequestError) as caught:
        await table.update(key("a"), Update(assign={"PK": "other"}))
    assert caught.value.code == "ValidationException"
