"""What every storage client promises, and what all of them share.

Object keys are kept as they are given; what a key is called inside a bucket is the business of the client. A
read URL is signed each time it is asked for and lives for `STORAGE_EXPIRY_TIME` seconds. Nothing in this
module knows an SDK.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import tempfile
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import IO, Any, ParamSpec, TypedDict, TypeVar
from urllib.parse import quote

from chainlit_dynamodb.errors import ConfigurationError, StorageError
from chainlit_dynamodb.storage.cors import CorsCheck

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

Data = bytes | str | Path | AsyncIterator[bytes]

DEFAULT_URL_LIFETIME_SECONDS = 3600
DEFAULT_MIME = "application/octet-stream"
SPOOL_BYTES = 8 * 1024 * 1024
CLOSE_WAIT_SECONDS = 10.0
MAX_FILE_NAME = 200
MAX_FILE_EXTENSION = 20

# RFC 5987 attr-char without the letters, digits and `-._~` that quote() leaves alone anyway.
_ATTR_CHARS = "!#$&+^`|"
_UNSAFE_IN_QUOTED_STRING = re.compile(r"[^ -~]|[\"\\%/]")
_PATH_SEPARATORS = re.compile(r"[/\\]")
# Control characters, line separators, lone surrogates, and the marks that show `exe.pdf` as `fdp.exe`.
_UNFIT_FOR_NAMES = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_DOT_SEGMENT = re.compile(r"(^|/)(\.{1,2}~*)(?=/|$)")


class UploadedFile(TypedDict):
    """What `upload_file` answers.

    Attributes:
        object_key: The key as it was given, to be stored and handed to the other methods.
        url: A read URL signed just now; it expires and is not to be stored.
    """

    object_key: str
    url: str


class StorageClient(ABC):
    """One place where attachments are kept.

    Every method is safe to call side by side and never blocks the event loop. Every failure is a
    `StorageError` that names the place and the key, with the SDK's own error as its cause.
    """

    @abstractmethod
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
            StorageError: The file could not be stored.
        """

    @abstractmethod
    async def delete_file(self, object_key: str) -> bool:
        """Delete a file.

        Args:
            object_key: The key it was stored under.

        Returns:
            True: the file is gone, also when it was gone before.

        Raises:
            StorageError: The file may still be there.
        """

    @abstractmethod
    async def get_read_url(self, object_key: str) -> str:
        """Sign a URL that reads a file over plain HTTP, for a limited time, without other credentials.

        Args:
            object_key: The key it was stored under. Whether it exists is not checked.

        Returns:
            The URL.

        Raises:
            StorageError: There are no credentials to sign with, or the key is impossible.
        """

    @abstractmethod
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

    @abstractmethod
    async def close(self) -> None:
        """Give back what this client holds. Never raises; calling it again does nothing."""


class BoundedThreads:
    """Runs a blocking SDK off the event loop, a few calls at a time. Threads start at the first call."""

    def __init__(self, owner: str, size: int) -> None:
        """Prepare the pool.

        Args:
            owner: Whose threads these are, for thread names and messages.
            size: How many calls run at the same time; more of them wait.
        """
        self._owner = owner
        self._pool = ThreadPoolExecutor(max_workers=size, thread_name_prefix=owner)
        self._running: set[Future[Any]] = set()
        self.closed = False

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a blocking function in a thread.

        Args:
            function: What to call.
            args: Its positional arguments.
            kwargs: Its keyword arguments.

        Returns:
            What the function returned; what it raised is raised here.

        Raises:
            StorageError: The pool was closed.
        """
        if self.closed:
            raise StorageError(f"{self._owner} is closed")
        future = self._pool.submit(function, *args, **kwargs)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return await asyncio.wrap_future(future)

    async def close(self) -> None:
        """Refuse new calls, wait a while for the running ones, and let the threads go."""
        self.closed = True
        waiting = [asyncio.wrap_future(future) for future in list(self._running)]
        try:
            await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), CLOSE_WAIT_SECONDS)
        except asyncio.TimeoutError:
            logger.warning("%s: %d calls still ran when it was closed", self._owner, len(self._running))
        self._pool.shutdown(wait=False, cancel_futures=True)


async def open_data(data: Data, threads: BoundedThreads) -> IO[bytes]:
    """Turn any accepted kind of data into a seekable file.

    Args:
        data: What was handed to `upload_file`.
        threads: Where files are opened and written.

    Returns:
        A file at its start, for the caller to close.

    Raises:
        OSError: The path cannot be opened.
    """
    if isinstance(data, bytes):
        return BytesIO(data)
    if isinstance(data, str):
        return BytesIO(data.encode("utf-8", "replace"))
    if isinstance(data, Path):
        return await threads.run(data.open, "rb")
    return await _spool(data, threads)


async def _spool(chunks: AsyncIterator[bytes], threads: BoundedThreads) -> IO[bytes]:
    spool = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - the caller closes it
    try:
        async for chunk in chunks:
            await threads.run(spool.write, chunk)
    except BaseException:  # also cancellation: the file is closed; raised again
        spool.close()
        raise
    spool.seek(0)
    return spool


def url_lifetime(seconds: int | None) -> int:
    """Decide how long read URLs live.

    Args:
        seconds: The constructor argument, which wins over the environment.

    Returns:
        The argument, else `STORAGE_EXPIRY_TIME` from the environment, else an hour.

    Raises:
        ConfigurationError: The value is not a whole number above zero.
    """
    source = "STORAGE_EXPIRY_TIME" if seconds is None else "url_lifetime_seconds"
    value = os.environ.get("STORAGE_EXPIRY_TIME", DEFAULT_URL_LIFETIME_SECONDS) if seconds is None else seconds
    try:
        lifetime = int(value)
    except ValueError:
        lifetime = 0
    if lifetime <= 0:
        raise ConfigurationError(f"{source} must be a whole number of seconds above 0, not {value!r}")
    return lifetime


def checked_key(object_key: str) -> bytes:
    """Give an object key its bytes.

    Args:
        object_key: The key to check.

    Returns:
        The key in UTF-8.

    Raises:
        StorageError: The key is empty or is not valid Unicode.
    """
    if not object_key:
        raise StorageError("The object key is empty")
    try:
        return object_key.encode()
    except UnicodeEncodeError as exc:
        raise StorageError(f"The object key {object_key!r} is not valid Unicode") from exc


def bucket_name_of(object_key: str, prefix: str, max_bytes: int = 1024) -> str:
    """Name an object inside a bucket so that its URL survives a browser.

    A browser resolves the path segments `.` and `..` before it sends a URL, percent-encoded ones too, and
    breaks the signature. Such a segment gets a `~` behind it, and so does one that already looks like the
    result: no two keys share a name.

    Args:
        object_key: The key to name.
        prefix: The folder inside the bucket, `""` for none.
        max_bytes: What the storage allows.

    Returns:
        The name.

    Raises:
        StorageError: The key is empty, not valid Unicode, or too long.
    """
    checked_key(object_key)
    name = _DOT_SEGMENT.sub(r"\1\2~", f"{prefix}/{object_key}" if prefix else object_key)
    if len(name.encode()) > max_bytes:
        raise StorageError(f"The object key {object_key[:80]!r}… is longer than {max_bytes} bytes")
    return name


def hashed_if(unfit: re.Pattern[str], object_key: str) -> str:
    """Replace a key that a cloud cannot hold as a name by its hash.

    Args:
        unfit: What the cloud cannot hold; it must also match what begins with `~sha256/`, so that no two keys share
            a name.
        object_key: The key.

    Returns:
        The key itself, or `~sha256/` and its hash.

    Raises:
        StorageError: The key is not valid Unicode.
    """
    if not unfit.search(object_key):
        return object_key
    return f"~sha256/{hashlib.sha256(checked_key(object_key)).hexdigest()}"


def checked_mime(mime: str | None) -> str:
    """Make sure that a media type fits into a header; browsers supply them unchecked.

    Args:
        mime: The type as it came.

    Returns:
        The type unchanged, or `application/octet-stream` when it cannot be sent.
    """
    return mime if mime and _HEADER_VALUE.fullmatch(mime) else DEFAULT_MIME


def checked_disposition(header: str | None) -> str | None:
    """Make sure that a given `Content-Disposition` can be sent as a header.

    Args:
        header: The value as it came.

    Returns:
        The value unchanged.

    Raises:
        StorageError: It holds line breaks or characters outside ASCII.
    """
    if header is not None and not _HEADER_VALUE.fullmatch(header):
        raise StorageError(f"content_disposition {header!r} is no header value; content_disposition() makes one")
    return header


def content_disposition(file_name: str, *, inline: bool = False) -> str:
    """Make a `Content-Disposition` header (RFC 6266) from any file name.

    Args:
        file_name: The name as a user gave it; quotes, line breaks, slashes, any script.
        inline: Whether the browser shows the file instead of saving it.

    Returns:
        The header in pure ASCII, with a plain fallback name and the exact name in `filename*`.
    """
    name = _presentable(file_name)
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    plain = _UNSAFE_IN_QUOTED_STRING.sub("_", plain)
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"


def _presentable(file_name: str) -> str:
    name = _UNFIT_FOR_NAMES.sub("", _PATH_SEPARATORS.sub("_", file_name)).strip()
    if len(name) > MAX_FILE_NAME:
        extension = Path(name).suffix[:MAX_FILE_EXTENSION]
        name = name[: MAX_FILE_NAME - len(extension)] + extension
    return name or "file"
