"""The parser: what is an expression, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from chainlit_dynamodb.testing.simulation.conditions import condition
from chainlit_dynamodb.testing.simulation.expressions import ExpressionError, parse_update
from chainlit_dynamodb.testing.simulation.updates import updated

ITEM: dict[str, Any] = {"a": {"S": "text"}, "n": {"N": "5"}, "m": {"M": {"x": {"N": "1"}}}, "l": {"L": [{"S": "x"}]}}
VALUES: dict[str, Any] = {":t": {"S": "te"}, ":five": {"N": "5.0"}, ":six": {"N": "6"}, ":x": {"S": "x"}}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("begins_with(a, :t)", True),
        ("n = :five AND n < :six", True),
        ("n <> :five", False),
        ("NOT n = :six AND attribute_exists(m.x)", True),
        ("attribute_not_exists(m.y) OR n > :six", True),
        ("(n > :six OR a = :t) AND attribute_exists(a)", False),
        ("n BETWEEN :five AND :six", True),
        ("a IN (:t, :x)", False),
        ("size(a) < :five", True),
        ("contains(l, :x)", True),
        ("l[0] = :x", True),
        ("missing <> :x", True),
        ("missing < :x", False),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    assert condition(text)(ITEM, {}, VALUES) is holds


@pytest.mark.parametrize("text", ["", "a", "a =", "(a = :x", "begins_with(a)", "a = :x AND", "a == :x", "a = :x b"])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ExpressionError):
        condition(text)(ITEM, {}, VALUES)


@pytest.mark.parametrize("text", ["SET", "SET a", "MOVE a", "SET a = :x SET n = :x", "REMOVE a, ", "ADD a"])
def test_what_is_no_update(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_update(text)


def test_updates_leave_the_old_item_as_it_was() -> None:
    text = "SET m.y = :x, l[0] = :t, n = n + :six, z = if_not_exists(a, :x) REMOVE a"
    after, touched = updated(ITEM, text, {}, VALUES)
    assert after["m"] == {"M": {"x": {"N": "1"}, "y": {"S": "x"}}}
    assert after["l"] == {"L": [{"S": "te"}]}
    assert after["n"] == {"N": "11"}
    assert after["z"] == {"S": "text"}
    assert "a" not in after
    assert ITEM["a"] == {"S": "text"}
    assert ITEM["m"] == {"M": {"x": {"N": "1"}}}
    assert set(touched) == {"m", "l", "n", "z", "a"}


def test_overlapping_paths_are_refused() -> None:
    with pytest.raises(ExpressionError):
        updated(ITEM, "SET m = :x, m.y = :x", {}, VALUES)
