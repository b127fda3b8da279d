"""Threads: their own rows. What happens to them is ordered like everything else that is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.chat.feedback import FeedbackMarkers
from chainlit_dynamodb.chat.large_values import LargeValues
from chainlit_dynamodb.chat.recent import Recent
from chainlit_dynamodb.chat.schema import (
    DELETED_AT,
    FULL_NAME,
    INDEX_PK,
    INDEX_SK,
    LISTED_METADATA,
    METADATA_VERSION,
    PK,
    SK,
    activity_sk,
    parse_activity_sk,
    parse_thread_pk,
    thread_key,
    user_threads_pk,
)
from chainlit_dynamodb.chat.tombstones import Tombstones
from chainlit_dynamodb.chat.writer import Writer, weight_bytes
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.expressions import Condition, Update, all_of, equals, exists, less, missing
from chainlit_dynamodb.dynamodb.table import Table
from chainlit_dynamodb.errors import ConditionFailedError, TransientError

ID: Final = "id"
NAME: Final = "name"
CREATED_AT: Final = "createdAt"
USER_ID: Final = "userId"
USER_IDENTIFIER: Final = "userIdentifier"
TAGS: Final = "tags"
METADATA: Final = "metadata"

SPLIT_ABOVE_BYTES: Final = 8 * 1024
"""A thread's row is read for lists, owners and tombstones, so what is large lies beside it."""
LISTED_ENTRY_CHARS: Final = 1_000
"""Entries of large metadata up to this length are kept in the row, for lists."""
INDEXED_NAME_CHARS: Final = 1_000
"""The index holds so much of a name: Chainlit's names are whole first messages, and the index is paid by size."""
_MERGE_TRIES: Final = 20


@dataclass(frozen=True)
class ThreadChange:
    """What is to happen to a thread's row.

    Attributes:
        assign: Attributes to set.
        metadata: Entries to merge into the metadata; `None` takes an entry away.
        activity: The time of an activity; `None` leaves the thread's place in the list.
        creates: Make the row if it is missing.
    """

    assign: Item = field(default_factory=dict)
    metadata: dict[str, Any] | None = None
    activity: str | None = None
    creates: bool = False

    def then(self, later: ThreadChange) -> ThreadChange:
        """Give the one change that does what this and then a later one do."""
        metadata = self.metadata
        if later.metadata is not None:
            metadata = {**(self.metadata or {}), **later.metadata}
        return ThreadChange(
            {**self.assign, **later.assign},
            metadata,
            max(self.activity or "", later.activity or "") or None,
            self.creates or later.creates,
        )

    @cached_property
    def size_bytes(self) -> int:
        """Memory it holds, roughly."""
        return weight_bytes(self.assign) + weight_bytes(self.metadata)


@dataclass(frozen=True)
class _Pending:
    threads: Threads
    thread_id: str
    change: ThreadChange

    @property
    def size_bytes(self) -> int:
        return self.change.size_bytes

    def then(self, later: _Pending) -> _Pending:
        return replace(self, change=self.change.then(later.change))

    async def apply(self) -> None:
        await self.threads.store(self.thread_id, self.change)


class Threads:
    """Writes threads, and reads who owns them. They are read whole by `ThreadReader`."""

    def __init__(
        self,
        table: Table,
        values: LargeValues,
        writer: Writer,
        tombstones: Tombstones,
        recent: Recent,
        markers: FeedbackMarkers,
        sweep: Callable[[str], Awaitable[bool]],
    ) -> None:
        """Take the parts a thread touches.

        Args:
            table: Where threads are.
            values: Keeps what is large.
            writer: The write path.
            tombstones: Which threads are deleted.
            recent: Gets to know activity before the index does.
            markers: Follow the owner.
            sweep: Deletes what a deleted thread has left.
        """
        self._table = table
        self._values = values
        self._writer = writer
        self._tombstones = tombstones
        self._recent = recent
        self._markers = markers
        self._sweep = sweep
        self._moving: Counter[str] = Counter()

    async def update(
        self,
        thread_id: str,
        *,
        name: str | None = None,
        user_id: str | None = None,
        user_identifier: str | None = None,
        metadata: dict[str, Any] | None = None,
        tags: list[Any] | None = None,
    ) -> None:
        """Change what is given of a thread; `None` leaves it.

        A name or an owner makes the thread if it is missing. An owner moves it to the top of the list, and so
        does the first name. A deleted thread stays deleted.

        Args:
            thread_id: The thread.
            name: Its name.
            user_id: Its owner.
            user_identifier: Its owner's identifier.
            metadata: Entries to merge; an entry that is `None` is taken away.
            tags: Its tags.

        Raises:
            InvalidIdError: The id cannot be part of a key.

        Cost: 1 write unit per KB of the row, and 2 per KB of the index entry if it moves; with metadata also 1 read
        unit per 4 KB.
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
        change = ThreadChange(assign, metadata, clock.now() if user_id else None, bool(user_id) or name is not None)
        if assign or metadata:
            await self._write(thread_id, change)

    def is_moving(self, thread_id: str) -> bool:
        """Tell whether a thread is just being named or given an owner, which puts it on top. Cost: none."""
        return self._moving[thread_id] > 0

    async def note_activity(self, thread_id: str, user_id: str | None) -> None:
        """Move a thread to the top of its owner's list, because the user wrote a message.

        Cost: 1 write unit per KB of the row and 2 of the index entry.
        """
        moment = clock.now()
        if user_id:
            self._recent.touch(user_threads_pk(user_id), thread_id, activity_sk(moment))
        await self._write(thread_id, ThreadChange(activity=moment))

    async def author(self, thread_id: str) -> str:
        """Give the identifier of a thread's owner, or "" if there is no such thread or it has none.

        Raises:
            InvalidIdError: The id cannot be part of a key.

        Cost: 1 read unit per 4 KB of the row.
        """
        key = thread_key(thread_id)
        await self._writer.flush(key.pk)
        row = await self._table.get(key.attributes(), attributes=[USER_ID, USER_IDENTIFIER])
        return str((row or {}).get(USER_IDENTIFIER) or (row or {}).get(USER_ID) or "")

    async def _write(self, thread_id: str, change: ThreadChange) -> None:
        key = thread_key(thread_id)
        if self._tombstones.knows(thread_id):
            return
        moving = [thread_id] if change.creates else []
        self._moving.update(moving)
        try:
            await self._writer.write(key, _Pending(self, thread_id, change))
        finally:
            self._moving.subtract(moving)
            self._moving += Counter()  # drops what is down to 0

    async def store(self, thread_id: str, change: ThreadChange) -> None:
        """Write a thread's row now. Called by the write path."""
        for _ in range(_MERGE_TRIES):
            try:
                old = await self._store_once(thread_id, change)
            except ConditionFailedError:
                if await self._is_hopeless(thread_id, change):
                    return
                continue
            self._tombstones.mark_alive(thread_id)
            await self._follow(thread_id, change, old)
            return
        raise TransientError("UpdateItem", "Contention", "other processes keep changing this thread")

    async def _store_once(self, thread_id: str, change: ThreadChange) -> Item:
        assign, conditions = dict(change.assign), [missing(DELETED_AT)]
        if not change.creates:
            conditions.append(exists(PK))
        if change.metadata is not None:
            merged, unchanged = await self._merged(thread_id, change.metadata)
            assign |= merged
            conditions.append(unchanged)
        default: Item = {}
        if change.creates:
            moment = change.activity or clock.now()
            default = {ID: thread_id, CREATED_AT: moment, INDEX_SK: activity_sk(moment)}
        if change.activity:
            assign[INDEX_SK] = activity_sk(change.activity)
            default.pop(INDEX_SK, None)
        if not change.assign and change.metadata is None and change.activity:
            conditions.append(less(INDEX_SK, activity_sk(change.activity)))
        update = Update(
            assign={k: v for k, v in assign.items() if v is not None},
            default=default,
            remove=[k for k, v in assign.items() if v is None],
        )
        key, condition = thread_key(thread_id), all_of(*conditions)
        return await self._values.update(key, update, condition=condition, split_above_bytes=SPLIT_ABOVE_BYTES)

    async def _merged(self, thread_id: str, patch: dict[str, Any]) -> tuple[Item, Condition]:
        wanted = [PK, SK, METADATA, METADATA_VERSION]
        found = await self._table.get(thread_key(thread_id).attributes(), attributes=wanted, patient=True)
        rows = await self._values.complete([found] if found else [], patient=True)
        row = rows[0] if rows else {}
        old, version = row.get(METADATA), row.get(METADATA_VERSION)
        entries = {**(old if isinstance(old, dict) else {}), **patch}
        merged = {k: v for k, v in entries.items() if v is not None}
        unchanged = missing(METADATA_VERSION) if version is None else equals(METADATA_VERSION, version)
        version = version + 1 if isinstance(version, int) else 1
        return {METADATA: merged, LISTED_METADATA: _listed_entries(merged), METADATA_VERSION: version}, unchanged

    async def _is_hopeless(self, thread_id: str, change: ThreadChange) -> bool:
        """Tell why a write was refused: the thread is deleted or missing, or only its metadata has changed."""
        row = await self._table.get(thread_key(thread_id).attributes(), attributes=[PK, DELETED_AT], patient=True)
        if row and row.get(DELETED_AT) is not None:
            self._tombstones.mark(thread_id)
            await self._sweep(thread_id)
            return True
        return change.metadata is None or (row is None and not change.creates)

    async def _follow(self, thread_id: str, change: ThreadChange, old: Item) -> None:
        user_id = change.assign.get(USER_ID)
        if user_id and change.activity:
            self._recent.touch(user_threads_pk(user_id), thread_id, activity_sk(change.activity))
        changes_hands = CREATED_AT in old and old.get(USER_ID) != user_id
        if user_id and (changes_hands or self._markers.waits_for_owner(thread_id)):
            await self._markers.change_owner(thread_id, user_id)


def _listed_entries(metadata: dict[str, Any]) -> dict[str, Any] | None:
    """Give what lists show of large metadata; `None` if it is small enough to be shown whole."""
    if weight_bytes(metadata) <= SPLIT_ABOVE_BYTES:
        return None
    return {k: v for k, v in metadata.items() if weight_bytes(v) <= LISTED_ENTRY_CHARS}


def public_thread(row: Item) -> dict[str, Any]:
    """Give a thread's row as Chainlit knows it, with every key it relies on, without steps and elements."""
    metadata, tags = row.get(METADATA), row.get(TAGS)
    name = row.get(FULL_NAME) or row.get(NAME)
    user_id = row.get(USER_ID)
    identifier = row.get(USER_IDENTIFIER) or user_id
    return {
        ID: parse_thread_pk(row[PK]),
        CREATED_AT: clock.normalized(row.get(CREATED_AT)) or last_activity(row) or clock.EPOCH,
        NAME: name if isinstance(name, str) else None,
        USER_ID: user_id if isinstance(user_id, str) else None,
        USER_IDENTIFIER: identifier if isinstance(identifier, str) else None,
        TAGS: tags if isinstance(tags, list) else None,
        METADATA: metadata if isinstance(metadata, dict) else {},
    }


def last_activity(row: Item) -> str | None:
    """Give the time of a thread's last activity, or `None` if its row has none."""
    index_sk = row.get(INDEX_SK)
    if not isinstance(index_sk, str):
        return None
    return clock.normalized(parse_activity_sk(index_sk)) or parse_activity_sk(index_sk)
