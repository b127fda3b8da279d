"""The one door to the table: rows and attributes, whatever lies between them and DynamoDB.

Values may be of any size here. Access patterns speak of rows, keys and attributes; what does not fit into an item,
how it is packed, where its parts are and when they go is decided behind this door.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.expressions import Condition, Update, all_of, begins_with, equals
from chainlit_dynamodb.dynamodb.retry import RetryPolicy
from chainlit_dynamodb.dynamodb.table import Query, Table
from chainlit_dynamodb.dynamodb.table import Write as TableWrite
from chainlit_dynamodb.errors import ConditionFailedError, ItemTooLargeError, TransactionCancelledError
from chainlit_dynamodb.rows.large_values import COMPRESS_ABOVE_BYTES, Fitted, LargeValues
from chainlit_dynamodb.schema import INDEX_NAME, INDEX_PK, PK, SK, Key, inline_bytes, is_part_sk, may_have_parts

_LAST_RESORT_BYTES: Final = 1024
"""What stays in a row that came out too large for an item."""
_CLEARED_PAGE_ITEMS: Final = 500


@dataclass(frozen=True)
class Write:
    """One part of a transaction: an update of a row, or its deletion where `update` is `None`.

    Attributes:
        key: The row.
        update: What to change.
        condition: Must hold, or nothing changes.
        before: The row as it was read; what it held and loses by the update is tidied away.
    """

    key: Key
    update: Update | None = None
    condition: Condition | None = None
    before: Mapping[str, Any] = field(default_factory=dict)


class Rows:
    """Reads and writes the rows of one table.

    Attributes:
        retry: How long requests are tried. Reads have the patience of `retry.read`, unless a write depends on them.
    """

    def __init__(self, table: Table, *, compress_above_bytes: int | None = COMPRESS_ABOVE_BYTES) -> None:
        """Take the table.

        Args:
            table: Where the rows are; `close` closes it.
            compress_above_bytes: The size above which values are compressed; `None` never compresses. Reading
                understands both.
        """
        self.retry = table.retry
        self._table = table
        self._values = LargeValues(table, compress_above_bytes=compress_above_bytes)

    async def close(self) -> None:
        """Close the table."""
        await self._table.close()

    async def get(
        self, key: Key, *, attributes: Sequence[str] = (), policy: RetryPolicy | None = None
    ) -> Item | None:
        """Read one row, seeing all finished writes.

        Args:
            key: The row.
            attributes: What to return; empty for everything.
            policy: How long to try; `None` as long as somebody waits for an answer.

        Returns:
            The row, or `None` if there is none.

        Cost: 1 read unit per 4 KB of the whole row and of the parts of its large values.
        """
        row = await self._table.get(key.attributes(), attributes=_with_key(attributes), policy=policy)
        if row is None:
            return None
        rows = await self._values.complete([row], policy=policy)
        return rows[0] if rows else None

    async def get_many(
        self,
        keys: Collection[Key],
        *,
        attributes: Sequence[str] = (),
        leave_large: Collection[str] = (),
        policy: RetryPolicy | None = None,
    ) -> list[Item]:
        """Read many rows, seeing all finished writes, in no particular order. Missing ones are left out.

        Args:
            keys: The rows.
            attributes: What to return; empty for everything.
            leave_large: Attributes whose large values are not read: something that is no plain value stands there.
            policy: How long to try; `None` as long as somebody waits for an answer.

        Cost: 1 read unit per 4 KB of each whole row and of the parts of its large values; one request per 100 rows.
        """
        rows = await self._table.batch_get(
            [key.attributes() for key in keys], attributes=_with_key(attributes), policy=policy
        )
        return await self._values.complete(rows, leave=leave_large, policy=policy)

    async def partition(self, pk: str) -> list[Item]:
        """Read all rows of a partition, seeing all finished writes, by their sort keys.

        Cost: 1 read unit per 4 KB of the whole partition.
        """
        query = Query(equals(PK, pk), consistent=True)
        rows = [row async for page in self._table.query_pages(query) for row in page]
        return await self._values.complete(rows)

    async def pages(
        self, pk: str, sk_prefix: str, *, attributes: Sequence[str] = (), policy: RetryPolicy | None = None
    ) -> AsyncIterator[list[Item]]:
        """Read the rows of a partition whose sort keys begin alike, page by page, seeing all finished writes.

        Args:
            pk: The partition.
            sk_prefix: What the sort keys begin with.
            attributes: What to return; empty for everything.
            policy: How long to try; `None` as long as somebody waits for an answer.

        Cost: 1 read unit per 4 KB of the rows, whichever attributes are returned.
        """
        wanted = all_of(equals(PK, pk), begins_with(SK, sk_prefix))
        query = Query(wanted, attributes=_with_key(attributes), consistent=True, policy=policy)
        async for page in self._table.query_pages(query):
            yield await self._values.complete(page, policy=policy)

    async def index(
        self,
        partition: str,
        *,
        newest_first: bool = False,
        page_items: int | None = None,
        start_key: Item | None = None,
    ) -> AsyncIterator[list[Item]]:
        """Read the entries of an index partition page by page. The index may be behind the table.

        Args:
            partition: The index partition.
            newest_first: Descending by index sort key.
            page_items: How many entries one request reads; `None` for as many as fit in 1 MB.
            start_key: The entry after which to go on: its key in the table and on the index.

        Cost: half a read unit per 4 KB of entries, for each page.
        """
        query = Query(
            equals(INDEX_PK, partition),
            index=INDEX_NAME,
            forward=not newest_first,
            page_items=page_items,
            start_key=start_key,
        )
        async for page in self._table.query_pages(query):
            yield page

    async def update(self, key: Key, update: Update, *, condition: Condition | None = None) -> Item:
        """Change attributes of a row, whatever their size, making the row if it is missing.

        Args:
            key: The row.
            update: What to change.
            condition: Must hold, or nothing changes.

        Returns:
            The changed attributes as they were.

        Raises:
            ConditionFailedError: The condition did not hold.

        Cost: 1 write unit per KB of the row after compression, and of each part; again for index entries it changes.
        """
        try:
            return await self._update(key, update, condition, inline_bytes(key))
        except ItemTooLargeError:
            return await self._update(key, update, condition, _LAST_RESORT_BYTES)

    async def _update(self, key: Key, update: Update, condition: Condition | None, limit_bytes: int) -> Item:
        fitted = await self._values.fit(key, update, limit_bytes)
        try:
            old = await self._table.update(
                key.attributes(), fitted.update, condition=condition, return_values="UPDATED_OLD"
            )
        except (ConditionFailedError, ItemTooLargeError):
            await self._values.discard(fitted)
            raise
        await self._values.tidy(key, fitted, old)
        return old

    async def put(self, key: Key, attributes: Item) -> None:
        """Write a row of small values in place of what was there. Cost: 1 write unit per KB of the larger one."""
        await self._table.put({**key.attributes(), **attributes})

    async def delete(self, key: Key, *, condition: Condition | None = None) -> Item | None:
        """Delete a row with all that belongs to it, also what an interrupted write has left.

        Returns:
            What it was, its large values not read; `None` if there was none.

        Raises:
            ConditionFailedError: The condition did not hold.

        Cost: 1 write unit per KB of the row and of each part; 1 read unit if it may have parts.
        """
        old = await self._table.delete(key.attributes(), condition=condition)
        if may_have_parts(key):
            await self._values.delete_parts(key)
        return old

    async def clear(self, pk: str, *, spare: Key, attributes: Sequence[str] = ()) -> AsyncIterator[list[Item]]:
        """Delete all rows of a partition but one, page by page, until none is left.

        Each page is given before it is deleted, for what must go first; if that fails, the page stays.

        Args:
            pk: The partition.
            spare: The row that stays.
            attributes: What to return of each row.

        Cost: a read of the whole partition twice, and 1 write unit per KB of each row.
        """
        query = Query(
            equals(PK, pk), page_items=_CLEARED_PAGE_ITEMS, attributes=_with_key(attributes or (PK,)), consistent=True
        )
        found_any = True
        while found_any:
            found_any = False
            async for page in self._table.query_pages(query):
                if doomed := [row for row in page if row[SK] != spare.sk]:
                    found_any = True
                    yield [row for row in doomed if not is_part_sk(row[SK])]
                    await self._table.batch_delete([{PK: row[PK], SK: row[SK]} for row in doomed])

    async def transact(self, writes: Sequence[Write]) -> None:
        """Do all of the writes or none, whatever the size of their values.

        Raises:
            TransactionCancelledError: A condition did not hold.

        Cost: 2 write units per KB of each row, and 1 per KB of each part.
        """
        fitted = [await self._values.fit(w.key, w.update or Update(), inline_bytes(w.key)) for w in writes]
        try:
            await self._table.transact([_table_write(write, fit) for write, fit in zip(writes, fitted, strict=True)])
        except (TransactionCancelledError, ItemTooLargeError):
            for fit in fitted:
                await self._values.discard(fit)
            raise
        for write, fit in zip(writes, fitted, strict=True):
            await self._values.tidy(write.key, fit, _replaced(write))


def _with_key(attributes: Sequence[str]) -> Sequence[str]:
    return tuple(dict.fromkeys((PK, SK, *attributes))) if attributes else ()


def _table_write(write: Write, fitted: Fitted) -> TableWrite:
    update = None if write.update is None else fitted.update
    return TableWrite(write.key.attributes(), update, write.condition)


def _replaced(write: Write) -> Item:
    """Return what a write takes away of the row it was made for."""
    changed = {*write.update.assign, *write.update.remove} if write.update else set(write.before)
    return {name: value for name, value in write.before.items() if name in changed}
