"""What is left of a deleted step or element for a while, so that a late write does not bring it back. Pure.

A tombstone has the key of the row it stands for, and outlives every request that may still be executed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.schema import BURIED_AT, PK, SK, STAMP, Key

TOMBSTONE_SECONDS: Final = 3600
"""Longer than any request is tried, and than clocks differ."""


class Partition(NamedTuple):
    """What was found in a partition.

    Attributes:
        rows: Its rows, by their sort keys.
        buried: The sort keys of steps and elements that were deleted not long ago.
        leavings: What nobody needs any more, see `Rows.tidy`.
    """

    rows: list[Item]
    buried: frozenset[str]
    leavings: Sequence[Key]


def tombstone_of(key: Key, stamp: str) -> Item:
    """Return what takes the place of a row."""
    return {**key.attributes(), BURIED_AT: int(time.time()), STAMP: stamp}


def living(rows: Sequence[Item]) -> list[Item]:
    """Return the rows that are no tombstones."""
    return [row for row in rows if BURIED_AT not in row]


def outdated(rows: Sequence[Item]) -> list[Key]:
    """Return the keys of tombstones that have served their time."""
    oldest = time.time() - TOMBSTONE_SECONDS
    return [Key(row[PK], row[SK]) for row in rows if BURIED_AT in row and _is_before(row[BURIED_AT], oldest)]


def _is_before(moment: Any, other: float) -> bool:
    return not isinstance(moment, (int, float)) or moment < other
