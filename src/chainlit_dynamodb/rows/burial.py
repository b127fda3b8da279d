"""What is left of a deleted step or element for a while, so that a late write does not bring it back. Pure.

A tombstone has the key of the row it stands for, and outlives every request that may still be executed. It keeps what
tells where more is, or may arrive late: the key of a file, that there is a lookup row, the value of its feedback.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.expressions import Condition, all_of, equals, equals_in, missing
from chainlit_dynamodb.schema import (
    ANNOUNCED_AT,
    BURIED_AT,
    FEEDBACK,
    HAS_LOOKUP,
    NEVER_STORED,
    OBJECT_KEY,
    PK,
    SK,
    STAMP,
    TYPE,
    VALUE,
    Key,
)

TOMBSTONE_SECONDS: Final = 7200
"""Longer than any request is tried, with the hour added by which clocks may differ."""
_KEPT: Final = (OBJECT_KEY, HAS_LOOKUP)


class Partition(NamedTuple):
    """What was found in a partition.

    Attributes:
        rows: Its rows, by their sort keys.
        buried: The sort keys of steps and elements that were deleted not long ago, and whether they had been there.
        leavings: The keys of what nobody needs any more, with what tells of files and lookups that go along.
    """

    rows: list[Item]
    buried: Mapping[str, bool]
    leavings: Sequence[Item]


def tombstone_of(key: Key, row: Mapping[str, Any], stamp: str) -> Item:
    """Return what takes the place of a row, an empty one if there was none."""
    return {**key.attributes(), BURIED_AT: int(time.time()), STAMP: stamp, **_kept_of(row)}


def _kept_of(row: Mapping[str, Any]) -> Item:
    if not row:
        return {NEVER_STORED: True}
    kept = {name: row[name] for name in _KEPT if name in row}
    feedback = row.get(FEEDBACK)
    if isinstance(feedback, dict) and VALUE in feedback:
        kept[FEEDBACK] = {VALUE: feedback[VALUE]}
    return kept


def keeps_the_same(row: Item) -> Condition:
    """Hold as long as nothing has changed of what a tombstone keeps of a row, an empty one if there was none."""
    if not row:
        return missing(PK)
    kept = [equals(name, row[name]) if name in row else missing(name) for name in _KEPT]
    return all_of(*kept, equals_in(FEEDBACK, row[FEEDBACK], [VALUE]) if FEEDBACK in row else missing(FEEDBACK))


def living(rows: Sequence[Item]) -> list[Item]:
    """Return the rows that are no tombstones."""
    return [row for row in rows if BURIED_AT not in row]


def buried(rows: Sequence[Item]) -> dict[str, bool]:
    """Return the sort keys of rows that were deleted, and whether they had been there."""
    return {row[SK]: NEVER_STORED not in row for row in rows if BURIED_AT in row}


def is_announcement(row: Item) -> bool:
    """Return whether a row only says that the file of an element is on its way."""
    return ANNOUNCED_AT in row and TYPE not in row and BURIED_AT not in row


def may_lack_its_file(row: Item) -> bool:
    """Return whether a row names a file that may be gone, or may never have arrived."""
    return BURIED_AT in row or is_announcement(row)


def may_still_arrive(row: Item) -> bool:
    """Return whether a row announces a file that may be on its way."""
    return is_announcement(row) and not _is_long_ago(row[ANNOUNCED_AT])


def outdated(rows: Sequence[Item]) -> list[Item]:
    """Return tombstones that have served their time, and announcements of files that have never arrived."""
    old_tombstones = [row for row in rows if BURIED_AT in row and _is_long_ago(row[BURIED_AT])]
    return old_tombstones + [row for row in rows if is_announcement(row) and not may_still_arrive(row)]


def _is_long_ago(moment: Any) -> bool:
    return not isinstance(moment, (int, float)) or moment < time.time() - TOMBSTONE_SECONDS


def with_key(attributes: Sequence[str]) -> Sequence[str]:
    """Return attributes to read, together with what names a row and what tells a tombstone; empty for everything."""
    return tuple(dict.fromkeys((PK, SK, BURIED_AT, *attributes))) if attributes else ()
