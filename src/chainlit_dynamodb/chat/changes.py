"""What can happen to a row, and how two changes of one row become one. Pure: no I/O.

The law of every change here: `first.then(second)` does what `first` and then `second` do. So changes that wait may
merge, and it does not matter which two of them merge first. Those of different people never do: each person's are
allowed or refused by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from chainlit_dynamodb.chat.owners import Asker, is_touched_by
from chainlit_dynamodb.dynamodb.codec import Item, weight_bytes
from chainlit_dynamodb.dynamodb.expressions import (
    Condition,
    Update,
    all_of,
    any_of,
    both,
    equals,
    exists,
    less,
    missing,
)
from chainlit_dynamodb.schema import (
    CREATED_AT,
    DELETED_AT,
    FULL_NAME,
    ID,
    INDEX_PK,
    INDEX_SK,
    INDEXED_NAME_CHARS,
    LISTED_METADATA,
    METADATA,
    METADATA_VERSION,
    NAME,
    ORDER,
    PK,
    TAGS,
    THREAD_INLINE_BYTES,
    USER_ID,
    USER_IDENTIFIER,
    activity_sk,
    user_threads_pk,
)

LISTED_ENTRY_CHARS: Final = 1_000
"""Entries of large metadata up to this length are kept in the row, for lists."""

Content = bytes | str | Path
C = TypeVar("C", bound="Change")


class Change(Protocol):
    """What is to happen to one row."""

    @property
    def asker(self) -> Asker | None:
        """Who asks."""

    @property
    def size_bytes(self) -> int:
        """Memory it holds while it waits, roughly."""

    def then(self: C, later: C) -> C:
        """Return the one change that does what this and then a later one of the same row, by the same person, do."""


@dataclass(frozen=True)
class StepChange:
    """What is to happen to a step's row.

    Attributes:
        default: Fields that are only set where they are missing.
        assign: Fields that are set. `None` is stored, so that a `default` that comes later does not fill the gap.
        deletes: The step goes, whatever else there was; later changes do nothing.
        stamp: When it was asked for; the later of two that merge is the one with the later stamp.
        asker: Who asks.
    """

    default: dict[str, Any] = field(default_factory=dict)
    assign: dict[str, Any] = field(default_factory=dict)
    deletes: bool = False
    stamp: str = ""
    asker: Asker | None = None

    def then(self, later: StepChange) -> StepChange:
        """Return the one change that does what this and then a later one do."""
        older, newer = (self, later) if self.stamp <= later.stamp else (later, self)
        if older.deletes or newer.deletes:
            return StepChange(deletes=True, stamp=newer.stamp, asker=newer.asker)
        assign = {**older.assign, **newer.assign}
        known = {name: value for name, value in older.default.items() if value is not None}
        default = {name: value for name, value in {**newer.default, **known}.items() if name not in assign}
        return StepChange(default, assign, stamp=newer.stamp, asker=newer.asker)

    def update(self) -> Update:
        """Return it as an update of the row."""
        return Update(
            assign=self.assign,
            default={k: v for k, v in self.default.items() if k not in self.assign and v is not None},
        )

    @cached_property
    def size_bytes(self) -> int:
        """Memory it holds, roughly."""
        return weight_bytes(self.default) + weight_bytes(self.assign)


@dataclass
class File:
    """The content of an element, and where it shall go.

    Attributes:
        object_key: Its key in the storage.
        content: What it holds, or where that is. While it waits, this may move to the disk.
        mime: Its type.
        name: Its name, for who downloads it.
        is_kept: Its content is on disk, and nobody's but the write's.
    """

    object_key: str
    content: Content
    mime: str
    name: str
    is_kept: bool = False


@dataclass(frozen=True)
class ElementChange:
    """What is to happen to an element's row; its file is stored by then.

    Attributes:
        assign: Fields that are set.
        deletes: The element goes, whatever else there was; later changes do nothing.
        stamp: When it was asked for; the later of two that merge is the one with the later stamp.
        order: When the element was first asked for: its place among the others.
        asker: Who asks.
    """

    assign: dict[str, Any] = field(default_factory=dict)
    deletes: bool = False
    stamp: str = ""
    order: str = ""
    asker: Asker | None = None

    def then(self, later: ElementChange) -> ElementChange:
        """Return the one change that does what this and then a later one do."""
        older, newer = (self, later) if self.stamp <= later.stamp else (later, self)
        if older.deletes or newer.deletes:
            return ElementChange(deletes=True, stamp=newer.stamp, asker=newer.asker)
        assign = {**older.assign, **newer.assign}
        order = min(filter(None, (older.order, newer.order)), default="")
        return ElementChange(assign, stamp=newer.stamp, order=order, asker=newer.asker)

    def update(self) -> Update:
        """Return it as an update of the row."""
        return Update(assign=self.assign, default={ORDER: self.order} if self.order else {})

    @cached_property
    def size_bytes(self) -> int:
        """Memory it holds, roughly."""
        return weight_bytes(self.assign)


@dataclass(frozen=True)
class ThreadChange:
    """What is to happen to a thread's row.

    Attributes:
        assign: Attributes to set; `None` takes one away.
        metadata: Entries to merge into the metadata; `None` takes an entry away.
        activity: The time of an activity; `None` leaves the thread's place in the list.
        creates: Make the row if it is missing.
        stamp: When it was asked for.
        asker: Who asks.
    """

    assign: Item = field(default_factory=dict)
    metadata: dict[str, Any] | None = None
    activity: str | None = None
    creates: bool = False
    stamp: str = ""
    asker: Asker | None = None

    def then(self, later: ThreadChange) -> ThreadChange:
        """Return the one change that does what this and then a later one do."""
        metadata = self.metadata
        if later.metadata is not None:
            metadata = {**(self.metadata or {}), **later.metadata}
        return ThreadChange(
            {**self.assign, **later.assign},
            metadata,
            max(self.activity or "", later.activity or "") or None,
            self.creates or later.creates,
            max(self.stamp, later.stamp),
            later.asker,
        )

    @cached_property
    def size_bytes(self) -> int:
        """Memory it holds, roughly."""
        return weight_bytes(self.assign) + weight_bytes(self.metadata)


def thread_change(
    *,
    name: str | None = None,
    user_id: str | None = None,
    user_identifier: str | None = None,
    metadata: dict[str, Any] | None = None,
    tags: list[Any] | None = None,
    moment: str,
    stamp: str = "",
    asker: Asker | None = None,
) -> ThreadChange | None:
    """Return what an update of a thread does: a name or an owner makes it, an owner moves it up.

    Args:
        name: Its name.
        user_id: Its owner.
        user_identifier: Its owner's identifier.
        metadata: Entries to merge; an entry that is `None` is taken away.
        tags: Its tags.
        moment: Now.
        stamp: Now, for the order of writes.
        asker: Who asks.

    Returns:
        The change, or `None` if nothing is given.

    Raises:
        InvalidIdError: The user id cannot be part of a key.
    """
    assign: Item = {}
    if name is not None:
        assign |= {NAME: name[:INDEXED_NAME_CHARS], FULL_NAME: None}
        if len(name) > INDEXED_NAME_CHARS:
            assign[FULL_NAME] = name
    if user_id:
        assign |= {USER_ID: user_id, USER_IDENTIFIER: user_identifier or user_id}
        assign[INDEX_PK] = user_threads_pk(user_id)
    if tags is not None:
        assign[TAGS] = tags
    if not assign and not metadata:
        return None
    creates = bool(user_id) or name is not None
    return ThreadChange(assign, metadata, moment if user_id else None, creates, stamp, asker)


def changes_nothing(change: ThreadChange, row: Item) -> bool:
    """Return whether all that a change does is to merge metadata that is there already, as at a second disconnect."""
    if change.assign or change.activity or change.creates or not change.metadata:
        return False
    return bool(row) and _merged(row, change.metadata)[METADATA] == row.get(METADATA)


def thread_update(thread_id: str, change: ThreadChange, row: Item, moment: str) -> tuple[Update, Condition]:
    """Return the update that does a change to a thread's row, and what must hold for it.

    Args:
        thread_id: The thread.
        change: What is to happen.
        row: The metadata that is there, if the change has some to merge.
        moment: Now; the time of creation, if the change has no time of its own.
    """
    assign, default, conditions = dict(change.assign), {}, [missing(DELETED_AT)]
    if not change.creates:
        conditions.append(exists(PK))
    if change.metadata is not None:
        assign |= _merged(row, change.metadata)
        conditions.append(_unchanged_since(row))
    if change.creates:
        made_at = change.activity or moment
        default = {ID: thread_id, CREATED_AT: made_at, INDEX_SK: activity_sk(made_at)}
    if change.activity:
        assign[INDEX_SK] = activity_sk(change.activity)
        default.pop(INDEX_SK, None)
        conditions.append(any_of(missing(INDEX_SK), less(INDEX_SK, activity_sk(change.activity))))
    update = Update(
        assign={name: value for name, value in assign.items() if value is not None},
        default=default,
        remove=[name for name, value in assign.items() if value is None],
    )
    return update, both(all_of(*conditions), is_touched_by(change.asker))


def _merged(row: Item, patch: Mapping[str, Any]) -> Item:
    old, version = row.get(METADATA), row.get(METADATA_VERSION)
    entries = {**(old if isinstance(old, dict) else {}), **patch}
    merged = {name: value for name, value in entries.items() if value is not None}
    return {
        METADATA: merged,
        LISTED_METADATA: _listed_entries(merged),
        METADATA_VERSION: version + 1 if isinstance(version, int) else 1,
    }


def _unchanged_since(row: Item) -> Condition:
    version = row.get(METADATA_VERSION)
    return missing(METADATA_VERSION) if version is None else equals(METADATA_VERSION, version)


def _listed_entries(metadata: dict[str, Any]) -> dict[str, Any] | None:
    """Return what lists show of large metadata; `None` if it is small enough to be shown whole."""
    if weight_bytes(metadata) <= THREAD_INLINE_BYTES:
        return None
    return {name: value for name, value in metadata.items() if weight_bytes(value) <= LISTED_ENTRY_CHARS}
