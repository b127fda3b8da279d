"""Plain values go to DynamoDB and come back as they were."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlit_dynamodb.dynamodb.codec import (
    MAX_NESTING,
    decode,
    decode_item,
    encode,
    encode_item,
    item_size_bytes,
    plain,
    size_bytes,
)
from tests.unit.values import anything, nested, plain_values


@given(anything)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    copied = plain(value)
    assert json.dumps(decode(encode(copied))) == json.dumps(copied)


@given(anything)
def test_no_empty_key_and_no_empty_set_reaches_the_wire(value: Any) -> None:
    for tag, content in _parts(encode(plain(value))):
        assert tag in {"S", "N", "BOOL", "NULL", "M", "L", "B"}
        assert tag != "M" or all(content)


def _parts(value: dict[str, Any]) -> list[tuple[str, Any]]:
    ((tag, content),) = value.items()
    inner = content.values() if tag == "M" else content if tag == "L" else ()
    return [(tag, content), *(part for each in inner for part in _parts(each))]


@pytest.mark.parametrize("flag", [True, False])
def test_a_bool_never_becomes_a_number(flag: bool) -> None:
    assert encode(flag) == {"BOOL": flag}
    assert decode(encode([flag, 1, 0])) == [flag, 1, 0]
    assert decode(encode([flag]))[0] is flag


@given(st.integers(-(10**38) + 1, 10**38 - 1))
def test_whole_numbers_are_exact(number: int) -> None:
    assert decode(encode(number)) == number
    assert type(decode(encode(number))) is int


@pytest.mark.parametrize(
    ("text", "expected"), [("1.0", 1), ("1E+2", 100), ("-0", 0), ("0.5", 0.5), ("-12", -12), ("1E-10", 1e-10)]
)
def test_numbers_are_read_in_every_notation(text: str, expected: float) -> None:
    assert decode({"N": text}) == expected
    assert type(decode({"N": text})) is type(expected)


@pytest.mark.parametrize("keys", [["", "\x00", "\x00\x00", "\x00a", "a\x00"]])
def test_keys_that_dynamodb_refuses_come_back(keys: list[str]) -> None:
    value = {key: number for number, key in enumerate(keys)}
    assert decode(encode(value)) == value


def test_sets_of_other_writers_become_sorted_lists() -> None:
    assert decode({"SS": ["b", "a"]}) == ["a", "b"]
    assert decode({"NS": ["2", "1.5"]}) == [1.5, 2]
    assert decode({"BS": ["Yg==", "YQ=="]}) == ["YQ==", "Yg=="]


def test_binaries_of_other_writers_become_their_base64_text() -> None:
    assert decode({"B": "aGVsbG8="}) == "aGVsbG8="


@pytest.mark.parametrize("depth", [MAX_NESTING, MAX_NESTING + 1, 100])
def test_deep_values_come_back(depth: int) -> None:
    assert decode(encode(nested(depth))) == nested(depth)


def test_only_too_deep_values_are_packed() -> None:
    assert "L" in encode(nested(MAX_NESTING))
    assert "B" in encode(nested(MAX_NESTING + 1))


@given(st.dictionaries(st.text(min_size=1, max_size=5), plain_values, max_size=4))
def test_items_come_back_as_they_were(item: dict[str, Any]) -> None:
    assert decode_item(encode_item(item)) == item


@given(plain_values, plain_values)
def test_sizes_add_up(first: Any, second: Any) -> None:
    item = {"a": encode(first), "bc": encode(second)}
    assert item_size_bytes(item) == 3 + size_bytes(item["a"]) + size_bytes(item["bc"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"S": "aé"}, 3),
        ({"B": base64.b64encode(b"12345").decode()}, 5),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"L": []}, 3),
        ({"L": [{"S": "ab"}]}, 6),
        ({"M": {}}, 3),
        ({"M": {"k": {"S": "v"}}}, 6),
    ],
)
def test_sizes_follow_the_published_rule(value: dict[str, Any], expected: int) -> None:
    assert size_bytes(value) == expected
