"""What an update expression makes of an item, which itself stays as it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from chainlit_dynamodb.testing.simulation.conditions import (
    AttributeValue,
    Item,
    Names,
    Values,
    named,
    reader,
    value_at,
)
from chainlit_dynamodb.testing.simulation.expressions import (
    Action,
    Call,
    ExpressionError,
    Path,
    Sum,
    Value,
    parse_update,
)


def updated(item: Item, text: str, names: Names, values: Values) -> tuple[Item, dict[str, bool]]:
    """Return the item after an update, and the names of the attributes it spoke of.

    Raises:
        ExpressionError: The update makes no sense for this item.
    """
    actions = parse_update(text)
    after = dict(item)
    touched: dict[str, bool] = {}
    for action in actions:
        first = str(action.path.steps[0])
        touched[names[first] if first in names else named(first, names)] = True
        _apply(after, item, action, names, values)
    if len(touched) < len(actions):
        _check_overlap(actions, names)
    return after, touched


def _check_overlap(actions: tuple[Action, ...], names: Names) -> None:
    seen: set[tuple[str | int, ...]] = set()
    for action in actions:
        steps = tuple(named(s, names) if isinstance(s, str) else s for s in action.path.steps)
        for other in seen:
            if steps[: len(other)] == other or other[: len(steps)] == steps:
                raise ExpressionError("Two document paths overlap with each other")
        seen.add(steps)


def _apply(after: Item, before: Item, action: Action, names: Names, values: Values) -> None:
    if isinstance(action.operand, Value) and action.clause == "SET" and len(action.path.steps) == 1:
        after[named(str(action.path.steps[0]), names)] = reader(action.operand)(before, names, values) or {}
    elif action.clause == "SET":
        found = _result(action.operand, before, names, values)
        _put(after, action.path, names, found)
    elif action.clause == "REMOVE":
        _put(after, action.path, names, None)
    else:
        operand = reader(action.operand)(before, names, values)
        if operand is None:
            raise ExpressionError("An operand is missing")
        change = _added if action.clause == "ADD" else _without
        _put(after, action.path, names, change(value_at(before, action.path, names), operand))


def _result(operand: Any, item: Item, names: Names, values: Values) -> AttributeValue:
    if isinstance(operand, Call) and operand.name == "if_not_exists":
        path, other = operand.operands
        there = value_at(item, path, names) if isinstance(path, Path) else None
        return there if there is not None else _result(other, item, names, values)
    if isinstance(operand, Call) and operand.name == "list_append":
        first, second = (_result(part, item, names, values) for part in operand.operands)
        return {"L": [*first["L"], *second["L"]]}
    if isinstance(operand, Sum):
        left, right = (Decimal(_result(p, item, names, values)["N"]) for p in (operand.left, operand.right))
        return {"N": _plain(left + right if operand.operator == "+" else left - right)}
    found = reader(operand)(item, names, values)
    if found is None:
        raise ExpressionError("The provided expression refers to an attribute that does not exist in the item")
    return found


def _added(old: AttributeValue | None, more: AttributeValue) -> AttributeValue:
    kind, content = next(iter(more.items()))
    if kind == "N":
        return {"N": _plain(Decimal(old["N"] if old else 0) + Decimal(content))}
    if kind not in ("SS", "NS", "BS") or (old is not None and kind not in old):
        raise ExpressionError("An operand in the update expression has an incorrect data type")
    return {kind: sorted({*(old or {}).get(kind, ()), *content})}


def _without(old: AttributeValue | None, less: AttributeValue) -> AttributeValue | None:
    kind, content = next(iter(less.items()))
    if kind not in ("SS", "NS", "BS") or (old is not None and kind not in old):
        raise ExpressionError("An operand in the update expression has an incorrect data type")
    left = sorted(set((old or {}).get(kind, ())) - set(content))
    return {kind: left} if left else None


def _put(item: Item, path: Path, names: Names, value: AttributeValue | None) -> None:
    first, *rest = path.steps
    name = named(str(first), names)
    if rest:
        value = _replaced(item.get(name), rest, names, value)
    if value is None:
        item.pop(name, None)
    else:
        item[name] = value


def _replaced(
    value: AttributeValue | None, steps: list[str | int], names: Names, new: AttributeValue | None
) -> AttributeValue:
    """Return a copy of a document with one part of it replaced or taken away."""
    step, rest = steps[0], steps[1:]
    if value is None or ("L" if isinstance(step, int) else "M") not in value:
        raise ExpressionError("The document path provided in the update expression is invalid for update")
    if isinstance(step, int):
        return {"L": _replaced_element(list(value["L"]), step, rest, names, new)}
    content, name = dict(value["M"]), named(step, names)
    inner = _replaced(content.get(name), rest, names, new) if rest else new
    if inner is None:
        content.pop(name, None)
    else:
        content[name] = inner
    return {"M": content}


def _replaced_element(
    elements: list[Any], step: int, rest: list[str | int], names: Names, new: AttributeValue | None
) -> list[Any]:
    old = elements[step] if step < len(elements) else None
    inner = _replaced(old, rest, names, new) if rest else new
    if inner is None:
        return elements[:step] + elements[step + 1 :]
    return [*elements[:step], inner, *elements[step + 1 :]]


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
