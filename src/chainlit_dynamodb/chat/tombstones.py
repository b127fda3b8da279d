"""What is deleted, so that late writes do nothing.

A deleted thread leaves a small row behind, which all processes find. A deleted step or element is remembered by the
process that deleted it.
"""

from __future__ import annotations

from typing import Final

from cachetools import LRUCache, TTLCache

from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import DELETED_AT, Key, parse_thread_pk, thread_key

CHECK_EVERY_SECONDS: Final = 10.0
"""How long another process's deletion may go unseen by writes of this one.

What slips through is swept when this process next hears of the deletion, see `ThreadDeletion`.
"""
_REMEMBERED: Final = 10_000
_REMEMBERED_ROWS: Final = 50_000


class Tombstones:
    """Knows deleted threads: those of this process at once, those of others within seconds."""

    def __init__(self, rows: Rows) -> None:
        """Start knowing nothing."""
        self._rows = rows
        self._deleted_threads: LRUCache[str, bool] = LRUCache(_REMEMBERED)
        self._deleted_rows: LRUCache[Key, bool] = LRUCache(_REMEMBERED_ROWS)
        self._alive: TTLCache[str, bool] = TTLCache(_REMEMBERED, CHECK_EVERY_SECONDS)

    def mark(self, thread_id: str) -> None:
        """Note that a thread is deleted."""
        self._deleted_threads[thread_id] = True
        self._alive.pop(thread_id, None)

    def unmark(self, thread_id: str) -> None:
        """Note that a thread is not deleted after all, because that failed."""
        self._deleted_threads.pop(thread_id, None)

    def mark_alive(self, thread_id: str) -> None:
        """Note that a thread was just seen not deleted."""
        if thread_id not in self._deleted_threads:
            self._alive[thread_id] = True

    def knows(self, thread_id: str) -> bool:
        """Return whether this process knows that a thread is deleted. Cost: none."""
        return thread_id in self._deleted_threads

    def mark_row(self, key: Key) -> None:
        """Note that a step or an element is deleted."""
        self._deleted_rows[key] = True

    def covers(self, key: Key) -> bool:
        """Return whether this process deleted a step or an element, or knows that its thread is. Cost: none."""
        return key in self._deleted_rows or parse_thread_pk(key.pk) in self._deleted_threads

    async def check(self, thread_id: str) -> bool:
        """Return whether a thread is deleted.

        Cost: 1 read unit per 4 KB of the thread's row, at most every ten seconds for a thread.
        """
        if thread_id in self._deleted_threads:
            return True
        if thread_id in self._alive:
            return False
        self._alive[thread_id] = True  # concurrent writes need not ask too
        policy = self._rows.retry.write
        row = await self._rows.get(thread_key(thread_id), attributes=[DELETED_AT], policy=policy)
        if row and row.get(DELETED_AT) is not None:
            self.mark(thread_id)
            return True
        return False
