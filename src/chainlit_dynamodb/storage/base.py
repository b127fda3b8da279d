"""What every storage client promises, and how it keeps it: the public methods are written once, here.

A client says how a key is called in its bucket, and how one file is stored, deleted and signed for. Object keys are
kept as they are given. A read URL is handed out for half its life. Nothing in this module knows an SDK.
"""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final, TypedDict

from chainlit_dynamodb.errors import ObjectExistsError, StorageError, TransientStorageError
from chainlit_dynamodb.storage.calls import Calls
from chainlit_dynamodb.storage.cors import PROBE_KEY, CorsCheck, checked_origin
from chainlit_dynamodb.storage.cors import check_cors as ask_about_cors
from chainlit_dynamodb.storage.data import Data, open_data
from chainlit_dynamodb.storage.headers import DEFAULT_MIME, FileHeaders, checked_disposition, checked_mime
from chainlit_dynamodb.storage.signed_url import KeptURLs, SignedURL

logger = logging.getLogger("chainlit.DynamoDB.storage")

CONCURRENCY: Final = 8
_BUSY_STATUSES: Final = (408, 429)
_QUERY: Final = re.compile(r"\?[^\s?'\"<>)]*=[^\s'\"<>)]*")
"""Of a URL: who has that of an unfinished upload, or a signature, needs nothing else."""


class UploadedFile(TypedDict):
    """What `upload_file` answers.

    Attributes:
        object_key: The key as it was given, to be stored and handed to the other methods.
        url: A read URL signed right before the file was stored; it expires and is not to be stored.
    """

    object_key: str
    url: str


class StorageClient(ABC):
    """One place where attachments are kept.

    Every method is safe to call side by side and never blocks the event loop. Every failure is a
    `StorageError` that names the place and the key, with the SDK's own error as its cause unless that quotes a whole
    URL; a `TransientStorageError` if the same call may succeed a moment later.
    """

    def __init__(self, name: str, place: str, *, threads: int = CONCURRENCY) -> None:
        """Name the place. Nothing is opened before the first call.

        Args:
            name: What tells this client from others of its class, for messages: the bucket.
            place: Where the files are, for messages: `s3://bucket`.
            threads: How many blocking calls run at the same time.
        """
        self._place = place
        self._calls = Calls(f"{type(self).__name__}({name})", threads)
        self._urls = KeptURLs()

    async def upload_file(
        self,
        object_key: str,
        data: Data,
        mime: str = DEFAULT_MIME,
        overwrite: bool = True,
        content_disposition: str | None = None,
    ) -> UploadedFile:
        """Store a file. It becomes visible whole, or not at all.

        Args:
            object_key: Any non-empty text; slashes, spaces and `..` have no meaning.
            data: The content; a `str` is text, a `Path` is a file to stream. Streams are never held in memory
                whole.
            mime: Sent back unchanged as the `Content-Type` when the file is read.
            overwrite: Whether a file under the same key is replaced.
            content_disposition: Sent back unchanged as that header; `content_disposition()` makes one.

        Returns:
            The key and a read URL.

        Raises:
            ObjectExistsError: The key is taken and `overwrite` is false.
            StorageError: The file could not be stored, or no URL be signed for it: then it was not stored.
        """
        headers = FileHeaders(checked_mime(mime), checked_disposition(content_disposition))
        name = self._name(object_key)
        # When the task is cancelled, closing the file also stops the thread that still reads it.
        with (
            self._typed_errors("upload", object_key),
            await open_data(data, self._calls) as file,
            self._calls.running(),
        ):
            # Signed first: a file that nobody can be given a URL for is not left behind.
            signed = await self._sign(name)
            try:
                await self._upload(name, file, headers, overwrite)
            finally:
                self._urls.forget(name)
        return {"object_key": object_key, "url": signed.url}

    async def delete_file(self, object_key: str) -> bool:
        """Delete a file.

        Args:
            object_key: The key it was stored under.

        Returns:
            `True`: the file is gone, also when it was gone before.

        Raises:
            StorageError: The file may still be there.
        """
        name = self._name(object_key)
        with self._typed_errors("delete", object_key), self._calls.running():
            self._urls.forget(name)
            await self._delete(name)
        return True

    async def get_read_url(self, object_key: str) -> str:
        """Sign a URL that reads a file over plain HTTP, for a limited time, without other credentials.

        Args:
            object_key: The key it was stored under. Whether it exists is not checked.

        Returns:
            The URL; the same one for half its life, unless the file is stored anew or deleted by this client.

        Raises:
            StorageError: There are no credentials to sign with, or the key is impossible.
        """
        name = self._name(object_key)
        with self._typed_errors("sign a URL", object_key), self._calls.running():
            return self._urls.get(name) or self._urls.keep(name, await self._sign(name))

    async def check_cors(self, origin: str) -> CorsCheck:
        """Ask the storage what a browser would ask it before a page reads a file with `fetch()`.

        Args:
            origin: Where the chat is served: `https://chat.example.com`.

        Returns:
            Whether pages of that origin can read files, what they miss, and the rule to add.

        Raises:
            ConfigurationError: The origin is none.
            StorageError: The storage could not be asked.
        """
        checked = checked_origin(origin)
        return await ask_about_cors(await self.get_read_url(PROBE_KEY), checked, self._cors_rule(checked))

    async def close(self) -> None:
        """Let go of what this client holds. Never raises; calling it again does nothing."""
        if self._calls.closed:
            return
        try:
            await self._calls.close()
        finally:  # also if whoever closes this has no time for what still runs
            await self._let_go()

    async def _let_go(self) -> None:
        try:
            await self._close()
        except Exception as exc:  # noqa: BLE001 - closing never raises
            logger.warning("%s could not be closed: %s", type(self).__name__, exc)

    @abstractmethod
    def _name(self, object_key: str) -> str:
        """Name the object of a key; no two keys share a name.

        Raises:
            StorageError: The key is impossible; `checked_key` and `object_name` see to that.
        """

    @abstractmethod
    async def _upload(self, name: str, file: IO[bytes], headers: FileHeaders, overwrite: bool) -> None:
        """Store a file from its start; what blocks runs in `self._calls.in_thread`."""

    @abstractmethod
    async def _delete(self, name: str) -> None:
        """Delete an object, or find it gone."""

    @abstractmethod
    async def _sign(self, name: str) -> SignedURL:
        """Return a fresh read URL of an object, whether it exists or not; what blocks runs in `in_spare_thread`."""

    async def _close(self) -> None:  # noqa: B027 - not everyone opens something
        """Close what this client opened; no call is running any more."""

    def _cors_rule(self, origin: str) -> str:  # noqa: ARG002 - for those who have one
        """Return the rule that lets pages of an origin read files, ready to paste."""
        return ""

    def _is_taken(self, error: Exception) -> bool:
        """Return whether an error means that an upload with `overwrite=False` found its key taken."""
        return isinstance(error, FileExistsError)

    def _is_transient(self, error: Exception) -> bool:
        """Return whether the same call may succeed a moment later: the storage is busy or cannot be reached."""
        return isinstance(error, ConnectionError | TimeoutError)

    def _reason(self, error: Exception) -> str | None:
        """Say in words what an error of the storage means, without a secret; `None` for a mistake in the code."""
        return str(error) if isinstance(error, OSError | ValueError) else None

    @contextmanager
    def _typed_errors(self, action: str, object_key: str) -> Iterator[None]:
        where = f"{self._place}, key {object_key!r}: could not {action}"
        try:
            yield
        except StorageError:
            raise
        except Exception as exc:  # each SDK has errors of its own; `_reason` sorts them, a bug is raised again
            if self._is_taken(exc):
                raise ObjectExistsError(f"{where}: the key is taken") from exc
            if (reason := self._reason(exc)) is None:
                raise
            kind = TransientStorageError if self._is_transient(exc) else StorageError
            # A traceback would quote the error itself.
            raise kind(f"{where}: {_QUERY.sub('?…', reason)}") from (None if _quotes_a_query(exc) else exc)


def _quotes_a_query(error: BaseException | None) -> bool:
    while error is not None:
        if _QUERY.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def is_busy(status: int | None) -> bool:
    """Return whether an HTTP status says that the same request may succeed a moment later."""
    return status is not None and (status >= 500 or status in _BUSY_STATUSES)
