"""How large an item is to DynamoDB."""

from __future__ import annotations

from typing import Any, Final

_SURELY_MORE: Final = 4
"""UTF-8 takes no more bytes per character; a number takes fewer than it has digits, a document 3 and 1 per entry."""


def item_bytes(item: dict[str, dict[str, Any]], limit_bytes: int) -> int:
    """Return the size of an item, exactly where it may matter: a guess that is surely too high else."""
    guess = 0
    for name, value in item.items():
        ((kind, content),) = value.items()
        guess += 8 + _SURELY_MORE * (len(name) + len(content) if kind in "SBN" else len(name))
        guess += 0 if kind in "SBN" else _exact(value)
    if guess <= limit_bytes:
        return guess
    return sum(len(name.encode()) + _exact(value) for name, value in item.items())


def _exact(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "B":
        return int(len(content) * 3 // 4 - content.count("="))
    if kind == "N":
        return (len(content.strip("-0.").replace(".", "")) + 1) // 2 + 1
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _exact(inner) for name, inner in content.items())
    if kind == "L":
        return 3 + sum(1 + _exact(inner) for inner in content)
    if kind in ("SS", "NS", "BS"):
        return sum(_exact({kind[0]: member}) for member in content)
    return 1
