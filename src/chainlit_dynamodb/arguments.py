"""Arguments brought to their types: Chainlit checks little of what a browser sends."""

from __future__ import annotations

from typing import Any

from chainlit_dynamodb.dynamodb.codec import plain


def id_of(value: object) -> str:
    """Return a text as an id, and "" for anything else, of which no key is made."""
    return str.__str__(value) if issubclass(type(value), str) else ""


def text_of(value: object) -> str | None:
    """Return a plain copy of a text, and `None` for anything else."""
    return plain(value) if issubclass(type(value), str) else None


def dict_of(value: object) -> dict[str, Any] | None:
    """Return a plain copy of a mapping, and `None` for anything else."""
    copied = plain(value)
    return copied if isinstance(copied, dict) else None


def list_of(value: object) -> list[Any] | None:
    """Return a plain copy of a list, and `None` for anything else."""
    copied = plain(value)
    return copied if isinstance(copied, list) else None


def feedback_value_of(value: object) -> int | None:
    """Return a feedback value, 0 or 1, and `None` for anything else."""
    return int(value) if isinstance(value, int) and value in (0, 1) else None


def count_of(value: object) -> int:
    """Return a whole number, and 0 for anything else."""
    return value if type(value) is int else 0
