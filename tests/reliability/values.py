"""Large values, and what the table keeps of them."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterable
from typing import Any

PART = "\x1f"
KB = 1024
MB = 1024 * KB


def incompressible(size: int, seed: int = 0) -> str:
    """Give text that zlib cannot shorten enough to be worth it."""
    chance = random.Random(f"{size}/{seed}")  # noqa: S311 - a test's content
    return base64.b85encode(chance.randbytes(size * 4 // 5 + 4)).decode()[:size]


def compressible(size: int, seed: int = 0) -> str:
    """Give text that zlib shortens to nearly nothing."""
    return f"the same again, {seed}. " * (size // 20)


def texts(size: int) -> dict[str, str]:
    """Give texts of a size, of both kinds."""
    return {"incompressible": incompressible(size), "compressible": compressible(size)}


def part_rows(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Give the sort keys of all parts."""
    return [row["SK"]["S"] for row in rows if PART in row["SK"]["S"]]


def generations(rows: Iterable[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """Give owner, attribute and generation of all parts."""
    places = [sk.split(PART) for sk in part_rows(rows)]
    return {(owner, attribute, generation) for owner, attribute, generation, _ in places}
