"""Deletes what a deleted thread has left."""

from __future__ import annotations

from chainlit_dynamodb.chat.files import Files
from chainlit_dynamodb.chat.step_lookup import StepLookup
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import HAS_LOOKUP, OBJECT_KEY, SK, is_step_sk, parse_step_sk, thread_key


class Sweep:
    """Deletes all rows of a thread but its own, with their files."""

    def __init__(self, rows: Rows, files: Files, lookup: StepLookup) -> None:
        """Take the parts a sweep touches."""
        self._rows = rows
        self._files = files
        self._lookup = lookup

    async def thread(self, thread_id: str) -> bool:
        """Delete all rows of a thread but its own, files first, until none is left.

        Returns:
            Whether there were any.

        Raises:
            StorageError: A file could not be deleted; its row stays.

        Cost: a read of the whole thread twice, and 1 write unit per KB of each row.
        """
        key, found_any = thread_key(thread_id), False
        async for rows in self._rows.clear(key.pk, spare=key, attributes=[OBJECT_KEY, HAS_LOOKUP]):
            found_any = True
            await self._files.delete_all(str(row[OBJECT_KEY]) for row in rows if row.get(OBJECT_KEY))
            for row in rows:
                if row.get(HAS_LOOKUP) and is_step_sk(row[SK]):
                    await self._lookup.forget(parse_step_sk(row[SK]), thread_id)
        return found_any
