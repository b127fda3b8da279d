"""Which part of a partition a query asks for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainlit_dynamodb.schema import INDEX_PK, INDEX_SK, PK, SK
from chainlit_dynamodb.testing.simulation.conditions import condition, named
from chainlit_dynamodb.testing.simulation.expressions import (
    And,
    Call,
    Compare,
    ExpressionError,
    Path,
    Value,
    parse_condition,
)


@dataclass(frozen=True)
class KeyRange:
    """Part of a partition.

    Attributes:
        pk: The partition.
        sort_name: The attribute that sorts it.
        prefix: What the sort keys begin with, as far as the query says so.
        request: The query, whose condition is the whole truth.
    """

    pk: str
    pk_name: str
    sort_name: str
    prefix: str
    forward: bool
    request: Mapping[str, Any]

    def holds(self, sk: str) -> bool:
        """Return whether a sort key is in it."""
        names, values = self.request.get("ExpressionAttributeNames", {}), self.request["ExpressionAttributeValues"]
        item = {self.pk_name: {"S": self.pk}, self.sort_name: {"S": sk}}
        return condition(self.request["KeyConditionExpression"])(item, names, values)

    def select(self, keys: Sequence[str], after: str | None) -> list[str]:
        """Return the sort keys in it, in the order that is asked for, behind one of them."""
        first = bisect_left(keys, self.prefix) if self.prefix else 0
        found = list(self._forward(keys, first))
        if not self.forward:
            found.reverse()
        if after is None:
            return found
        return [key for key in found if (key > after if self.forward else key < after)]

    def _forward(self, keys: Sequence[str], first: int) -> Iterator[str]:
        is_simple = not isinstance(parse_condition(self.request["KeyConditionExpression"]), And)
        for at in range(first, len(keys)):
            if self.prefix and not keys[at].startswith(self.prefix):
                return
            if is_simple or self.prefix or self.holds(keys[at]):
                yield keys[at]


def key_range(request: Mapping[str, Any]) -> KeyRange:
    """Return what a Query asks for.

    Raises:
        ExpressionError: Its key condition names no partition.
    """
    pk_name, sort_name = (INDEX_PK, INDEX_SK) if request.get("IndexName") else (PK, SK)
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
    pk, prefix = None, ""
    for part in _parts(parse_condition(request["KeyConditionExpression"])):
        attribute, operand = _operands(part, names)
        if isinstance(part, Compare) and part.operator == "=" and attribute == pk_name:
            pk = values[operand]["S"]
        elif isinstance(part, Call) and attribute == sort_name:
            prefix = values[operand]["S"]
    if pk is None:
        raise ExpressionError("Query condition missed key schema element")
    return KeyRange(pk, pk_name, sort_name, prefix, request.get("ScanIndexForward", True), request)


def _parts(tree: Any) -> Iterator[Any]:
    if isinstance(tree, And):
        yield from _parts(tree.left)
        yield from _parts(tree.right)
    else:
        yield tree


def _operands(part: Any, names: Mapping[str, str]) -> tuple[str | None, str]:
    operands = (part.left, part.right) if isinstance(part, Compare) else getattr(part, "operands", (None, None))
    path, value = operands if len(operands) == 2 else (None, None)
    if not isinstance(path, Path) or not isinstance(value, Value):
        return None, ""
    return named(str(path.steps[0]), names), value.name
