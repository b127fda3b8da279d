"""Attachments whose storage may be away for minutes: files are stored and deleted when it is back."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from chainlit_dynamodb.chat.changes import Content, File
from chainlit_dynamodb.chat.files import Attachments
from chainlit_dynamodb.dynamodb.retry import Retries, RetryPolicy
from chainlit_dynamodb.errors import StorageError, TransientStorageError

CONCURRENCY: Final = 6
"""Less than a storage client's threads, so that URLs are signed while the storage holds all of these up."""


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
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._closed = False

    async def upload(self, file: File) -> str:
        """Store a file and return the key it really has.

        Raises:
            StorageError: It was refused for good.
            TransientStorageError: The storage was away for longer than it is tried.
        """
        copy = _Copy(file)
        try:
            if self._slots.locked() and not isinstance(file.content, Path):
                await copy.make(self._waiting_room())
            return await self._retries.run(self._policy, self._upload_once, file, copy)
        finally:
            await copy.delete()

    async def delete(self, object_key: str, *, may_be_missing: bool = False) -> None:
        """Delete a file.

        Args:
            object_key: Its key.
            may_be_missing: It may have been deleted already, or may never have arrived.

        Raises:
            StorageError: It may still be there.
        """
        await self._retries.run(self._policy, self._delete_once, object_key, may_be_missing)

    async def url(self, object_key: str) -> str:
        """Return a fresh URL that opens a file for a while. It is tried once: somebody waits.

        Raises:
            StorageError: It could not be signed.
        """
        return await self._attachments.url(object_key)

    async def close(self) -> None:
        """Give up what still waits, at its next try, and give the disk back its room."""
        self._closed = True
        folder, self._folder = self._folder, None
        if folder is not None:
            await asyncio.to_thread(folder.cleanup)

    async def _upload_once(self, file: File, copy: _Copy) -> str:
        try:
            async with self._slots:
                return await self._attachments.upload(file)
        except TransientStorageError as exc:
            failure = self._failure(exc)
        if not self._closed:
            await copy.make(self._waiting_room())
        raise failure

    async def _delete_once(self, object_key: str, may_be_missing: bool) -> None:
        try:
            async with self._slots:
                return await self._attachments.delete(object_key, may_be_missing=may_be_missing)
        except TransientStorageError as exc:
            failure = self._failure(exc)
        raise failure

    def _failure(self, error: TransientStorageError) -> StorageError:
        """Say the same in a new error, for the frames of the old one hold the content; final once this is closed."""
        return StorageError(f"Given up at close: {error}") if self._closed else TransientStorageError(str(error))

    def _waiting_room(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="chainlit-dynamodb-")
        return Path(self._folder.name)


class _Copy:
    """A copy on disk of a file that waits, if one is made."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._path: Path | None = None

    async def make(self, folder: Path) -> None:
        """Let the file have its content there from now on; without room on the disk, it stays where it is."""
        if self._path is None:
            with suppress(OSError):
                self._path = self._file.content = await asyncio.to_thread(_written, self._file.content, folder)

    async def delete(self) -> None:
        """Delete the copy."""
        if self._path is not None:
            await asyncio.to_thread(self._path.unlink, missing_ok=True)


def _written(content: Content, folder: Path) -> Path:
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as copy:
        path = Path(copy.name)
        try:
            if isinstance(content, Path):
                with content.open("rb") as original:
                    shutil.copyfileobj(original, copy)
            else:
                copy.write(content.encode("utf-8", "replace") if isinstance(content, str) else content)
            copy.flush()
        except BaseException:  # a full disk gets its room back; raised again
            path.unlink()
            raise
    return path
