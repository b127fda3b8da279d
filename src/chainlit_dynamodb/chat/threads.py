"""Threads: their own rows. What happens to them is ordered like everything else that is written."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from cachetools import LRUCache

from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.chat.changes import ThreadChange, changes_nothing, thread_change, thread_update
from chainlit_dynamodb.chat.feedback_markers import FeedbackMarkers
from chainlit_dynamodb.chat.owners import Asker, is_admitted, may_touch, owner_of
from chainlit_dynamodb.chat.recent_writes import RecentWrites
from chainlit_dynamodb.chat.tombstones import Tombstones
from chainlit_dynamodb.chat.writer import Writer, outcome
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.errors import ConditionFailedError, TransientError
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import (
    CREATED_AT,
    DELETED_AT,
    INDEX_SK,
    METADATA,
    METADATA_VERSION,
    OWNER,
    PK,
    USER_ID,
    Key,
    activity_sk,
    parse_activity_sk,
    parse_thread_pk,
    thread_key,
    user_threads_pk,
)

_MERGE_TRIES: Final = 20
_REMEMBERED: Final = 10_000
_EARLY_BYTES: Final = 4 * 1024 * 1024


class Threads:
    """Writes threads, and reads who owns them. They are read whole by `Transcripts`."""

    def __init__(
        self,
        rows: Rows,
        writer: Writer,
        tombstones: Tombstones,
        recent: RecentWrites,
        markers: FeedbackMarkers,
    ) -> None:
        """Take the parts a thread touches.

        Args:
            rows: Where threads are.
            writer: The write path.
            tombstones: Which threads are deleted.
            recent: Gets to know activity before the index does.
            markers: Follow the owner.
        """
        self._rows = rows
        self._writer = writer
        self._tombstones = tombstones
        self._recent = recent
        self._markers = markers
        self._moving: Counter[tuple[str, Asker | None]] = Counter()
        self._moved: LRUCache[tuple[str, Asker | None], str] = LRUCache(_REMEMBERED)
        self._early: LRUCache[str, list[ThreadChange]] = LRUCache(_EARLY_BYTES, getsizeof=_size_bytes)
        self._index_places: LRUCache[str, str] = LRUCache(_REMEMBERED)  # they spare a first try that would be refused

    def update(
        self,
        thread_id: str,
        *,
        name: str | None = None,
        user_id: str | None = None,
        user_identifier: str | None = None,
        metadata: dict[str, Any] | None = None,
        tags: list[Any] | None = None,
        asker: Asker | None = None,
    ) -> Coroutine[Any, Any, bool]:
        """Change what is given of a thread; `None` leaves it.

        A name or an owner makes the thread if it is missing. An owner moves it to the top of the list, and so does
        the first name. A deleted thread stays deleted. The change is taken over at once, and stored when this is
        awaited.

        Args:
            thread_id: The thread.
            name: Its name.
            user_id: Its owner.
            user_identifier: Its owner's identifier.
            metadata: Entries to merge; an entry that is `None` is taken away.
            tags: Its tags.
            asker: Who asks. Another one's thread is left as it is; where theirs is given away, they may go on in it.

        Raises:
            InvalidIdError: An id cannot be part of a key.

        Cost: 1 write unit per KB of the row, and 2 per KB of the index entry if it moves; with metadata also 1 read
        unit per 4 KB.
        """
        change = thread_change(
            name=name,
            user_id=user_id,
            user_identifier=user_identifier,
            metadata=metadata,
            tags=tags,
            moment=clock.now(),
            stamp=self._rows.stamps.next(),
            asker=asker,
        )
        return outcome(None if change is None else self._enter(thread_id, change))

    def is_moving(self, thread_id: str, asker: Asker | None) -> bool:
        """Return whether somebody is just naming a thread or giving it an owner, which puts it on top. Cost: none."""
        return self._moving[thread_id, asker] > 0

    async def note_activity(
        self, thread_id: str, user_id: str | None, *, moment: str, since: str, asker: Asker | None = None
    ) -> None:
        """Move a thread to the top of its owner's list, because the user wrote a message.

        It stays where it is while that shows nobody anything new: it is on top already, on the same day wherever one
        is. So the time that a list shows may be a quarter of an hour old.

        Args:
            thread_id: The thread.
            user_id: The user.
            moment: When the message was written: it may have waited since.
            since: The stamp of the message. Nothing is done if the thread was moved after it: a first message is
                told before its thread is named (`emitter.init_thread`).
            asker: Who asks. Another one's thread stays where it is.

        Cost: half a read unit; if it moves, 1 write unit per KB of the row and 2 of the index entry.
        """
        if self._moved.get((thread_id, asker), "") > since:
            return
        with self._writer.operation():
            if user_id and await self._is_on_top(user_id, thread_id, moment):
                return
            if user_id:
                self._recent.touch(user_threads_pk(user_id), thread_id, activity_sk(moment))
            change = ThreadChange(activity=moment, stamp=self._rows.stamps.next(), asker=asker)
            await outcome(self._enter(thread_id, change))

    async def author(self, thread_id: str) -> str:
        """Return the identifier of a thread's owner, or "" if there is no such thread or it has none.

        Raises:
            InvalidIdError: The id cannot be part of a key.

        Cost: 1 read unit per 4 KB of the row.
        """
        key = thread_key(thread_id)
        await self._writer.flush(key.pk)
        return owner_of(await self._rows.get(key, attributes=OWNER) or {})

    async def _is_on_top(self, user_id: str, thread_id: str, moment: str) -> bool:
        """Return whether a thread is the first of a user's list, at about a time."""
        partition = user_threads_pk(user_id)
        last = await self._rows.last_in_index(partition)
        shown = last.get(INDEX_SK, ""), parse_thread_pk(last.get(PK, ""))
        place, first = max(shown, self._recent.newest(partition))
        return first == thread_id and clock.are_on_one_day(parse_activity_sk(place), moment)

    def _enter(self, thread_id: str, change: ThreadChange) -> asyncio.Future[bool] | None:
        key = thread_key(thread_id)
        if self._tombstones.knows(thread_id):
            return None
        taken = self._writer.enter(key, change, self._apply)
        mover = thread_id, change.asker  # of others nobody knows yet whether they may
        if change.activity:
            self._moved[mover] = change.stamp
        if change.creates:
            self._moving[mover] += 1
            taken.add_done_callback(lambda _: self._has_moved(*mover))
        if USER_ID in change.assign:
            self._tombstones.note_claim(thread_id, taken)
        return taken

    def _has_moved(self, thread_id: str, asker: Asker | None) -> None:
        self._moving[thread_id, asker] -= 1
        self._moving += Counter()  # drops what is down to 0

    async def _apply(self, key: Key, change: ThreadChange) -> bool:
        thread_id = parse_thread_pk(key.pk)
        told, early = change, self._early.get(thread_id, [])
        change = _above(_with_early(told, early), self._index_places.get(thread_id))
        for _ in range(_MERGE_TRIES):
            try:
                old = await self._store(key, change)
            except ConditionFailedError as exc:
                if await self._is_hopeless(key, change, exc.item):
                    if not exc.item and not told.creates:
                        self._keep_early(thread_id, told)
                    return False
                change = _above(change, exc.item.get(INDEX_SK))
                continue
            self._forget_early(thread_id, told)
            self._tombstones.mark_alive(thread_id)
            await self._follow(thread_id, change, old)
            return True
        raise TransientError("UpdateItem", "Contention", "other processes keep changing this thread")

    async def _store(self, key: Key, change: ThreadChange) -> Item:
        row = await self._metadata_of(key) if change.metadata is not None else {}
        if changes_nothing(change, row):
            return {}
        thread_id = parse_thread_pk(key.pk)
        asker = self._tombstones.as_giver(thread_id, change.asker)
        update, condition = thread_update(thread_id, replace(change, asker=asker), row, clock.now())
        old = await self._rows.update(key, update, condition=condition, stamp=change.stamp)
        if place := update.assign.get(INDEX_SK) or old.get(INDEX_SK) or update.default.get(INDEX_SK):
            self._index_places[thread_id] = place
        return old

    async def _metadata_of(self, key: Key) -> Item:
        wanted = [METADATA, METADATA_VERSION]
        return await self._rows.get(key, attributes=wanted, policy=self._rows.retry.write) or {}

    async def _is_hopeless(self, key: Key, change: ThreadChange, row: Item) -> bool:
        """Return whether a refused write stays refused: the thread is deleted or missing, not just changed."""
        thread_id = parse_thread_pk(key.pk)
        if row.get(DELETED_AT) is not None:
            await self._tombstones.learn(thread_id)
            return True
        if not is_admitted(self._tombstones.as_giver(thread_id, change.asker), owner_of(row), thread_id):
            return True
        return not row and not change.creates

    def _keep_early(self, thread_id: str, change: ThreadChange) -> None:
        """Keep what is known of a thread before it has a name or an owner, until it is made."""
        told, early = replace(change, activity=None), self._early.get(thread_id, [])
        if early and early[-1].asker == told.asker:
            *early, last = early
            told = last.then(told)
        with suppress(ValueError):  # these are larger than all may be: it is as if the last one had not been told
            self._early[thread_id] = [*early, told]

    def _forget_early(self, thread_id: str, change: ThreadChange) -> None:
        """Forget what was told before and has been done with a change."""
        left = [told for told in self._early.pop(thread_id, []) if not _goes_along(told, change)]
        if left:
            self._early[thread_id] = left

    def _note_owner(self, thread_id: str, asker: Asker | None, owner: str) -> None:
        self._tombstones.note_owner(thread_id, owner)
        if asker is not None and not may_touch(asker, owner):
            self._tombstones.note_gift(thread_id, asker, owner)

    async def _follow(self, thread_id: str, change: ThreadChange, old: Item) -> None:
        user_id = change.assign.get(USER_ID)
        if user_id:
            self._note_owner(thread_id, change.asker, owner_of(change.assign))
        if user_id and change.activity:
            self._recent.touch(user_threads_pk(user_id), thread_id, activity_sk(change.activity))
        changes_hands = CREATED_AT in old and old.get(USER_ID) != user_id
        if user_id and (changes_hands or self._markers.waits_for_owner(thread_id)):
            await self._markers.change_owner(thread_id, user_id)


def _size_bytes(changes: list[ThreadChange]) -> int:
    return sum(change.size_bytes for change in changes)


def _with_early(change: ThreadChange, early: list[ThreadChange]) -> ThreadChange:
    """Return a change with what was told of its thread before there was one, but for what strangers told."""
    for told in reversed(early):
        if _goes_along(told, change):
            change = told.then(change)
    return change


def _goes_along(early: ThreadChange, change: ThreadChange) -> bool:
    """Return whether what was told before may be done with a change: the same person asked, the app, or its owner."""
    owner = owner_of(change.assign)
    return early.asker in (None, change.asker) or (owner != "" and may_touch(early.asker, owner))


def _above(change: ThreadChange, place: Any) -> ThreadChange:
    """Return a change whose activity is not placed below where its thread is: clocks differ, and step back."""
    if change.activity is None or not isinstance(place, str) or activity_sk(change.activity) > place:
        return change
    return replace(change, activity=clock.just_after(parse_activity_sk(place)))
