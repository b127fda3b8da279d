"""Deleting a thread: its rows, its files, and a tombstone against what arrives late."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.chat.sweep import Sweep
from chainlit_dynamodb.chat.tombstones import Tombstones
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.errors import ChainlitDynamoDBError
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import (
    DELETED_AT,
    OWNER,
    thread_key,
)

logger = logging.getLogger("chainlit.DynamoDB")


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
        self._clearings: set[asyncio.Task[None]] = set()

    async def begin(self, thread_id: str) -> asyncio.Task[None]:
        """Put a tombstone in a thread's place: from now on nobody sees it. Then what it holds is deleted.

        Both goes on though nobody waits for it any more.

        Returns:
            What deletes all that it holds. It ends with a `StorageError` if a file could not be deleted, which is
            tried again later, and when the deletion is repeated.

        Raises:
            InvalidIdError: The id cannot be part of a key.

        Cost: 2 read units and 2 write units; a read of the whole thread twice, and 1 write unit per KB of each row.
        """
        key = thread_key(thread_id)
        return await self._writer.errands.run(f"deletion of {key.pk}", partial(self._begin, thread_id))

    async def _begin(self, thread_id: str) -> asyncio.Task[None]:
        is_known = await self._bury(thread_id)
        clearing = asyncio.create_task(self._clear(thread_id, is_known=is_known))
        self._clearings.add(clearing)
        clearing.add_done_callback(partial(self._cleared, thread_id))
        if is_known:  # at once, so that it is not forgotten if this is interrupted
            self._tombstones.sweep_again(thread_id)
        return clearing

    async def _bury(self, thread_id: str) -> bool:
        """Put a tombstone that still names the owner, and return whether there was something, be it an older one."""
        key, patience = thread_key(thread_id), self._rows.retry.write
        row = await self._rows.get(key, attributes=[*OWNER, DELETED_AT], policy=patience)
        if row is not None and DELETED_AT not in row:  # else another deletion may be about to forget the owner
            owner: Item = {name: row[name] for name in OWNER if name in row}
            await self._rows.put(key, {DELETED_AT: clock.now(), **owner})
        # Only now: if that had failed, nothing of what waits to be written would be lost.
        self._tombstones.mark(thread_id)
        return row is not None

    async def _clear(self, thread_id: str, *, is_known: bool) -> None:
        key = thread_key(thread_id)
        with self._writer.operation():
            await self._writer.discard(key.pk)
            swept = await self._sweep.thread(thread_id)
            if is_known or swept.found_any:
                await self._rows.put(key, {DELETED_AT: clock.now()})
                self._tombstones.sweep_again(thread_id)
            else:
                self._tombstones.forget(thread_id)

    def _cleared(self, thread_id: str, clearing: asyncio.Task[None]) -> None:
        self._clearings.discard(clearing)
        if clearing.cancelled() or (error := clearing.exception()) is None:
            return
        reason = error if isinstance(error, ChainlitDynamoDBError) else type(error).__name__
        logger.warning("A deleted thread is swept again later: %s: %s", thread_id, reason)

    async def close(self) -> None:
        """Leave what could not be cleared in time."""
        clearings = list(self._clearings)
        for clearing in clearings:
            clearing.cancel()
        await asyncio.gather(*clearings, return_exceptions=True)
