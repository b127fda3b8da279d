"""Elements: attachments and widgets, one row each in their thread's partition, their files in the storage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

from chainlit_dynamodb.chat.large_values import LargeValues
from chainlit_dynamodb.chat.schema import (
    ELEMENT_SK_PREFIX,
    PK,
    SK,
    Key,
    element_key,
    is_own_attribute,
    parse_element_sk,
    step_key,
    thread_pk,
)
from chainlit_dynamodb.chat.tombstones import Tombstones
from chainlit_dynamodb.chat.writer import Writer, weight_bytes
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.expressions import Update, all_of, begins_with, equals
from chainlit_dynamodb.dynamodb.table import Query, Table, chunks
from chainlit_dynamodb.errors import StorageError

logger = logging.getLogger("chainlit.DynamoDB")

OBJECT_KEY: Final = "objectKey"
URL: Final = "url"
FOR_ID: Final = "forId"
CONCURRENT_URLS: Final = 16
CONCURRENT_DELETIONS: Final = 8

Content = bytes | str | Path


class Attachments(Protocol):
    """Where files are kept."""

    async def upload(self, object_key: str, content: Content, mime: str, name: str) -> str:
        """Store a file and give the key it really has. Raises StorageError."""

    async def delete(self, object_key: str) -> None:
        """Delete a file; one that is gone does no harm. Raises StorageError."""

    async def url(self, object_key: str) -> str:
        """Give a URL that opens the file for a while. Raises StorageError."""


@dataclass(frozen=True)
class File:
    """The content of an element, and where it shall go."""

    object_key: str
    content: Content
    mime: str
    name: str

    @property
    def size_bytes(self) -> int:
        """Memory it holds; nothing for a path."""
        return 0 if isinstance(self.content, Path) else len(self.content)


@dataclass(frozen=True)
class _ElementUpsert:
    elements: Elements
    thread_id: str
    key: Key
    fields: Item
    file: File | None

    @cached_property
    def size_bytes(self) -> int:
        return weight_bytes(self.fields) + (self.file.size_bytes if self.file else 0)

    def then(self, later: _ElementUpsert | _ElementDeletion) -> _ElementUpsert | _ElementDeletion:
        if isinstance(later, _ElementDeletion):
            return later
        fields = {**self.fields, **later.fields}
        return _ElementUpsert(self.elements, self.thread_id, self.key, fields, later.file or self.file)

    async def apply(self) -> None:
        await self.elements.store(self.thread_id, self.key, self.fields, self.file)


@dataclass(frozen=True)
class _ElementDeletion:
    elements: Elements
    key: Key
    size_bytes: int = 64

    def then(self, later: object) -> _ElementDeletion:  # noqa: ARG002 - a deletion wins
        return self

    async def apply(self) -> None:
        await self.elements.remove(self.key)


class Elements:
    """Writes elements and signs their URLs."""

    def __init__(
        self,
        table: Table,
        values: LargeValues,
        writer: Writer,
        tombstones: Tombstones,
        attachments: Attachments | None,
    ) -> None:
        """Take the parts an element touches; without attachments only elements without content are kept."""
        self._table = table
        self._values = values
        self._writer = writer
        self._tombstones = tombstones
        self._attachments = attachments

    async def upsert(self, thread_id: str, element_id: str, fields: Item, file: File | None) -> None:
        """Store an element, or change the one with this id. The file of an earlier upsert stays if none is given.

        Args:
            thread_id: Its thread.
            element_id: Its id, unique in the thread.
            fields: Its plain fields.
            file: Its content.

        Raises:
            InvalidIdError: An id cannot be part of a key.
            StorageError: The file could not be stored; nothing is written then.

        Cost: 1 write unit per KB of the row; the upload; see `Tombstones.check`.
        """
        key = element_key(thread_id, element_id)
        step_id = fields.get(FOR_ID)
        if self._tombstones.covers(key) or (step_id and self._tombstones.covers(step_key(thread_id, step_id))):
            return
        own = {name: value for name, value in fields.items() if not is_own_attribute(name)}
        await self._writer.write(key, _ElementUpsert(self, thread_id, key, own, file))

    async def get(self, thread_id: str, element_id: str) -> dict[str, Any] | None:
        """Read an element, with a fresh URL.

        Returns:
            Its fields, or `None` if there is none.

        Raises:
            InvalidIdError: An id cannot be part of a key.

        Cost: 1 read unit per 4 KB.
        """
        key = element_key(thread_id, element_id)
        await self._writer.flush(key.pk)
        row = await self._table.get(key.attributes())
        if row is None:
            return None
        for complete in await self._values.complete([row]):
            return await self._with_url(public_element(complete))
        return None

    async def delete(self, thread_id: str, element_id: str) -> None:
        """Delete an element and its file. Later writes to it do nothing.

        Raises:
            StorageError: The file could not be deleted; the row stays, so that it can be tried again.

        Cost: 1 read unit and 1 write unit per KB.
        """
        key = element_key(thread_id, element_id)
        self._tombstones.mark_row(key)
        await self._writer.write(key, _ElementDeletion(self, key))

    async def delete_of_step(self, thread_id: str, step_id: str) -> None:
        """Delete the elements of a step with their files. Cost: a read of the thread's elements, and `delete`."""
        await self._writer.flush(thread_pk(thread_id))
        in_thread = all_of(equals(PK, thread_pk(thread_id)), begins_with(SK, ELEMENT_SK_PREFIX))
        query = Query(in_thread, attributes=[SK, FOR_ID], consistent=True, patient=True)
        async for rows in self._table.query_pages(query):
            for row in rows:
                if row.get(FOR_ID) == step_id:
                    await self.delete(thread_id, parse_element_sk(row[SK]))

    async def with_urls(self, elements: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Give elements with fresh URLs, signed side by side. One that cannot be signed has none. Cost: none."""
        slots = asyncio.Semaphore(CONCURRENT_URLS)

        async def sign(element: dict[str, Any]) -> dict[str, Any]:
            async with slots:
                return await self._with_url(element)

        return list(await asyncio.gather(*map(sign, elements)))

    async def delete_files(self, object_keys: Iterable[str]) -> None:
        """Delete files, a few at a time.

        Raises:
            StorageError: One could not be deleted; the others have been tried.
        """
        failures: list[BaseException] = []
        for some in chunks(object_keys, CONCURRENT_DELETIONS):
            results = await asyncio.gather(*map(self._delete_file, some), return_exceptions=True)
            failures += [result for result in results if isinstance(result, BaseException)]
        if failures:
            raise failures[0]

    async def store(self, thread_id: str, key: Key, fields: Item, file: File | None) -> None:
        """Write an element now, unless its thread is deleted. Called by the write path."""
        if await self._tombstones.check(thread_id):
            return
        if file is not None and self._attachments is not None:
            object_key = await self._attachments.upload(file.object_key, file.content, file.mime, file.name)
            fields = {**fields, OBJECT_KEY: object_key}
        await self._values.update(key, Update(assign=fields))
        if self._tombstones.knows(thread_id):  # it was deleted meanwhile
            await self.remove(key)

    async def remove(self, key: Key) -> None:
        """Delete an element now, its file first. Called by the write path."""
        row = await self._table.get(key.attributes(), attributes=[OBJECT_KEY], patient=True)
        object_key = row.get(OBJECT_KEY) if row else None
        if isinstance(object_key, str):
            await self._delete_file(object_key)
        await self._table.delete(key.attributes())
        await self._values.delete_parts(key)

    async def _delete_file(self, object_key: str) -> None:
        if self._attachments is None:
            logger.warning("No storage_provider is configured: a file stays in the storage: %s", object_key)
            return
        await self._attachments.delete(object_key)

    async def _with_url(self, element: dict[str, Any]) -> dict[str, Any]:
        object_key = element.get(OBJECT_KEY)
        if self._attachments is None or not isinstance(object_key, str) or not object_key:
            return element
        try:
            return {**element, URL: await self._attachments.url(object_key)}
        except StorageError as exc:
            logger.warning("Element %s has no URL: %s", element.get("id"), exc)
            return {**element, URL: None}


def public_element(row: Item) -> dict[str, Any]:
    """Give the fields of an element's row that Chainlit knows."""
    element = {name: value for name, value in row.items() if not is_own_attribute(name)}
    element["id"] = parse_element_sk(row[SK])
    # The key of a session's file means nothing after the session.
    element["chainlitKey"] = None
    return element
