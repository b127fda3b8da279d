"""Deleting a thread: its rows, its files, and a tombstone against what arrives late."""

from __future__ import annotations

from typing import Final

from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.chat.elements import OBJECT_KEY, Elements
from chainlit_dynamodb.chat.lookup import StepLookup
from chainlit_dynamodb.chat.schema import (
    DELETED_AT,
    HAS_LOOKUP,
    PK,
    SK,
    THREAD_SK,
    Key,
    is_step_sk,
    parse_step_sk,
    parse_thread_pk,
    thread_key,
    thread_pk,
)
from chainlit_dynamodb.chat.tombstones import Tombstones
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.expressions import equals
from chainlit_dynamodb.dynamodb.table import Query, Table
from chainlit_dynamodb.errors import ChainlitDynamoDBError

_OWNER: Final = ("userId", "userIdentifier")
_PAGE_ITEMS: Final = 500


class ThreadDeletion:
    """Deletes threads.

    While a deletion is under way its tombstone still names the owner, so that a deletion that was interrupted can be
    asked for again; then the tombstone forgets.
    """

    def __init__(
        self, table: Table, writer: Writer, tombstones: Tombstones, elements: Elements, lookup: StepLookup
    ) -> None:
        """Take the parts a deletion touches."""
        self._table = table
        self._writer = writer
        self._tombstones = tombstones
        self._elements = elements
        self._lookup = lookup

    async def delete(self, thread_id: str) -> None:
        """Delete a thread with everything in it. Doing it again finishes what was interrupted.

        Raises:
            InvalidIdError: The id cannot be part of a key.
            StorageError: A file could not be deleted. The thread is gone from lists; what is left goes when the
                deletion is repeated.

        Cost: a read of the whole thread, 1 write unit per KB of each row, and 2 for the tombstone.
        """
        key = thread_key(thread_id)
        self._tombstones.mark(thread_id)
        await self._writer.discard(key.pk)
        tombstone: Item = {**key.attributes(), DELETED_AT: clock.now()}
        try:
            is_known = await self._bury(key, tombstone)
        except ChainlitDynamoDBError:
            self._tombstones.unmark(thread_id)
            raise
        found_any = await self.sweep(thread_id)
        if is_known or found_any:
            await self._table.put(tombstone)

    async def _bury(self, key: Key, tombstone: Item) -> bool:
        """Put a tombstone that still names the owner in place of a thread's row, if there is one."""
        row = await self._table.get(key.attributes(), attributes=[PK, *_OWNER])
        if row is not None:
            await self._table.put({**tombstone, **{name: row[name] for name in _OWNER if name in row}})
        return row is not None

    async def sweep(self, thread_id: str) -> bool:
        """Delete all rows of a thread but its own, files first, until none is left.

        Returns:
            Whether there were any.

        Cost: a read of the whole thread twice, and 1 write unit per KB of each row.
        """
        found_any = False
        while await self._sweep_once(thread_id):
            found_any = True
        return found_any

    async def _sweep_once(self, thread_id: str) -> bool:
        query = Query(
            equals(PK, thread_pk(thread_id)),
            page_items=_PAGE_ITEMS,
            attributes=[PK, SK, OBJECT_KEY, HAS_LOOKUP],
            consistent=True,
        )
        found_any = False
        async for rows in self._table.query_pages(query):
            doomed = [row for row in rows if row[SK] != THREAD_SK]
            await self._delete_rows(doomed)
            found_any = found_any or bool(doomed)
        return found_any

    async def _delete_rows(self, rows: list[Item]) -> None:
        await self._elements.delete_files(str(row[OBJECT_KEY]) for row in rows if row.get(OBJECT_KEY))
        for row in rows:
            if row.get(HAS_LOOKUP) and is_step_sk(row[SK]):
                await self._lookup.forget(parse_step_sk(row[SK]), parse_thread_pk(row[PK]))
        await self._table.batch_delete([{PK: row[PK], SK: row[SK]} for row in rows])
