"""What a transaction does to each of its rows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.expressions import Condition, Update, both, missing
from chainlit_dynamodb.dynamodb.table import Write as TableWrite
from chainlit_dynamodb.rows.large_values import Fitted
from chainlit_dynamodb.schema import BURIED_AT, Key, is_buried_when_deleted


@dataclass(frozen=True)
class Write:
    """One part of a transaction: an update of a row, or its deletion where `update` is `None`.

    Attributes:
        key: The row.
        update: What to change.
        condition: Must hold, or nothing changes.
        before: The row as it was read; what it held and loses by the update is tidied away.
    """

    key: Key
    update: Update | None = None
    condition: Condition | None = None
    before: Mapping[str, Any] = field(default_factory=dict)


def table_write(write: Write, fitted: Fitted) -> TableWrite:
    """Return a write as the table does it, its values made fit; a row that was deleted meanwhile is no row."""
    condition = write.condition
    if is_buried_when_deleted(write.key):
        condition = both(missing(BURIED_AT), condition)
    update = None if write.update is None else fitted.update
    return TableWrite(write.key.attributes(), update, condition)


def replaced(write: Write) -> Item:
    """Return what a write takes away of the row it was made for."""
    changed = {*write.update.assign, *write.update.remove} if write.update else set(write.before)
    return {name: value for name, value in write.before.items() if name in changed}
