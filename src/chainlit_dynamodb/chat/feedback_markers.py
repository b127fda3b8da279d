"""Feedback markers: per thread and value one row, which the index lists, with the steps of that value."""

from __future__ import annotations

from typing import Final

from cachetools import LRUCache

from chainlit_dynamodb.chat.presentation import feedback_value
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.expressions import Update, equals_set, exists
from chainlit_dynamodb.errors import ConditionFailedError
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.rows.transactions import Write
from chainlit_dynamodb.schema import (
    FEEDBACK_VALUES,
    INDEX_PK,
    INDEX_SK,
    STEP_IDS,
    USER_ID,
    feedback_key,
    thread_key,
    user_feedback_pk,
)

_TRIES: Final = 5
_REMEMBERED: Final = 10_000


class FeedbackMarkers:
    """Keeps, per thread and value, the set of steps with that value."""

    def __init__(self, rows: Rows) -> None:
        """Take the rows."""
        self._rows = rows
        self._unlisted: LRUCache[str, bool] = LRUCache(_REMEMBERED)

    def note_unlisted(self, thread_id: str) -> None:
        """Note that a thread has a marker, but no owner yet under whom it could be listed."""
        self._unlisted[thread_id] = True

    def waits_for_owner(self, thread_id: str) -> bool:
        """Return whether a thread has a marker that no list shows. Cost: none."""
        return thread_id in self._unlisted

    async def forget(self, thread_id: str, step_id: str, feedback: object) -> None:
        """Take a step that is gone out of its marker. Cost: 1 read unit and 1 write unit, if it had feedback."""
        value = feedback_value(feedback)
        if value is None:
            return
        for _ in range(_TRIES):
            marker = await self._rows.get(feedback_key(thread_id, value), policy=self._rows.retry.write)
            if marker is None or step_id not in marker.get(STEP_IDS, ()):
                return
            try:
                await self._remove(removal(thread_id, value, marker, step_id))
            except ConditionFailedError:
                continue
            return

    async def change_owner(self, thread_id: str, user_id: str) -> None:
        """List the markers of a thread under its new owner. Cost: 2 write units."""
        self._unlisted.pop(thread_id, None)
        row = await self._rows.get(thread_key(thread_id), attributes=[INDEX_SK], policy=self._rows.retry.write)
        index_sk = (row or {}).get(INDEX_SK)
        if index_sk is None:
            return
        for value in FEEDBACK_VALUES:
            update = Update(assign={INDEX_PK: user_feedback_pk(user_id, value), INDEX_SK: index_sk})
            try:
                await self._rows.update(feedback_key(thread_id, value), update, condition=exists(STEP_IDS))
            except ConditionFailedError:
                continue

    async def _remove(self, write: Write) -> None:
        if write.update is None:
            await self._rows.delete(write.key, condition=write.condition)
        else:
            await self._rows.update(write.key, write.update, condition=write.condition)


def addition(thread_id: str, value: int, thread: Item, step_id: str) -> Write:
    """Return the write that puts a step into a marker."""
    update = Update(assign=marker_index(thread, value), add_members={STEP_IDS: [step_id]})
    return Write(feedback_key(thread_id, value), update)


def removal(thread_id: str, value: int, marker: Item, step_id: str) -> Write:
    """Return the write that takes a step out of a marker; the last one takes the marker with it."""
    members = set(marker.get(STEP_IDS, ()))
    update = Update(delete_members={STEP_IDS: [step_id]}) if members != {step_id} else None
    return Write(feedback_key(thread_id, value), update, equals_set(STEP_IDS, members))


def marker_index(thread: Item, value: int) -> dict[str, str]:
    """Return what lists the marker of a thread; empty while the thread has no owner."""
    user_id, index_sk = thread.get(USER_ID), thread.get(INDEX_SK)
    if not isinstance(user_id, str) or not isinstance(index_sk, str):
        return {}
    return {INDEX_PK: user_feedback_pk(user_id, value), INDEX_SK: index_sk}
