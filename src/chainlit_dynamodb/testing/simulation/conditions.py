"""Conditions as functions: what an expression says of an item."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from chainlit_dynamodb.testing.simulation.expressions import (
    Among,
    And,
    Between,
    Call,
    Compare,
    ExpressionError,
    Not,
    Or,
    Path,
    Value,
    parse_condition,
)

AttributeValue = dict[str, Any]
Item = dict[str, AttributeValue]
Names = Mapping[str, str]
Values = Mapping[str, AttributeValue]
Holds = Callable[[Item, Names, Values], bool]
Read = Callable[[Item, Names, Values], "AttributeValue | None"]

_ORDERED: Final = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_SETS: Final = ("SS", "NS", "BS")


@lru_cache(maxsize=4096)
def condition(text: str) -> Holds:
    """Return the function of a condition's text."""
    return _holds(parse_condition(text))


def named(step: str, names: Names) -> str:
    """Return the name that a step of a path stands for."""
    if not step.startswith("#"):
        return step
    if step not in names:
        raise ExpressionError(f"{step} is not defined")
    return names[step]


def value_at(item: Item, path: Path, names: Names) -> AttributeValue | None:
    """Return what is at a path, or `None`."""
    steps = path.steps
    found = item.get(named(str(steps[0]), names))
    for step in steps[1:]:
        found = _inside(found, step, names)
    return found


@lru_cache(maxsize=4096)
def reader(operand: Any) -> Read:
    """Return the function that reads an operand."""
    if isinstance(operand, Value):
        return _constant(operand.name)
    if isinstance(operand, Path):
        return lambda item, names, _: value_at(item, operand, names)
    if isinstance(operand, Call) and operand.name == "size":
        inner = reader(operand.operands[0])
        return lambda item, names, values: _size(inner(item, names, values))
    raise ExpressionError(f"{operand} is no operand")


def equal(one: AttributeValue | None, other: AttributeValue | None) -> bool:
    """Return whether two values are the same to DynamoDB."""
    if one is None or other is None:
        return False
    if one == other:
        return True
    (kind, content), (other_kind, other_content) = next(iter(one.items())), next(iter(other.items()))
    if kind != other_kind:
        return False
    if kind == "N":
        return Decimal(content) == Decimal(other_content)
    if kind == "NS":
        return set(map(Decimal, content)) == set(map(Decimal, other_content))
    if kind in _SETS:
        return set(content) == set(other_content)
    if kind == "L":
        return len(content) == len(other_content) and all(map(equal, content, other_content))
    if kind == "M":
        return content.keys() == other_content.keys() and all(equal(content[k], other_content[k]) for k in content)
    return False


def _constant(name: str) -> Read:
    def read(_: Item, __: Names, values: Values) -> AttributeValue:
        if name not in values:
            raise ExpressionError(f"{name} is not defined")
        return values[name]

    return read


def _inside(value: AttributeValue | None, step: str | int, names: Names) -> AttributeValue | None:
    if value is None:
        return None
    if isinstance(step, int):
        elements = value.get("L", ())
        return elements[step] if step < len(elements) else None
    found: AttributeValue | None = value.get("M", {}).get(named(step, names))
    return found


def _size(value: AttributeValue | None) -> AttributeValue | None:
    if value is None:
        return None
    kind, content = next(iter(value.items()))
    if kind == "S":
        return {"N": str(len(content.encode()))}
    if kind == "B":
        return {"N": str(len(content) * 3 // 4 - content.count("="))}
    return {"N": str(len(content))} if kind in ("L", "M", *_SETS) else None


def _holds(tree: Any) -> Holds:
    if isinstance(tree, And):
        left, right = _holds(tree.left), _holds(tree.right)
        return lambda item, names, values: left(item, names, values) and right(item, names, values)
    if isinstance(tree, Or):
        left, right = _holds(tree.left), _holds(tree.right)
        return lambda item, names, values: left(item, names, values) or right(item, names, values)
    if isinstance(tree, Not):
        inner = _holds(tree.inner)
        return lambda item, names, values: not inner(item, names, values)
    if isinstance(tree, Compare):
        return _comparison(tree)
    if isinstance(tree, Between):
        return _holds(And(Compare(">=", tree.operand, tree.low), Compare("<=", tree.operand, tree.high)))
    if isinstance(tree, Among):
        choices = [_holds(Compare("=", tree.operand, choice)) for choice in tree.choices]
        return lambda item, names, values: any(holds(item, names, values) for holds in choices)
    return _function(tree)


def _comparison(tree: Compare) -> Holds:
    left, right = reader(tree.left), reader(tree.right)
    if tree.operator == "=":
        return lambda item, names, values: equal(left(item, names, values), right(item, names, values))
    if tree.operator == "<>":
        return lambda item, names, values: not equal(left(item, names, values), right(item, names, values))
    compare = _ORDERED[tree.operator]
    return lambda item, names, values: _in_order(compare, left(item, names, values), right(item, names, values))


def _in_order(compare: Callable[[Any, Any], bool], one: AttributeValue | None, other: AttributeValue | None) -> bool:
    if one is None or other is None:
        return False
    (kind, content), (other_kind, other_content) = next(iter(one.items())), next(iter(other.items()))
    if kind != other_kind or kind not in ("S", "N", "B"):
        return False
    return compare(Decimal(content), Decimal(other_content)) if kind == "N" else compare(content, other_content)


def _function(tree: Any) -> Holds:
    if not isinstance(tree, Call):
        raise ExpressionError(f"{tree} is no condition")
    first = reader(tree.operands[0])
    if tree.name == "attribute_exists":
        return lambda item, names, values: first(item, names, values) is not None
    if tree.name == "attribute_not_exists":
        return lambda item, names, values: first(item, names, values) is None
    second, test = reader(tree.operands[1]), _TESTS[tree.name]
    return lambda item, names, values: test(first(item, names, values), second(item, names, values))


def _begins_with(value: AttributeValue | None, prefix: AttributeValue | None) -> bool:
    return bool(value and prefix and "S" in value and "S" in prefix and value["S"].startswith(prefix["S"]))


def _contains(value: AttributeValue | None, part: AttributeValue | None) -> bool:
    if value is None or part is None:
        return False
    (kind, content), (part_kind, part_content) = next(iter(value.items())), next(iter(part.items()))
    if kind == "S":
        return part_kind == "S" and part_content in content
    if kind == "L":
        return any(equal(element, part) for element in content)
    return kind in _SETS and kind == f"{part_kind}S" and part_content in content


def _is_of_type(value: AttributeValue | None, kind: AttributeValue | None) -> bool:
    return value is not None and kind is not None and kind.get("S") in value


_TESTS: Final = {"begins_with": _begins_with, "contains": _contains, "attribute_type": _is_of_type}
