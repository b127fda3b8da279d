"""Attachments whose storage may be away for minutes: files are stored and deleted when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeVar

from chainlit_dynamodb.chat.changes import File
from chainlit_dynamodb.chat.files import Attachments
from chainlit_dynamodb.dynamodb.retry import Retries, RetryPolicy
from chainlit_dynamodb.errors import StorageError, TransientStorageError
from chainlit_dynamodb.waiting_room import WaitingRoom

CONCURRENCY: Final = 4
CONCURRENT_DELETIONS: Final = 3
"""Together less than a storage client's threads, so that URLs are signed while the storage holds all of these up."""
TRY_SECONDS: Final = 600.0
"""A storage that says nothing for so long, however large the file, is away."""

T = TypeVar("T")


class PatientAttachments:
    """Tries a storage for as long as it is worth it.

    A few files at a time are stored or deleted. What has to wait, for its turn or for the storage, waits on disk:
    there it takes no memory, and Chainlit may delete the original with the session.
    """

    def __init__(self, attachments: Attachments, policy: RetryPolicy) -> None:
        """Open nothing.

        Args:
            attachments: Store and delete a file once.
            policy: How long that is tried.
        """
        self._attachments = attachments
        self._policy = policy
        self._retries = Retries("files", service="The storage", transient=TransientStorageError)
        self._uploads, self._deletions = _Slots(CONCURRENCY), _Slots(CONCURRENT_DELETIONS)
        self._room = WaitingRoom()
        self._life = 1  # from opening to closing; what began in an earlier one gives up
        self._is_closed = False

    def kept(self, file: File) -> AbstractAsyncContextManager[None]:
        """Keep a file that waits, as long as a block lasts: `upload` belongs inside of one."""
        return self._room.kept(file)

    async def upload(self, file: File) -> str:
        """Store a file and return the key it really has.

        Raises:
            StorageError: It was refused for good.
            TransientStorageError: The storage was away for longer than it is tried.
        """
        self._is_closed = False
        return await self._retries.run(self._policy, self._upload_once, file, self._life)

    async def delete(self, object_key: str, *, may_be_missing: bool = False) -> None:
        """Delete a file.

        Args:
            object_key: Its key.
            may_be_missing: It may have been deleted already, or may never have arrived.

        Raises:
            StorageError: It may still be there.
        """
        life = 0 if self._is_closed else self._life
        await self._retries.run(self._policy, self._delete_once, object_key, may_be_missing, life)

    async def url(self, object_key: str) -> str:
        """Return a fresh URL that opens a file for a while. It is tried once: somebody waits.

        Raises:
            StorageError: It could not be signed.
        """
        return await self._attachments.url(object_key)

    async def close(self) -> None:
        """Give up what still waits, at its next try, and give the disk back its room. An upload opens it again."""
        self._life += 1
        self._is_closed = True
        await self._room.close()

    async def _upload_once(self, file: File, life: int) -> str:
        try:
            async with self._uploads.of_this_loop():
                return await _in_time(self._attachments.upload(file))
        except TransientStorageError as exc:
            failure = self._failure(exc, life)
        if life == self._life:
            await self._room.keep(file)
        raise failure

    async def _delete_once(self, object_key: str, may_be_missing: bool, life: int) -> None:
        try:
            async with self._deletions.of_this_loop():
                return await _in_time(self._attachments.delete(object_key, may_be_missing=may_be_missing))
        except TransientStorageError as exc:
            failure = self._failure(exc, life)
        raise failure

    def _failure(self, error: TransientStorageError, life: int) -> StorageError:
        """Say the same in a new error, for the frames of the old one hold the content; final once this is closed."""
        if life < self._life:
            return StorageError(f"Given up at close: {error}")
        return TransientStorageError(str(error))


class _Slots:
    """So many at a time. A semaphore belongs to one event loop, a layer may live in several, one after the other."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._semaphore: asyncio.Semaphore | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def of_this_loop(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if self._semaphore is None or self._loop is not loop:
            self._semaphore, self._loop = asyncio.Semaphore(self._count), loop
        return self._semaphore


async def _in_time(call: Awaitable[T]) -> T:
    try:
        return await asyncio.wait_for(call, TRY_SECONDS)
    except asyncio.TimeoutError as exc:
        raise TransientStorageError(f"no answer within {TRY_SECONDS:.0f} s") from exc
