"""The one door to the table: rows and attributes, whatever lies between them and DynamoDB.

Values may be of any size here. Access patterns speak of rows, keys and attributes; what does not fit into an item,
how it is packed, where its parts are and when they go is decided behind this door.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import suppress
from typing import Final

from chainlit_dynamodb.ciphers.provider import KeyProvider
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.expressions import Condition, Update, all_of, begins_with, both, equals, missing
from chainlit_dynamodb.dynamodb.retry import RetryPolicy
from chainlit_dynamodb.dynamodb.table import Query, Table
from chainlit_dynamodb.errors import (
    ConditionFailedError,
    ItemTooLargeError,
    TransactionCancelledError,
    TransientError,
)
from chainlit_dynamodb.rows.burial import Partition, buried, keeps_the_same, living, outdated, tombstone_of, with_key
from chainlit_dynamodb.rows.cipher import SealedTable
from chainlit_dynamodb.rows.keys import Keyring
from chainlit_dynamodb.rows.large_values import COMPRESS_ABOVE_BYTES, LargeValues, has_happened
from chainlit_dynamodb.rows.stamps import Stamps, filling_gaps, not_overtaken, stamped
from chainlit_dynamodb.rows.transactions import Write, replaced, table_write
from chainlit_dynamodb.schema import (
    BURIED_AT,
    INDEX_NAME,
    INDEX_PK,
    INDEX_SK,
    PK,
    SK,
    STAMP,
    STORED_AS_IS,
    THREAD_SK,
    Key,
    inline_bytes,
    is_buried_when_deleted,
    is_part_sk,
    may_have_parts,
)

_LAST_RESORT_BYTES: Final = 1024
"""What stays in a row that came out too large for an item."""
_CLEARED_PAGE_ITEMS: Final = 500
_TOO_LARGE: Final = "ValidationError"
"""Why DynamoDB cancels a transaction that would make an item larger than 400 KB."""
_STAMP_TRIES: Final = 20


class Rows:
    """Reads and writes the rows of one table. With a cipher, each cost below has that of keys in it, see `Keyring`.

    Attributes:
        retry: How long requests are tried. Reads have the patience of `retry.read`, unless a write depends on them.
        stamps: Makes the stamps that tell which write is the newest.
        keys: What content is sealed with; `None` where it is not.
    """

    def __init__(
        self,
        table: Table,
        *,
        compress_above_bytes: int | None = COMPRESS_ABOVE_BYTES,
        cipher: KeyProvider | None = None,
    ) -> None:
        """Take the table.

        Args:
            table: Where the rows are; `close` closes it.
            compress_above_bytes: The size above which values are compressed; `None` never compresses. Reading
                understands both.
            cipher: Wraps the keys that seal content; closed by `close`.
        """
        self.retry = table.retry
        self.stamps = Stamps()
        self.keys = None if cipher is None else Keyring(table, cipher)
        self._table = table if self.keys is None else SealedTable(table, self.keys)
        self._values = LargeValues(self._table, compress_above_bytes=compress_above_bytes)

    async def close(self) -> None:
        """Close the table, and forget the keys."""
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
        row = await self._table.get(key.attributes(), attributes=with_key(attributes), policy=policy)
        if row is None or BURIED_AT in row:
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
            keys: The rows; one that is named twice is read once.
            attributes: What to return; empty for everything.
            leave_large: Attributes whose large values are not read: something that is no plain value stands there.
            policy: How long to try; `None` as long as somebody waits for an answer.

        Cost: 1 read unit per 4 KB of each whole row and of the parts of its large values; one request per 100 rows.
        """
        wanted = [key.attributes() for key in dict.fromkeys(keys)]
        rows = await self._table.batch_get(wanted, attributes=with_key(attributes), policy=policy)
        return await self._values.complete(living(rows), leave=leave_large, policy=policy)

    async def partition(self, pk: str) -> Partition:
        """Read all rows of a partition, seeing all finished writes, by their sort keys.

        Cost: 1 read unit per 4 KB of the whole partition.
        """
        query = Query(equals(PK, pk), consistent=True)
        found = [row async for page in self._table.query_pages(query) for row in page]
        rows = await self._values.complete(living(found))
        strays = [key.attributes() for key in self._values.strays(found)]
        return Partition(rows, buried(found), [*strays, *outdated(found)])

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
        query = Query(wanted, attributes=with_key(attributes), consistent=True, policy=policy)
        async for page in self._table.query_pages(query):
            yield await self._values.complete(living(page), policy=policy)

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

    async def last_in_index(self, pk: str) -> Item:
        """Read the key of the last entry of an index partition; empty if it has none. Cost: half a read unit."""
        wanted, policy = [PK, SK, INDEX_SK], self.retry.write
        query = Query(equals(INDEX_PK, pk), INDEX_NAME, forward=False, page_items=1, attributes=wanted, policy=policy)
        return next(iter((await self._table.query_page(query)).items), {})

    async def update(
        self, key: Key, update: Update, *, condition: Condition | None = None, stamp: str | None = None
    ) -> Item:
        """Change attributes of a row, whatever their size, making the row if it is missing.

        With a stamp, what is assigned is so only if no newer write has been there. If one of this process has, gaps
        are filled; after one of another process, this write is the newer one, since it arrives later, and its clock
        was behind.

        Args:
            key: The row.
            update: What to change.
            condition: Must hold, or nothing changes.
            stamp: When the change was asked for; `None` for changes that do no harm when they are executed late.

        Returns:
            The changed attributes as they were. Where only the answer was lost, those alone that `update` sets where
            they are missing.

        Raises:
            ConditionFailedError: The condition did not hold, or the row is a deleted step or element.
            TransientError: Others kept overtaking this write.

        Cost: 1 write unit per KB of the row after compression, and of each part; again for index entries it changes.
        """
        if is_buried_when_deleted(key):
            condition = both(missing(BURIED_AT), condition)
        if stamp is None:
            return await self._update(key, update, condition)
        for _ in range(_STAMP_TRIES):
            try:
                return await self._update_stamped(key, update, condition, stamp)
            except ConditionFailedError as exc:
                newer = exc.item.get(STAMP)
                if not isinstance(newer, str) or newer <= stamp or BURIED_AT in exc.item:
                    raise
            if self.stamps.is_overtaken(key, stamp, newer):
                return await self._update_stamped(key, filling_gaps(update), condition, stamp)
            stamp = self.stamps.later_than(newer, stamp)
        raise TransientError("UpdateItem", "Contention", "other processes keep changing this row")

    async def _update_stamped(self, key: Key, update: Update, condition: Condition | None, stamp: str) -> Item:
        if not (update.assign or update.remove or update.default):
            return {}
        if update.assign or update.remove:
            condition = both(not_overtaken(stamp), condition)
        old = await self._update(key, stamped(update, stamp), condition)
        self.stamps.note_written(key, stamp)
        return old

    async def _update(self, key: Key, update: Update, condition: Condition | None) -> Item:
        with suppress(ItemTooLargeError):
            return await self._update_fitted(key, update, condition, inline_bytes(key))
        with suppress(ItemTooLargeError):
            return await self._update_fitted(key, update, condition, _LAST_RESORT_BYTES)
        await self._make_room(key)
        return await self._update_fitted(key, update, condition, _LAST_RESORT_BYTES)

    async def _make_room(self, key: Key) -> None:
        """Put the values of a row beside it, because what is to come does not fit; not if it is changed meanwhile."""
        row = await self.get(key, policy=self.retry.write)
        if row is None or not may_have_parts(key):
            return
        stamp = row.get(STAMP)
        unchanged = missing(STAMP) if stamp is None else equals(STAMP, stamp)
        values = {name: value for name, value in row.items() if name not in STORED_AS_IS and name != STAMP}
        with suppress(ConditionFailedError):
            await self._update_fitted(key, Update(assign=values), unchanged, _LAST_RESORT_BYTES)

    async def _update_fitted(self, key: Key, update: Update, condition: Condition | None, limit_bytes: int) -> Item:
        fitted = await self._values.fit(key, update, limit_bytes)
        try:
            old = await self._table.update(
                key.attributes(), fitted.update, condition=condition, return_values="UPDATED_OLD"
            )
        except ConditionFailedError as exc:
            if has_happened(fitted, exc.item):  # only the answer was lost
                return {name: exc.item[name] for name in update.default if name in exc.item}
            await self._values.discard(fitted)
            raise
        except ItemTooLargeError:
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

    async def delete_many(self, rows: Sequence[Item]) -> None:
        """Delete rows without looking at them. Cost: 1 write unit per KB of each."""
        await self._table.batch_delete([{PK: row[PK], SK: row[SK]} for row in rows])

    async def bury(self, key: Key, row: Item) -> Item:
        """Delete a step or an element with all that belongs to it, and leave a tombstone against late writes.

        The tombstone is nowhere to be seen. It goes when the partition is read after two hours, or cleared. There is
        one also where there was no row: another process may be about to write it.

        Args:
            key: The row.
            row: What is known of it; empty for none.

        Returns:
            What it was, its large values not read; what the tombstone keeps if it was deleted before, and nothing if
            it has never been.

        Raises:
            TransientError: Others kept changing this row.

        Cost: 1 write unit per KB of the row and of each part, and 1 read unit.
        """
        for _ in range(_STAMP_TRIES):
            tombstone = tombstone_of(key, row, self.stamps.next())
            try:
                old = await self._table.replace(tombstone, condition=both(missing(BURIED_AT), keeps_the_same(row)))
            except ConditionFailedError as exc:
                row = exc.item
                if BURIED_AT not in row:
                    continue
                old = row
            await self._values.delete_parts(key)
            return old or {}
        raise TransientError("PutItem", "Contention", "other processes keep changing this row")

    async def clear(
        self, pk: str, *, spares: Callable[[Item], bool], attributes: Sequence[str]
    ) -> AsyncIterator[tuple[list[Item], list[Item]]]:
        """Delete the rows of a partition, page by page, until none is left but those that are spared; then its key.

        Each page is given before it is deleted, for what must go first; if that fails, the page stays.

        Args:
            pk: The partition.
            spares: Whether a row stays.
            attributes: What to return of each row.

        Yields:
            What goes, parts of large values left out, and what stays.

        Cost: a read of the whole partition twice, and 1 write unit per KB of each row.
        """
        query = Query(
            equals(PK, pk),
            page_items=_CLEARED_PAGE_ITEMS,
            attributes=with_key(attributes),
            consistent=True,
            policy=self.retry.write,
        )
        found_any, is_gone_for_good = True, False
        while found_any:
            found_any = False
            async for page in self._table.query_pages(query):
                doomed = [row for row in page if not spares(row)]
                yield [row for row in doomed if not is_part_sk(row[SK])], [row for row in page if spares(row)]
                is_gone_for_good |= bool(doomed) or any(row[SK] == THREAD_SK for row in page)
                if doomed:
                    found_any = True
                    await self.delete_many(doomed)
        if self.keys is not None and is_gone_for_good:  # else it may be just being made
            await self.keys.forget(pk)

    async def transact(self, writes: Sequence[Write]) -> None:
        """Do all of the writes or none, whatever the size of their values.

        Raises:
            TransactionCancelledError: A condition did not hold.

        Cost: 2 write units per KB of each row, and 1 per KB of each part.
        """
        try:
            await self._transact(writes)
        except TransactionCancelledError as exc:
            if _TOO_LARGE not in exc.reasons:
                raise
            for write in writes:
                await self._make_room(write.key)
            await self._transact(writes)

    async def _transact(self, writes: Sequence[Write]) -> None:
        fitted = [await self._values.fit(w.key, w.update or Update(), inline_bytes(w.key)) for w in writes]
        try:
            await self._table.transact([table_write(write, fit) for write, fit in zip(writes, fitted, strict=True)])
        except (TransactionCancelledError, ItemTooLargeError):
            for fit in fitted:
                await self._values.discard(fit)
            raise
        for write, fit in zip(writes, fitted, strict=True):
            await self._values.tidy(write.key, fit, replaced(write))
