"""The gateway to the table does on both engines, through both transports, what its docstrings say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from chainlit_dynamodb.dynamodb import table as gateway
from chainlit_dynamodb.dynamodb.codec import encode_item
from chainlit_dynamodb.dynamodb.expressions import (
    Update,
    all_of,
    any_of,
    begins_with,
    equals,
    equals_set,
    exists,
    less,
    missing,
)
from chainlit_dynamodb.dynamodb.packing import pack
from chainlit_dynamodb.dynamodb.table import Query, Table, Write
from chainlit_dynamodb.dynamodb.transport import Transport
from chainlit_dynamodb.errors import (
    ConditionFailedError,
    TransactionCancelledError,
)
from chainlit_dynamodb.schema import INDEX_NAME, INDEX_PK, INDEX_SK, PK, SK
from chainlit_dynamodb.testing.engines import MINISTACK
from tests.unit.values import nested


def key(sk: str, pk: str = "p") -> dict[str, str]:
    """Return a primary key."""
    return {PK: pk, SK: sk}


async def keys_of(table: Table, query: Query) -> list[str]:
    """Return the sort keys a query finds."""
    return [row[SK] async for page in table.query_pages(query) for row in page]


async def test_an_item_comes_back_as_it_was(table: Table) -> None:
    item = {
        **key("a"),
        "text": "héllo",
        "flag": False,
        "nothing": None,
        "list": [1, [], {}],
        "map": {"x": {"y": 1.5}},
    }
    await table.put(item)
    assert await table.get(key("a")) == item


async def test_an_item_that_is_not_there_is_none(table: Table) -> None:
    assert await table.get(key("a")) is None


async def test_only_the_attributes_asked_for_come_back(table: Table) -> None:
    await table.put({**key("a"), "name": 1, "size": 2, "status": 3})
    assert await table.get(key("a"), attributes=["name", "status", "absent"]) == {"name": 1, "status": 3}


async def test_numbers_are_exact(table: Table) -> None:
    numbers = [0, -1, 2**53 + 1, 10**38 - 1, -(10**38) + 1, 0.1, -1.5e-100, 1e-129, 123456789.123456789, 1 / 3]
    await table.put({**key("a"), "numbers": numbers})
    found = (await table.get(key("a")) or {})["numbers"]
    assert found == numbers
    assert [type(number) for number in found] == [type(number) for number in numbers]


async def test_keys_of_maps_that_dynamodb_refuses_come_back(table: Table) -> None:
    odd = {"": 1, "\0": 2, "\0\0": 3, "a\0b": 4, "é": 5, "#x": 6, ":y": 7, "a.b": 8, "size": 9, " ": 10}
    await table.put({**key("a"), "map": odd})
    await table.update(key("b"), Update(assign={"map": odd}, default={"other": {"": {"": []}}}))
    assert (await table.get(key("a")) or {})["map"] == odd
    assert await table.get(key("b")) == {**key("b"), "map": odd, "other": {"": {"": []}}}


async def test_empty_texts_are_kept(table: Table) -> None:
    await table.put({**key("a"), "text": "", "list": [""]})
    assert await table.get(key("a")) == {**key("a"), "text": "", "list": [""]}


async def test_every_text_is_a_key(table: Table) -> None:
    for sk in ("ключ", "鍵", "\U0001f511", "a b", "#", "a/b?c=d&e", "'\"\\", "x" * 1024):
        await table.put({**key(sk, "пользователь"), "n": 1})
        assert await table.get(key(sk, "пользователь")) == {**key(sk, "пользователь"), "n": 1}
        assert await table.batch_get([key(sk, "пользователь")]) == [{**key(sk, "пользователь"), "n": 1}]


async def test_sort_keys_are_in_the_order_of_their_bytes(table: Table) -> None:
    names = ["Z", "a", "a\x1f0", "a ", "ab", "é", "語", "\uffee", "\U0001f511"]
    for name in names:
        await table.put(key(name))
    assert await keys_of(table, Query(equals(PK, "p"))) == sorted(names, key=str.encode)


async def test_packed_values_come_back(table: Table) -> None:
    values = {
        "text": "x" * 10_000,
        "map": {"a": ["b" * 5_000]},
        "deep": nested(100),
        "B": {"B": "text", "M": {"B": "x"}},
    }
    packed = {name: pack(value, compress=False) for name, value in values.items()}
    await table.put({**key("a"), **packed})
    assert await table.get(key("a")) == {**key("a"), **values}


async def test_compressed_values_are_left_to_who_knows_how_much_they_may_inflate(table: Table) -> None:
    packed = {"text": pack("x" * 10_000, compress=True), "map": pack({"a": ["b" * 5_000]}, compress=True)}
    await table.put({**key("a"), **packed})
    assert await table.get(key("a")) == {**key("a"), **packed}


async def test_attributes_that_are_called_like_a_binary_are_none(table: Table) -> None:
    item = {**key("a"), "B": "text", "map": {"B": "text"}, "list": [{"B": "text"}]}
    await table.put(item)
    assert await table.get(key("a")) == item


async def test_raw_bytes_come_back_as_base64(table: Table) -> None:
    await table.put({**key("a"), "bytes": bytes(range(256))})
    found = await table.get(key("a"), attributes=["bytes"])
    assert found == {"bytes": encode_item({"x": bytes(range(256))})["x"]["B"]}


async def test_sets_of_other_writers_are_lists(table: Table, dynamodb_client: Any) -> None:
    sets = {"ss": {"SS": ["b", "a"]}, "ns": {"NS": ["2", "1"]}, "bs": {"BS": [b"b", b"a"]}}
    dynamodb_client.put_item(TableName=table.name, Item={**encode_item(key("a")), **sets})
    assert await table.get(key("a")) == {**key("a"), "ss": ["a", "b"], "ns": [1, 2], "bs": ["YQ==", "Yg=="]}


async def test_values_of_every_depth_come_back(table: Table) -> None:
    deep = {str(depth): nested(depth, by_dict=True) for depth in (29, 30, 31, 32, 100)}
    await table.put({**key("a"), **deep})
    assert await table.get(key("a")) == {**key("a"), **deep}


async def test_an_update_makes_changes_and_removes(table: Table) -> None:
    await table.update(key("a"), Update(assign={"x": 1, "y": 1}, default={"z": 1}))
    await table.update(key("a"), Update(assign={"x": 2}, default={"y": 2, "w": 2}, remove=["z", "absent"]))
    assert await table.get(key("a")) == {**key("a"), "x": 2, "y": 1, "w": 2}


async def test_an_update_gives_back_what_was_asked_for(table: Table) -> None:
    assert await table.update(key("a"), Update(assign={"x": 1})) == {}
    assert await table.update(key("a"), Update(assign={"x": 2}), return_values="UPDATED_OLD") == {"x": 1}
    assert await table.update(key("a"), Update(assign={"y": 1}), return_values="UPDATED_OLD") == {}
    assert await table.update(key("a"), Update(assign={"x": 3}), return_values="ALL_NEW") == {
        **key("a"),
        "x": 3,
        "y": 1,
    }


async def test_what_an_update_leaves_as_it_was_is_given_back_too(table: Table) -> None:
    await table.update(key("a"), Update(assign={"same": {"x": 1}, "kept": "first", "other": 1}))
    update = Update(assign={"same": {"x": 1}, "new": 1}, default={"kept": "second", "late": 1})
    assert await table.update(key("a"), update, return_values="UPDATED_OLD") == {"same": {"x": 1}, "kept": "first"}


async def test_members_join_and_leave_a_set_any_number_of_times(table: Table) -> None:
    for _ in range(2):
        await table.update(key("a"), Update(add_members={"s": ["x", "y"]}))
    assert (await table.get(key("a")) or {})["s"] == ["x", "y"]
    for _ in range(2):
        await table.update(key("a"), Update(delete_members={"s": ["x", "never"]}))
    assert (await table.get(key("a")) or {})["s"] == ["y"]
    await table.update(key("a"), Update(delete_members={"s": ["y"]}))
    assert await table.get(key("a")) == key("a")


CONDITIONS = [
    (exists("n"), True),
    (exists("absent"), False),
    (missing("absent"), True),
    (missing("none"), False),
    (equals("n", 1), True),
    (equals("n", "1"), False),
    (equals("none", None), True),
    (equals("map", {"k": True}), True),
    (equals("k", True), False),
    (equals("map", True, inside="k"), True),
    (equals("map", False, inside="k"), False),
    (less("text", "abd"), True),
    (less("text", "abc"), False),
    (less("absent", "z"), False),
    (begins_with("text", "ab"), True),
    (begins_with("text", "b"), False),
    (equals_set("set", ["b", "a"]), True),
    (equals_set("set", ["a"]), False),
    (all_of(exists("n"), exists("absent")), False),
    (any_of(exists("n"), exists("absent")), True),
    (all_of(any_of(exists("absent"), exists("n")), missing("absent")), True),
]


async def test_conditions_hold_or_refuse(table: Table) -> None:
    item: dict[str, Any] = {"n": 1, "text": "abc", "none": None, "map": {"k": True}}
    await table.put({**key("a"), **item})
    await table.update(key("a"), Update(add_members={"set": ["a", "b"]}))
    for number, (condition, holds) in enumerate(CONDITIONS):
        try:
            await table.update(key("a"), Update(assign={"done": number}), condition=condition)
        except ConditionFailedError:
            assert not holds, f"condition {number}"
        else:
            assert holds, f"condition {number}"
        assert ((await table.get(key("a")) or {}).get("done") == number) is holds, f"condition {number}"


async def test_a_refused_update_makes_no_item(table: Table) -> None:
    with pytest.raises(ConditionFailedError):
        await table.update(key("a"), Update(assign={"x": 1}), condition=exists(PK))
    assert await table.get(key("a")) is None


async def test_a_deletion_gives_what_was(table: Table) -> None:
    await table.put({**key("a"), "x": 1})
    assert await table.delete(key("a")) == {**key("a"), "x": 1}
    assert await table.delete(key("a")) is None


async def test_a_deletion_may_have_a_condition(table: Table) -> None:
    await table.put({**key("a"), "x": 1})
    with pytest.raises(ConditionFailedError):
        await table.delete(key("a"), condition=equals("x", 2))
    with pytest.raises(ConditionFailedError):
        await table.delete(key("gone"), condition=equals("x", 1))
    assert await table.get(key("a")) is not None
    await table.delete(key("a"), condition=equals("x", 1))
    assert await table.get(key("a")) is None


async def _fill(table: Table, count: int, **fields: Any) -> list[dict[str, str]]:
    keys = [key(f"{number:04d}") for number in range(count)]
    for chunk in gateway.chunks(keys, 25):
        await asyncio.gather(*(table.put({**k, **fields}) for k in chunk))
    return keys


async def test_hundreds_of_items_are_read_and_deleted_in_batches(table: Table) -> None:
    keys = await _fill(table, 250, x=1)
    found = await table.batch_get([*keys, key("absent")], attributes=[SK])
    assert sorted(row[SK] for row in found) == [k[SK] for k in keys]
    await table.batch_delete([*keys[:130], key("absent")])
    assert await keys_of(table, Query(equals(PK, "p"))) == [k[SK] for k in keys[130:]]


async def test_batches_of_nothing_are_fine(table: Table) -> None:
    assert await table.batch_get([]) == []
    await table.batch_delete([])


async def test_a_batch_larger_than_one_answer_is_read_whole(table: Table) -> None:
    keys = await _fill(table, 60, x="x" * 350_000)
    assert len(await table.batch_get(keys, attributes=[SK])) == 60
    assert sum(len(row["x"]) for row in await table.batch_get(keys)) == 60 * 350_000


async def test_a_query_larger_than_one_answer_is_read_page_by_page(table: Table, dynamodb_engine: str) -> None:
    if dynamodb_engine == MINISTACK:
        pytest.skip("ministack 1.4 does not cut the answer of a Query at 1 MB")
    keys = await _fill(table, 30, x="x" * 100_000)
    pages = [page async for page in table.query_pages(Query(equals(PK, "p"), consistent=True))]
    assert len(pages) >= 3
    assert [row[SK] for page in pages for row in page] == [k[SK] for k in keys]


async def test_a_query_goes_on_where_it_was_told(table: Table) -> None:
    keys = [k[SK] for k in await _fill(table, 7)]
    first = await table.query_page(Query(equals(PK, "p"), page_items=3))
    assert [row[SK] for row in first.items] == keys[:3]
    assert first.next_key == key(keys[2])
    rest = Query(equals(PK, "p"), page_items=3, start_key=first.next_key)
    assert await keys_of(table, rest) == keys[3:]
    backwards = Query(equals(PK, "p"), page_items=2, forward=False, start_key=key(keys[5]))
    assert await keys_of(table, backwards) == keys[4::-1]


async def test_a_query_may_start_at_an_item_that_is_gone(table: Table) -> None:
    await _fill(table, 3)
    assert await keys_of(table, Query(equals(PK, "p"), start_key=key("0000x"))) == ["0001", "0002"]


async def test_a_query_may_be_narrowed(table: Table) -> None:
    for name in ("STEP#1", "STEP#2", "ELEMENT#1", "THREAD"):
        await table.put({**key(name), "big": "x"})
    condition = all_of(equals(PK, "p"), begins_with(SK, "STEP#"))
    page = await table.query_page(Query(condition, attributes=[SK]))
    assert page.items == [{SK: "STEP#1"}, {SK: "STEP#2"}]
    assert page.next_key is None


async def test_a_query_of_an_empty_partition_is_one_empty_page(table: Table) -> None:
    assert [page async for page in table.query_pages(Query(equals(PK, "nobody")))] == [[]]


async def test_an_index_lists_in_its_own_order_and_goes_on(table: Table) -> None:
    for number in range(5):
        place = {INDEX_PK: "USER#u", INDEX_SK: f"TS#{9 - number}"}
        await table.put({**key("THREAD", f"THREAD#{number}"), **place, "name": str(number), "x": 1})
    query = Query(equals(INDEX_PK, "USER#u"), index=INDEX_NAME, page_items=2)
    page = await table.query_page(query)
    assert [row["name"] for row in page.items] == ["4", "3"]
    assert page.items[0] == {**key("THREAD", "THREAD#4"), INDEX_PK: "USER#u", INDEX_SK: "TS#5", "name": "4"}
    assert set(page.next_key or {}) == {PK, SK, INDEX_PK, INDEX_SK}
    rest = Query(equals(INDEX_PK, "USER#u"), index=INDEX_NAME, start_key=page.next_key)
    assert [row["name"] async for rows in table.query_pages(rest) for row in rows] == ["2", "1", "0"]


async def test_a_transaction_does_all_or_nothing(table: Table) -> None:
    await table.put({**key("old"), "x": 1})
    await table.transact(
        [
            Write(key("a"), Update(assign={"x": 1})),
            Write(key("old")),
            Write(key("b"), Update(add_members={"s": ["m"]})),
        ]
    )
    assert await keys_of(table, Query(equals(PK, "p"))) == ["a", "b"]
    with pytest.raises(TransactionCancelledError) as caught:
        await table.transact(
            [
                Write(key("c"), Update(assign={"x": 1})),
                Write(key("a"), Update(assign={"x": 2}), equals("x", 7)),
                Write(key("b"), None, exists("absent")),
            ]
        )
    assert caught.value.reasons == (None, "ConditionalCheckFailed", "ConditionalCheckFailed")
    assert await keys_of(table, Query(equals(PK, "p"))) == ["a", "b"]
    assert (await table.get(key("a")) or {})["x"] == 1


class Twice:
    """Sends every request twice, as when an answer was lost."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        await self.inner.call(operation, request)
        return await self.inner.call(operation, request)

    async def close(self) -> None:
        await self.inner.close()


async def test_a_transaction_that_is_sent_again_is_done_once(table: Table, transport: Transport) -> None:
    twice = Table(table.name, Twice(transport))
    await twice.transact([Write(key("a"), Update(assign={"x": 1}), missing("x"))])
    assert await table.get(key("a")) == {**key("a"), "x": 1}


async def test_closing_twice_and_going_on_afterwards_is_fine(table: Table) -> None:
    await table.put(key("a"))
    await table.close()
    await table.close()
    assert await table.get(key("a")) == key("a")


async def test_operations_are_logged_with_their_cost_and_without_content(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "chainlit.DynamoDB"):
        await table.put({**key("a"), "x": "what the user wrote"})
        await table.get(key("a"))
        await table.transact([Write(key("b"), Update(assign={"x": 1}))])
    ours = [record.getMessage() for record in caplog.records if record.name == "chainlit.DynamoDB"]
    assert [line.split()[0] for line in ours] == ["PutItem", "GetItem", "TransactWriteItems"]
    assert all("units" in line and "ms" in line for line in ours)
    assert "what the user wrote" not in caplog.text
