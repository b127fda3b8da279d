"""Texts that can be checked: each says which write it belongs to, and follows from that."""

from __future__ import annotations

import random
import string

_LETTERS = string.ascii_letters + string.digits + "äöüß ✓"


def content(step_id: str, number: int) -> str:
    """Give the text of one write of a step. Most are short, some exceed what an item can hold."""
    chance = random.Random(f"{step_id}/{number}")  # noqa: S311 - a test's content
    size = chance.choices((40, 5_000, 90_000, 600_000), (80, 14, 5, 1))[0]
    return f"{number}|" + "".join(chance.choices(_LETTERS, k=size))


def number_of(text: str, step_id: str) -> int | None:
    """Give the number of the write a text belongs to, or `None` if it is damaged."""
    head, _, _ = text.partition("|")
    if not head.isdigit() or content(step_id, int(head)) != text:
        return None
    return int(head)
