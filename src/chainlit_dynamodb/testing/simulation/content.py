"""What is written: texts and messages that tell which write they are of."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any

_MOMENT = "2026-01-01T00:00:00.000001Z"


@lru_cache(maxsize=4096)
def text(number: int, size: int) -> str:
    """Return a text of a write. What it is filled up with does not shrink much when it is compressed."""
    filler = ""
    while len(filler) < size:
        filler += blake2b(f"{number}/{len(filler)}".encode()).hexdigest()
    return f"#{number} {filler[:size]}".strip()


def number_of(value: Any) -> int | None:
    """Return the number of the write of a text, `None` if it is damaged."""
    if not isinstance(value, str) or not value.startswith("#"):
        return None
    head, _, filler = value.partition(" ")
    number = head[1:]
    return int(number) if number.isdigit() and value == text(int(number), len(filler)) else None


def message(
    step_id: str, thread_id: str, kind: str, number: int, size: int, *, has_ended: bool = True
) -> dict[str, Any]:
    """Return a step as Chainlit hands it over."""
    return {
        "id": step_id,
        "threadId": thread_id,
        "parentId": None,
        "createdAt": _MOMENT,
        "start": _MOMENT,
        "end": _MOMENT if has_ended else None,
        "input": text(number, 0),
        "output": text(number, size),
        "name": "app",
        "type": kind,
        "language": None,
        "streaming": False,
        "isError": False,
        "waitForAnswer": False,
        "metadata": {},
        "tags": None,
    }
