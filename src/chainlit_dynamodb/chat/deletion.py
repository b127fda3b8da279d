"""Deleting a thread: its rows, its files, and a tombstone against what arrives late."""

from __future__ import annotations

from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.chat.sweep import Sweep
from chainlit_dynamodb.chat.tombstones import Tombstones
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import (
    DELETED_AT,
    USER_ID,
    USER_IDENTIFIER,
    Key,
    thread_key,
)


class ThreadDeletion:
    """Deletes threads.

    While a deletion is under way its tombstone still names the owner, so that a deletion that was interrupted can be
    asked for again; then the tombstone forgets.
    """

    def __init__(self, rows: Rows, writer: Writer, tombstones: Tombstones, sweep: Sweep) -> None:
        """Take the parts a deletion touches."""
        self._rows = rows
        self._writer = writer
        self._tombstones = tombstones
        self._sweep = sweep

    async def delete(self, thread_id: str) -> None:
        """Delete a thread with everything in it. Doing it again finishes what was interrupted.

        Raises:
            InvalidIdError: The id cannot be part of a key.
            StorageError: A file could not be deleted. The thread is gone from lists; what is left goes when the
                deletion is repeated.

        Cost: a read of the whole thread, 1 write unit per KB of each row, and 2 for the tombstone.
        """
        key = thread_key(thread_id)
        tombstone: Item = {DELETED_AT: clock.now()}
        # Buried first: if that fails, nothing of what waits to be written is lost.
        is_known = await self._bury(key, tombstone)
        self._tombstones.mark(thread_id)
        await self._writer.discard(key.pk)
        found_any = await self._sweep.thread(thread_id)
        if is_known or found_any:
            await self._rows.put(key, tombstone)
            self._tombstones.sweep_again(thread_id)

    async def _bury(self, key: Key, tombstone: Item) -> bool:
        """Put a tombstone that still names the owner in place of a thread's row, if there is one."""
        row = await self._rows.get(key, attributes=[USER_ID, USER_IDENTIFIER])
        if row is None:
            return False
        owner: Item = {name: row[name] for name in (USER_ID, USER_IDENTIFIER) if name in row}
        await self._rows.put(key, {**tombstone, **owner})
        return True
