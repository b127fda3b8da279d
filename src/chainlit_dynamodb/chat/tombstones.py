"""What is deleted, so that late writes do nothing.

A deleted thread leaves a small row behind, which all processes find. A deleted step or element is remembered by the
process that deleted it.
"""

from __future__ import annotations

from typing import Final

from cachetools import LRUCache, TTLCache

from chainlit_dynamodb.chat.schema import DELETED_AT, Key, parse_thread_pk, thread_key
from chainlit_dynamodb.dynamodb.table import Table

CHECK_EVERY_SECONDS: Final = 10.0
"""How long another process's deletion may go unseen by writes of this one.

What slips through is swept when this process next hears of the deletion, see `ThreadDeletion`.
"""
_REMEMBERED: Final = 10_000
_REMEMBERED_ROWS: Final = 50_000


class Tombstones:
    """Knows deleted threads: those of this process at once, those of others within seconds."""

    def __init__(self, table: Table) -> None:
        """Start knowing nothing."""
        self._table = table
        self._deleted: LRUCache[str, bool] = LRUCache(_REMEMBERED)
        self._rows: LRUCache[Key, bool] = LRUCache(_REMEMBERED_ROWS)
        self._alive: TTLCache[str, bool] = TTLCache(_REMEMBERED, CHECK_EVERY_SECONDS)

    def mark(self, thread_id: str) -> None:
        """Note that a thread is deleted."""
        self._deleted[thread_id] = True
        self._alive.pop(thread_id, None)

    def unmark(self, thread_id: str) -> None:
        """Note that a thread is not deleted after all, because that failed."""
        self._deleted.pop(thread_id, None)

    def mark_alive(self, thread_id: str) -> None:
        """Note that a thread was just seen not deleted."""
        if thread_id not in self._deleted:
            self._alive[thread_id] = True

    def knows(self, thread_id: str) -> bool:
        """Tell whether this process knows that a thread is deleted. Cost: none."""
        return thread_id in self._deleted

    def mark_row(self, key: Key) -> None:
        """Note that a step or an element is deleted."""
        self._rows[key] = True

    def covers(self, key: Key) -> bool:
        """Tell whether this process deleted a step or an element, or knows that its thread is. Cost: none."""
        return key in self._rows or parse_thread_pk(key.pk) in self._deleted

    async def check(self, thread_id: str) -> bool:
        """Tell whether a thread is deleted.

        Cost: 1 read unit per 4 KB of the thread's row, at most every ten seconds for a thread.
        """
        if thread_id in self._deleted:
            return True
        if thread_id in self._alive:
            return False
        self._alive[thread_id] = True  # concurrent writes need not ask too
        row = await self._table.get(thread_key(thread_id).attributes(), attributes=[DELETED_AT], patient=True)
        if row and row.get(DELETED_AT) is not None:
            self.mark(thread_id)
            return True
        return False
