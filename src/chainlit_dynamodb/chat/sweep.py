"""Deletes what deleted threads, steps and elements have left, with their files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cachetools import LRUCache

from chainlit_dynamodb.chat.files import Files
from chainlit_dynamodb.chat.step_lookup import StepLookup
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import (
    HAS_LOOKUP,
    OBJECT_KEY,
    PK,
    SK,
    Key,
    is_step_sk,
    parse_step_sk,
    parse_thread_pk,
    thread_key,
)

_REMEMBERED: Final = 10_000


class Sweep:
    """Deletes rows, what belongs to them elsewhere first."""

    def __init__(self, rows: Rows, files: Files, lookup: StepLookup) -> None:
        """Take the parts a sweep touches."""
        self._rows = rows
        self._files = files
        self._lookup = lookup
        self._swept: LRUCache[Key, Item] = LRUCache(_REMEMBERED)

    async def thread(self, thread_id: str) -> bool:
        """Delete all rows of a thread but its own, files first, until none is left.

        A second sweep also repeats what the first one of this process did beside the thread's rows: a file may have
        been on its way.

        Returns:
            Whether there were any.

        Raises:
            StorageError: A file could not be deleted; its row stays.

        Cost: a read of the whole thread twice, and 1 write unit per KB of each row.
        """
        key, found_any = thread_key(thread_id), False
        await self._delete_outside([row for place, row in self._swept.items() if place.pk == key.pk])
        async for rows in self._rows.clear(key.pk, spare=key, attributes=[OBJECT_KEY, HAS_LOOKUP]):
            found_any = True
            await self._delete_outside(rows)
        return found_any

    async def rows(self, rows: Sequence[Item]) -> None:
        """Delete some rows of a thread, what belongs to them elsewhere first.

        Raises:
            StorageError: A file could not be deleted; the rows stay.

        Cost: 1 write unit per KB of what is deleted.
        """
        await self._delete_outside(rows)
        await self._rows.delete_many(rows)

    async def _delete_outside(self, rows: Sequence[Item]) -> None:
        """Delete files and lookup rows."""
        await self._files.delete_all(str(row[OBJECT_KEY]) for row in rows if row.get(OBJECT_KEY))
        for row in rows:
            if row.get(HAS_LOOKUP) and is_step_sk(row[SK]):
                await self._lookup.forget(parse_step_sk(row[SK]), parse_thread_pk(row[PK]))
            if row.get(HAS_LOOKUP) or row.get(OBJECT_KEY):
                self._swept[Key(row[PK], row[SK])] = row
