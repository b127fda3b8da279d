"""Elements: attachments and widgets, one row each in their thread's partition, their files in the storage."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any, Final
from weakref import WeakValueDictionary

from cachetools import LRUCache

from chainlit_dynamodb.chat.changes import ElementChange, File
from chainlit_dynamodb.chat.files import Files
from chainlit_dynamodb.chat.owners import Asker
from chainlit_dynamodb.chat.presentation import ElementView, public_element
from chainlit_dynamodb.chat.tombstones import Tombstones
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.expressions import Update, missing
from chainlit_dynamodb.errors import ConditionFailedError, StorageError
from chainlit_dynamodb.limits import ELEMENTS_PER_MESSAGE
from chainlit_dynamodb.rows.burial import is_announcement, may_lack_its_file
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import (
    ANNOUNCED_AT,
    BURIED_AT,
    ELEMENT_SK_PREFIX,
    FOR_ID,
    OBJECT_KEY,
    SK,
    STAMP,
    TYPE,
    Key,
    element_key,
    is_own_attribute,
    parse_element_sk,
    parse_thread_pk,
    step_key,
    thread_key,
    thread_pk,
)

logger = logging.getLogger("chainlit.DynamoDB")

_REMEMBERED: Final = 10_000
_REMEMBERED_IDS: Final = 100_000


class Elements:
    """Writes and reads elements."""

    def __init__(self, rows: Rows, writer: Writer, tombstones: Tombstones, files: Files) -> None:
        """Take the parts an element touches."""
        self._rows = rows
        self._writer = writer
        self._tombstones = tombstones
        self._files = files
        self._ids: LRUCache[Key, frozenset[str]] = LRUCache(_REMEMBERED_IDS, getsizeof=len)
        self._uploads: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._uploaded: LRUCache[Key, str] = LRUCache(_REMEMBERED)

    async def upsert(
        self,
        thread_id: str,
        element_id: str,
        fields: Item,
        file: File | None,
        *,
        stamp: str | None = None,
        asker: Asker | None = None,
    ) -> None:
        """Store an element, or change the one with this id. The file of an earlier upsert stays if none is given.

        Before a new file goes to the storage, a row that is not shown yet names it, so that it goes with its step and
        its thread whatever happens, and after two hours if it never arrived. Neither readers nor other writes wait
        for the file.

        Args:
            thread_id: Its thread.
            element_id: Its id, unique in the thread.
            fields: Its plain fields.
            file: Its content; without a storage, an element with one is not kept.
            stamp: When it was asked for; `None` for now.
            asker: Who asks. Nothing is written to another one's thread.

        Raises:
            InvalidIdError: An id cannot be part of a key.
            StorageError: The file could not be stored; the element is not shown then.

        Cost: 1 write unit per KB of the row; the upload, and 1 write unit before; see `Tombstones.check`.
        """
        key = element_key(thread_id, element_id)
        if self._is_gone(key, fields):
            return
        stamp = stamp or self._rows.stamps.next()
        own = {name: value for name, value in fields.items() if not is_own_attribute(name)}
        if file is not None and not (self._files.are_kept() and await self._store_file(key, own, file, stamp, asker)):
            return
        await self._hear_of_owner(thread_id, asker)
        await self._writer.write(key, ElementChange(own, stamp=stamp, order=stamp, asker=asker), self._apply)
        if file is not None and self._is_gone(key, own):  # while it waited
            await self._take_back(key, own.get(OBJECT_KEY))

    async def get(self, thread_id: str, element_id: str) -> ElementView | None:
        """Read an element, with a fresh URL.

        Returns:
            Its fields, or `None` if there is none.

        Raises:
            InvalidIdError: An id cannot be part of a key.

        Cost: 1 read unit per 4 KB.
        """
        key = element_key(thread_id, element_id)
        await self._writer.flush(key.pk)
        row = await self._rows.get(key)
        if row is None or is_announcement(row):
            return None
        (element,) = await self._files.with_urls([public_element(row)])
        return element

    async def delete(self, thread_id: str, element_id: str, *, asker: Asker | None = None) -> None:
        """Delete an element and its file. Later writes to it do nothing.

        Args:
            thread_id: Its thread.
            element_id: Its id.
            asker: Who asks. Nothing is deleted of another one's thread.

        Raises:
            InvalidIdError: An id cannot be part of a key.
            StorageError: The file could not be deleted. It is tried again with the next deletion, of the element or
                of its thread, and when the thread is read two hours later.

        Cost: 1 read unit and 1 write unit per KB; see `Tombstones.admits`.
        """
        change = ElementChange(deletes=True, asker=asker)
        await self._writer.write(element_key(thread_id, element_id), change, self._apply)

    async def delete_of_step(self, thread_id: str, step_id: str) -> None:
        """Delete the elements of a step with their files. Cost: a read of the thread's elements, and `delete`."""
        pk = thread_pk(thread_id)
        await self._writer.flush(pk)
        pages = self._rows.pages(pk, ELEMENT_SK_PREFIX, attributes=[FOR_ID], policy=self._rows.retry.write)
        async for rows in pages:
            for row in rows:
                if row.get(FOR_ID) == step_id:
                    await self.delete(thread_id, parse_element_sk(row[SK]))

    async def _apply(self, key: Key, change: ElementChange) -> bool:
        thread_id = parse_thread_pk(key.pk)
        if await self._tombstones.check(thread_id):  # its sweeps know which files may still arrive
            return False
        if not await self._tombstones.admits(thread_id, change.asker):
            return False
        if change.deletes:
            self._tombstones.mark_row(key)
            await self._remove(key, leaves_tombstone=True)
            return True
        return self._takes_room(key, change.assign) and await self._store(key, change)

    async def _store(self, key: Key, change: ElementChange) -> bool:
        try:
            await self._rows.update(key, change.update(), stamp=change.stamp)
        except ConditionFailedError:  # another server deleted the element
            self._tombstones.mark_row(key)
            await self._drop(change.assign.get(OBJECT_KEY))
            return False
        if await self._went_meanwhile(key, change.assign):
            await self._take_back(key, change.assign.get(OBJECT_KEY))
            return False
        return True

    async def _store_file(self, key: Key, own: Item, file: File, stamp: str, asker: Asker | None) -> bool:
        """Store a file after earlier ones of the same element, and note its key in the fields.

        Returns:
            Whether the element may be, and is still there.
        """
        async with self._files.kept(file), self._uploads.setdefault(key, asyncio.Lock()):
            await self._hear_of_owner(parse_thread_pk(key.pk), asker)
            if await self._went_meanwhile(key, own) or not await self._may_have_file(key, own, asker):
                return False
            object_key = await self._upload(key, own, file, stamp)
            if await self._went_meanwhile(key, own):
                await self._take_back(key, object_key)
                return False
        own |= {OBJECT_KEY: object_key} if object_key else {}
        return True

    async def _upload(self, key: Key, fields: Item, file: File, stamp: str) -> str | None:
        """Store a file, unless one is there that was asked for later."""
        if self._uploaded.get(key, "") > stamp:
            return None
        row = await self._announce(key, fields, file)
        if BURIED_AT in row:
            return None
        try:
            object_key = await self._files.store(file)
        except StorageError as exc:
            logger.error("Not stored: %s %s: %s", key.pk, key.sk, exc)
            exc.is_logged = True
            self._give_room_back(key, fields)
            if await self._went_meanwhile(key, fields):
                with suppress(StorageError):  # it may be that only the answer was lost
                    await self._drop(file.object_key)
            raise  # its announcement stays: the file may have arrived, or another server's under the same key
        self._uploaded[key] = stamp
        return object_key

    async def _announce(self, key: Key, fields: Item, file: File) -> Item:
        """Note that a file is on its way, where no file is yet; else return the row that is there."""
        expected = {OBJECT_KEY: file.object_key, FOR_ID: fields.get(FOR_ID), ANNOUNCED_AT: int(time.time())}
        try:
            await self._rows.update(key, Update(default=expected), condition=missing(OBJECT_KEY))
        except ConditionFailedError as exc:
            return exc.item
        return {}

    async def _hear_of_owner(self, thread_id: str, asker: Asker | None) -> None:
        """Wait for what is being written to a thread's row, where it takes an owner: that may be it."""
        if asker is not None and not asker.may_claim:
            await self._writer.settle(thread_key(thread_id))

    async def _may_have_file(self, key: Key, own: Item, asker: Asker | None) -> bool:
        return await self._tombstones.admits(parse_thread_pk(key.pk), asker) and self._takes_room(key, own)

    def _takes_room(self, key: Key, fields: Item) -> bool:
        """Take room among the elements of a message; return whether there was some, as far as this process knows."""
        step = Key(key.pk, str(fields.get(FOR_ID)))
        ids = self._ids.get(step, frozenset()) | {key.sk}
        if len(ids) > ELEMENTS_PER_MESSAGE:
            logger.warning("Not stored: %s %s: a message has %d elements", key.pk, key.sk, len(ids) - 1)
            return False
        self._ids[step] = ids
        return True

    def _give_room_back(self, key: Key, row: Item) -> None:
        step = Key(key.pk, str(row.get(FOR_ID)))
        if left := self._ids.pop(step, frozenset()) - {key.sk}:
            self._ids[step] = left

    def _is_gone(self, key: Key, fields: Item) -> bool:
        step_id = fields.get(FOR_ID)
        for_step = step_key(parse_thread_pk(key.pk), step_id) if step_id else key
        return self._tombstones.covers(key) or self._tombstones.covers(for_step)

    async def _went_meanwhile(self, key: Key, fields: Item) -> bool:
        """Return whether the element, its step or its thread was deleted: an upload may take long."""
        return self._is_gone(key, fields) or await self._tombstones.check(parse_thread_pk(key.pk))

    async def _take_back(self, key: Key, object_key: str | None) -> None:
        await self._drop(object_key)
        is_swept = self._tombstones.knows(parse_thread_pk(key.pk))
        await self._remove(key, leaves_tombstone=not is_swept)

    async def _drop(self, object_key: Any, *, may_be_missing: bool = True) -> None:
        if isinstance(object_key, str) and object_key:
            await self._files.delete(object_key, may_be_missing=may_be_missing)

    async def _remove(self, key: Key, *, leaves_tombstone: bool) -> None:
        """Delete an element now, so that doing it again finishes it: a tombstone keeps the key of its file."""
        wanted = [OBJECT_KEY, FOR_ID, STAMP, ANNOUNCED_AT, TYPE]
        row = await self._rows.get(key, attributes=wanted, policy=self._rows.retry.write) or {}
        self._give_room_back(key, row)
        if leaves_tombstone:  # nobody sees it from now on, though the storage may be away
            row = await self._rows.bury(key, row)
            await self._drop(row.get(OBJECT_KEY), may_be_missing=may_lack_its_file(row))
            return
        await self._drop(row.get(OBJECT_KEY), may_be_missing=may_lack_its_file(row))
        old = await self._rows.delete(key) or {}
        if any(old.get(name) != row.get(name) for name in (OBJECT_KEY, STAMP)):  # its file arrived meanwhile
            await self._drop(old.get(OBJECT_KEY))
