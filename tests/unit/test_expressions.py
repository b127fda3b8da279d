"""Expressions name every attribute by a placeholder, each value once, and never a word of DynamoDB's own."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlit_dynamodb.dynamodb.expressions import (
    Condition,
    Placeholders,
    Update,
    all_of,
    any_of,
    begins_with,
    equals,
    equals_in,
    equals_set,
    exists,
    less,
    missing,
)
from chainlit_dynamodb.dynamodb.table import Query, chunks
from tests.unit.values import plain_values

names = st.text(min_size=1, max_size=8)
conditions = st.recursive(
    st.one_of(
        st.builds(exists, names),
        st.builds(missing, names),
        st.builds(equals, names, plain_values),
        st.builds(lambda name, value, inside: equals(name, value, inside=inside), names, plain_values, names),
        st.builds(less, names, st.integers()),
        st.builds(begins_with, names, st.text()),
        st.builds(equals_set, names, st.lists(st.text(), min_size=1)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: all_of(*parts)),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: any_of(*parts)),
    ),
)
fields = st.dictionaries(names, plain_values, max_size=3)
sets = st.dictionaries(names, st.sets(names, min_size=1), max_size=2)


def _assert_sound(text: str, placeholders: Placeholders) -> None:
    request = placeholders.request()
    given_names = request.get("ExpressionAttributeNames", {})
    given_values = request.get("ExpressionAttributeValues", {})
    assert set(re.findall(r"#\d+", text)) == set(given_names)
    assert set(re.findall(r":\d+", text)) == set(given_values)
    assert len(set(given_names.values())) == len(given_names)


@given(conditions)
def test_a_condition_explains_all_it_names_and_nothing_else(condition: Condition) -> None:
    placeholders = Placeholders()
    _assert_sound(condition(placeholders), placeholders)


@given(conditions)
def test_a_condition_holds_no_text_of_its_users(condition: Condition) -> None:
    text = condition(Placeholders())
    words = re.sub(r"[#:]\d+", "", text)
    assert set(re.findall(r"[a-zA-Z_]+", words)) <= {
        "AND",
        "OR",
        "attribute_exists",
        "attribute_not_exists",
        "begins_with",
    }
    assert re.fullmatch(r"[\w ()=<,.]*", words)


@given(conditions)
def test_a_condition_can_be_written_twice(condition: Condition) -> None:
    assert condition(Placeholders()) == condition(Placeholders())


@given(fields, fields, st.lists(names, unique=True, max_size=3), sets)
def test_an_update_explains_all_it_names_and_nothing_else(
    assign: dict[str, Any], default: dict[str, Any], remove: list[str], members: dict[str, set[str]]
) -> None:
    placeholders = Placeholders()
    text = Update(assign, default, remove, members, members).expression(placeholders)
    _assert_sound(text, placeholders)
    assert [verb in text for verb in ("SET", "REMOVE", "ADD", "DELETE")] == [
        bool(assign or default),
        bool(remove),
        bool(members),
        bool(members),
    ]


def test_an_update_of_nothing_is_empty() -> None:
    placeholders = Placeholders()
    assert Update().expression(placeholders) == ""
    assert placeholders.request() == {}


def test_an_update_says_what_it_does() -> None:
    placeholders = Placeholders()
    update = Update({"a": 1}, {"b": "x"}, ["c"], {"d": ["z", "y"]}, {"e": ["w"]})
    assert update.expression(placeholders) == (
        "SET #0 = :0, #1 = if_not_exists(#1, :1) REMOVE #2 ADD #3 :2 DELETE #4 :3"
    )
    assert placeholders.request() == {
        "ExpressionAttributeNames": {"#0": "a", "#1": "b", "#2": "c", "#3": "d", "#4": "e"},
        "ExpressionAttributeValues": {
            ":0": {"N": "1"},
            ":1": {"S": "x"},
            ":2": {"SS": ["y", "z"]},
            ":3": {"SS": ["w"]},
        },
    }


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (exists("a"), "attribute_exists(#0)"),
        (missing("a"), "attribute_not_exists(#0)"),
        (equals("a", 1), "#0 = :0"),
        (equals("a", 1, inside="b"), "#0.#1 = :0"),
        (equals_in("a", {"b": 1, "c": 2}, ["b", "d"]), "(#0.#1 = :0) AND (attribute_not_exists(#0.#2))"),
        (equals_in("a", {"b": 1}, ["b"]), "#0.#1 = :0"),
        (equals_in("a", "no map", ["b"]), "#0 = :0"),
        (missing("a", inside="b"), "attribute_not_exists(#0.#1)"),
        (less("a", 1), "#0 < :0"),
        (begins_with("a", "b"), "begins_with(#0, :0)"),
        (equals_set("a", {"b"}), "#0 = :0"),
        (all_of(exists("a"), missing("a")), "(attribute_exists(#0)) AND (attribute_not_exists(#0))"),
        (any_of(equals("a", 1), equals("b", 1)), "(#0 = :0) OR (#1 = :1)"),
    ],
)
def test_a_condition_says_what_it_asks(condition: Condition, expected: str) -> None:
    assert condition(Placeholders()) == expected


def test_a_query_asks_for_what_it_was_told_and_no_more() -> None:
    assert Query(equals("PK", "p")).request() == {
        "KeyConditionExpression": "#0 = :0",
        "ExpressionAttributeNames": {"#0": "PK"},
        "ExpressionAttributeValues": {":0": {"S": "p"}},
    }
    start = {"PK": "p", "SK": "s"}
    query = Query(
        equals("PK", "p"),
        index="i",
        forward=False,
        page_items=3,
        start_key=start,
        attributes=["PK", "x"],
        consistent=True,
    )
    assert query.request() == {
        "KeyConditionExpression": "#0 = :0",
        "IndexName": "i",
        "ScanIndexForward": False,
        "Limit": 3,
        "ExclusiveStartKey": {"PK": {"S": "p"}, "SK": {"S": "s"}},
        "ConsistentRead": True,
        "ProjectionExpression": "#0, #1",
        "ExpressionAttributeNames": {"#0": "PK", "#1": "x"},
        "ExpressionAttributeValues": {":0": {"S": "p"}},
    }


@given(st.lists(st.integers()), st.integers(1, 7))
def test_chunks_are_full_but_for_the_last_and_keep_the_order(items: list[int], size: int) -> None:
    cut = list(chunks(items, size))
    assert [item for chunk in cut for item in chunk] == items
    assert all(len(chunk) == size for chunk in cut[:-1])
    assert all(cut)


@pytest.mark.parametrize("combine", [all_of, any_of])
def test_one_condition_alone_has_no_parentheses(combine: Any) -> None:
    alone = missing("a")
    assert combine(combine(alone))(Placeholders()) == alone(Placeholders())
