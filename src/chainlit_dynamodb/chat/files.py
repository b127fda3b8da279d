"""The files of elements: stored, deleted, and given URLs that open them for a while."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Final, Protocol, TypeVar

from chainlit_dynamodb.chat.changes import File
from chainlit_dynamodb.chat.presentation import ElementView
from chainlit_dynamodb.errors import StorageError

logger = logging.getLogger("chainlit.DynamoDB")

T = TypeVar("T")
R = TypeVar("R")

CONCURRENT_URLS: Final = 16
CONCURRENT_DELETIONS: Final = 8


class Attachments(Protocol):
    """Where files are kept."""

    async def upload(self, file: File) -> str:
        """Store a file and return the key it really has. Raises StorageError."""

    async def delete(self, object_key: str, *, may_be_missing: bool = False) -> None:
        """Delete a file; not all storages can tell one that is gone from a failure. Raises StorageError."""

    async def url(self, object_key: str) -> str:
        """Return a URL that opens the file for a while. Raises StorageError."""


class KeepingAttachments(Attachments, Protocol):
    """Where files are kept that may have to wait."""

    def kept(self, file: File) -> AbstractAsyncContextManager[None]:
        """Keep a file that waits, as long as a block lasts."""


class Files:
    """Keeps files in a storage, if there is one."""

    def __init__(self, attachments: KeepingAttachments | None) -> None:
        """Take the storage; without one, nothing is uploaded, deleted or signed."""
        self._attachments = attachments
        self._warned = False

    def are_kept(self) -> bool:
        """Return whether there is a storage; the first time there is none, say so."""
        if self._attachments is None and not self._warned:
            self._warned = True
            logger.warning("Files of elements are not kept: pass storage_provider= to keep them")
        return self._attachments is not None

    def kept(self, file: File) -> AbstractAsyncContextManager[None]:
        """Keep a file for a block in which it waits: Chainlit may delete it with its session."""
        return nullcontext() if self._attachments is None else self._attachments.kept(file)

    async def store(self, file: File) -> str | None:
        """Store a file.

        Returns:
            The key it has in the storage; `None` if there is no storage.

        Raises:
            StorageError: It could not be stored.
        """
        if self._attachments is None:
            return None
        return await self._attachments.upload(file)

    async def delete(self, object_key: str, *, may_be_missing: bool = False) -> None:
        """Delete a file.

        Args:
            object_key: Its key.
            may_be_missing: It may have been deleted already, or may never have arrived.

        Raises:
            StorageError: It may still be there.
        """
        if self._attachments is None:
            logger.warning("No storage_provider is configured: a file stays in the storage: %s", object_key)
            return
        await self._attachments.delete(object_key, may_be_missing=may_be_missing)

    async def delete_all(self, object_keys: Iterable[str], *, may_be_missing: bool = False) -> None:
        """Delete files, a few at a time, as `delete` does.

        Raises:
            StorageError: One could not be deleted; the others have been tried.
        """
        delete = partial(self.delete, may_be_missing=may_be_missing)
        results = await asyncio.gather(
            *_a_few_at_a_time(CONCURRENT_DELETIONS, delete, object_keys), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def with_urls(self, elements: Sequence[ElementView]) -> list[ElementView]:
        """Return elements with fresh URLs, signed side by side. One that cannot be signed has none. Cost: none."""
        return await asyncio.gather(*_a_few_at_a_time(CONCURRENT_URLS, self._with_url, elements))

    async def _with_url(self, element: ElementView) -> ElementView:
        object_key = element.get("objectKey")
        if self._attachments is None or not isinstance(object_key, str) or not object_key:
            return element
        try:
            return {**element, "url": await self._attachments.url(object_key)}
        except StorageError as exc:
            logger.warning("Element %s has no URL: %s", element.get("id"), exc)
            return {**element, "url": None}


def _a_few_at_a_time(limit: int, function: Callable[[T], Awaitable[R]], items: Iterable[T]) -> Iterator[Awaitable[R]]:
    slots = asyncio.Semaphore(limit)

    async def call(item: T) -> R:
        async with slots:
            return await function(item)

    return map(call, items)
