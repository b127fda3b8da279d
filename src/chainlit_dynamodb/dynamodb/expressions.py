"""Update, condition and key expressions. The only place that hands out placeholders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chainlit_dynamodb.dynamodb.codec import AttributeValue, encode


class Placeholders:
    """Names and values of one request: each attribute once, each value under a fresh name."""

    def __init__(self) -> None:
        """Start empty."""
        self._names: dict[str, str] = {}
        self._values: dict[str, AttributeValue] = {}

    def name(self, attribute: str) -> str:
        """Return the placeholder of an attribute name."""
        return self._names.setdefault(attribute, f"#{len(self._names)}")

    def value(self, value: AttributeValue) -> str:
        """Return a placeholder for an AttributeValue."""
        placeholder = f":{len(self._values)}"
        self._values[placeholder] = value
        return placeholder

    def request(self) -> dict[str, Any]:
        """Return the parts of the request that explain the placeholders."""
        parts: dict[str, Any] = {}
        if self._names:
            parts["ExpressionAttributeNames"] = {short: name for name, short in self._names.items()}
        if self._values:
            parts["ExpressionAttributeValues"] = self._values
        return parts


Condition = Callable[[Placeholders], str]
"""Writes itself into a request."""


def exists(attribute: str) -> Condition:
    """Hold if the item has the attribute."""
    return lambda placeholders: f"attribute_exists({placeholders.name(attribute)})"


def missing(attribute: str, *, inside: str | None = None) -> Condition:
    """Hold if the item lacks the attribute, or the entry `inside` its map, or there is no item."""
    return lambda placeholders: f"attribute_not_exists({_path(attribute, inside, placeholders)})"


def equals(attribute: str, value: Any, *, inside: str | None = None) -> Condition:
    """Hold if the attribute, or the entry `inside` its map, has this plain value."""
    return _compare(attribute, "=", encode(value), inside)


def equals_in(attribute: str, value: Any, entries: Iterable[str]) -> Condition:
    """Hold if these entries of the attribute's map are those of a value; if that is no map, if they are equal."""
    if not isinstance(value, dict):
        return equals(attribute, value)
    return all_of(
        *(equals(attribute, value[e], inside=e) if e in value else missing(attribute, inside=e) for e in entries)
    )


def less(attribute: str, value: Any) -> Condition:
    """Hold if the attribute is less than this plain value."""
    return _compare(attribute, "<", encode(value), None)


def at_most(attribute: str, value: Any) -> Condition:
    """Hold if the attribute is less than this plain value, or equal to it."""
    return _compare(attribute, "<=", encode(value), None)


def equals_set(attribute: str, members: Iterable[str]) -> Condition:
    """Hold if the attribute is exactly this string set."""
    return _compare(attribute, "=", {"SS": sorted(members)}, None)


def begins_with(attribute: str, prefix: str) -> Condition:
    """Hold if the attribute starts with the prefix."""
    return lambda p: f"begins_with({p.name(attribute)}, {p.value(encode(prefix))})"


def all_of(*conditions: Condition) -> Condition:
    """Hold if all of them hold."""
    return _joined(" AND ", conditions)


def both(one: Condition, other: Condition | None) -> Condition:
    """Hold if this holds, and the other one if there is any."""
    return one if other is None else all_of(one, other)


def any_of(*conditions: Condition) -> Condition:
    """Hold if one of them holds."""
    return _joined(" OR ", conditions)


def _joined(operator: str, conditions: tuple[Condition, ...]) -> Condition:
    if len(conditions) == 1:  # parentheses that change nothing are refused
        return conditions[0]
    return lambda placeholders: operator.join(f"({condition(placeholders)})" for condition in conditions)


def _compare(attribute: str, operator: str, value: AttributeValue, inside: str | None) -> Condition:
    def write(placeholders: Placeholders) -> str:
        return f"{_path(attribute, inside, placeholders)} {operator} {placeholders.value(value)}"

    return write


def _path(attribute: str, inside: str | None, placeholders: Placeholders) -> str:
    path = placeholders.name(attribute)
    return path if inside is None else f"{path}.{placeholders.name(inside)}"


@dataclass(frozen=True)
class Update:
    """What an UpdateItem does to the attributes of an item.

    Attributes:
        assign: Plain values to set.
        default: Plain values to set where the attribute is missing.
        remove: Attributes to take away.
        add_members: String sets and the members they gain.
        delete_members: String sets and the members they lose.
    """

    assign: Mapping[str, Any] = field(default_factory=dict)
    default: Mapping[str, Any] = field(default_factory=dict)
    remove: Iterable[str] = ()
    add_members: Mapping[str, Iterable[str]] = field(default_factory=dict)
    delete_members: Mapping[str, Iterable[str]] = field(default_factory=dict)

    def expression(self, placeholders: Placeholders) -> str:
        """Write the update expression into a request. Empty if there is nothing to do."""
        clauses = {
            "SET": [*self._assignments(placeholders), *self._defaults(placeholders)],
            "REMOVE": [placeholders.name(name) for name in self.remove],
            "ADD": _members(self.add_members, placeholders),
            "DELETE": _members(self.delete_members, placeholders),
        }
        return " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items() if parts)

    def _assignments(self, placeholders: Placeholders) -> list[str]:
        return [f"{placeholders.name(n)} = {placeholders.value(encode(v))}" for n, v in self.assign.items()]

    def _defaults(self, placeholders: Placeholders) -> list[str]:
        parts = []
        for attribute, value in self.default.items():
            name = placeholders.name(attribute)
            parts.append(f"{name} = if_not_exists({name}, {placeholders.value(encode(value))})")
        return parts


def _members(sets: Mapping[str, Iterable[str]], placeholders: Placeholders) -> list[str]:
    return [f"{placeholders.name(n)} {placeholders.value({'SS': sorted(m)})}" for n, m in sets.items()]
