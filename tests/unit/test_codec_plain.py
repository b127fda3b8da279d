"""Anything becomes JSON, once and for all, and nothing raises."""

from __future__ import annotations

import dataclasses
import enum
import json
import logging
import math
import sys
from collections import deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainlit_dynamodb.dynamodb.codec import plain, weight_bytes
from tests.unit.values import (
    Colour,
    Level,
    Model,
    Mood,
    Pair,
    Raising,
    RaisingDict,
    any_text,
    anything,
    nested,
    plain_values,
)


def as_json(value: Any) -> bytes:
    """Return it as strict JSON."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@given(anything)
def test_anything_becomes_strict_json(value: Any) -> None:
    as_json(plain(value))


@given(anything)
def test_what_is_plain_stays_as_it_is(value: Any) -> None:
    once = plain(value)
    assert as_json(plain(once)) == as_json(once)


@given(anything)
def test_only_exact_json_types_come_out(value: Any) -> None:
    _assert_exact(plain(value))


def _assert_exact(value: Any) -> None:
    assert value is None or type(value) in (bool, int, float, str, list, dict)
    if type(value) is dict:
        assert all(type(key) is str for key in value)
    for inner in value.values() if type(value) is dict else value if type(value) is list else ():
        _assert_exact(inner)


@pytest.mark.parametrize("flag", [True, False])
def test_a_bool_stays_a_bool(flag: bool) -> None:
    assert plain({"flag": [flag]})["flag"][0] is flag


@given(st.integers(-(10**38) + 1, 10**38 - 1))
def test_whole_numbers_of_38_digits_stay(number: int) -> None:
    assert plain(number) == number
    assert type(plain(number)) is int


@given(st.integers(min_value=10**38, max_value=10**60))
def test_longer_numbers_become_their_decimal_string(number: int) -> None:
    assert plain(number) == str(number)
    assert plain(-number) == str(-number)


def test_numbers_python_refuses_to_print_become_hexadecimal() -> None:
    assert plain(10**5000) == hex(10**5000)


@given(st.floats(allow_nan=False, allow_infinity=False).filter(lambda f: not f.is_integer() and abs(f) > 1e-129))
def test_fractions_stay(number: float) -> None:
    assert plain(number) == number


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("sNaN"), Decimal("-Inf")])
def test_what_is_no_number_becomes_none(number: Any) -> None:
    assert plain(number) is None


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (2.0, 2),
        (-0.0, 0),
        (5e-324, 0),
        (1e300, str(int(1e300))),
        (Decimal("1.50"), 1.5),
        (Decimal("3.00"), 3),
        (Decimal("1E+40"), "1" + "0" * 40),
        (Decimal("1E+5000"), "1E+5000"),
        (Fraction(6, 3), 2),
        (Fraction(1, 4), 0.25),
        (Fraction(10**400, 3), "<Fraction>"),
    ],
)
def test_numbers_of_other_types_become_int_or_float(number: Any, expected: Any) -> None:
    assert plain(number) == expected
    assert type(plain(number)) is type(expected)


def test_members_of_enums_become_their_value() -> None:
    assert plain([Colour.RED, Level.LOW, Mood.GOOD, Colour.NESTED]) == ["red", 1, "good", [1, "two", [3]]]
    assert type(plain(Level.LOW)) is int


def test_models_and_dataclasses_become_dicts() -> None:
    assert plain(Model(inner=Pair(1, {2}))) == {"inner": {"left": 1, "right": [2]}}


def test_a_class_is_no_instance_of_itself() -> None:
    assert plain(Pair) == "<type>"
    assert plain(Model) == "<ModelMetaclass>"


def test_every_sequence_becomes_a_list() -> None:
    assert plain([(1, 2), range(2), deque([3]), {4: 5}.values(), {6: 7}.keys()]) == [[1, 2], [0, 1], [3], [5], [6]]


def test_keys_become_text() -> None:
    keys = {"": 1, "\x00": 2, 3: 3, None: 4, True: 5, (1, 2): 6, Mood.GOOD: 7}
    assert plain(keys) == {"": 1, "\x00": 2, "3": 3, "null": 4, "true": 5, "[1, 2]": 6, "good": 7}


@given(any_text)
def test_text_that_is_unicode_stays(text: str) -> None:
    is_sound = not any(0xD800 <= ord(char) <= 0xDFFF for char in text)
    assert (plain(text) == text) is is_sound


@example("\ud800", "\ufffd")
@example("a\udfffb", "a\ufffdb")
@example("\ud83d\ude00", "\U0001f600")
@given(st.just("\ude00\ud83d"), st.just("\ufffd\ufffd"))
def test_lone_surrogates_are_replaced_one_by_one_and_pairs_are_joined(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_a_cycle_is_cut_where_it_closes() -> None:
    ring: list[Any] = [1]
    ring.append({"again": ring})
    assert plain(ring) == [1, {"again": None}]


def test_a_value_used_twice_is_no_cycle() -> None:
    shared = [1]
    assert plain({"a": shared, "b": shared}) == {"a": [1], "b": [1]}


def test_an_enum_that_holds_itself_ends() -> None:
    class Odd(enum.Enum):
        SELF = "self"

    setattr(Odd.SELF, "_value_", [Odd.SELF])  # noqa: B010 - mypy knows members do not change
    as_json(plain(Odd.SELF))


@pytest.mark.parametrize("by_dict", [False, True])
def test_a_hundred_levels_are_copied_whole(by_dict: bool) -> None:
    assert plain(nested(100, by_dict=by_dict)) == nested(100, by_dict=by_dict)


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_bottomless_values_are_cut(depth: int) -> None:
    as_json(plain(nested(depth)))
    as_json(plain(nested(depth, by_dict=True)))


def test_a_hundred_levels_are_copied_from_deep_within_the_users_code() -> None:
    def call(frames: int) -> Any:
        return call(frames - 1) if frames else plain(nested(100))

    assert call(sys.getrecursionlimit() // 3) == nested(100)


def test_what_raises_costs_only_itself() -> None:
    @dataclasses.dataclass
    class Holder:
        bad: Any
        good: int

    copied = plain({"a": 1, "b": RaisingDict(x=1), "c": Holder(Raising(), 2)})
    assert copied == {"a": 1, "b": "<RaisingDict>", "c": {"bad": "<Raising>", "good": 2}}


def test_a_dict_that_grows_while_it_is_copied_costs_only_itself() -> None:
    class Growing(dict[str, Any]):
        def items(self) -> Any:
            for key in list(self):
                self[key + "x"] = 1
            yield from super().items()

    values: dict[str, Any] = {"a": 1, "b": Growing(c=2)}
    as_json(plain(values))


def test_an_unknown_type_is_named_once_in_the_log_without_its_content(caplog: pytest.LogCaptureFixture) -> None:
    class Secretive:
        def __repr__(self) -> str:
            return "the password"

    with caplog.at_level(logging.WARNING, "chainlit.DynamoDB"):
        assert plain([Secretive(), Secretive()]) == [f"<{Secretive.__qualname__}>"] * 2
    assert len(caplog.records) == 1
    assert "Secretive" in caplog.text
    assert "password" not in caplog.text


def test_the_copy_shares_nothing_with_the_original() -> None:
    original = {"a": [1, {"b": 2}]}
    copied = plain(original)
    copied["a"][1]["b"] = 3
    assert original == {"a": [1, {"b": 2}]}


def test_the_warning_about_one_type_does_not_hide_another(caplog: pytest.LogCaptureFixture) -> None:
    first, second = type("One", (), {}), type("Two", (), {})
    plain([first(), second()])
    assert [record.getMessage().count("One") for record in caplog.records] == [1, 0]


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "x" * 1_000, b"x" * 1_000, ["x"] * 9, {"a": {"b": [1]}}])
def test_every_plain_value_has_a_weight(value: Any) -> None:
    assert weight_bytes(value) >= 32


def test_weight_grows_with_content() -> None:
    assert weight_bytes({"a": ["x" * 10_000]}) > 10_000


@given(plain_values, st.integers(0, 1_000))
def test_what_is_weighed_up_to_a_limit_is_above_it_if_it_weighs_more(value: Any, most_bytes: int) -> None:
    weight = weight_bytes(plain(value))
    assert (weight_bytes(plain(value), most_bytes) > most_bytes) == (weight > most_bytes)


@pytest.mark.parametrize("value", [["x"] * 1_000_000, {"a": dict.fromkeys(range(10**6))}, [[0] * 10**6] * 10**6])
def test_what_is_far_heavier_is_not_looked_through(value: Any) -> None:
    looked_at = []
    sys.setprofile(lambda *_: looked_at.append(1))
    weight_bytes(value, 1_000)
    sys.setprofile(None)
    assert len(looked_at) < 100


def test_what_holds_itself_is_heavy() -> None:
    value: list[Any] = []
    value.append(value)
    assert weight_bytes(value, 1_000_000) > 1_000_000
