"""Adapts any storage provider, ours or a third party's, to what `chat.files` needs."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from chainlit.data.storage_clients.base import BaseStorageClient

from chainlit_dynamodb.chat.changes import Content, File
from chainlit_dynamodb.errors import ChainlitDynamoDBError, StorageError
from chainlit_dynamodb.schema import ID, MIME, NAME, THREAD_ID
from chainlit_dynamodb.storage.base import StorageClient
from chainlit_dynamodb.storage.headers import DEFAULT_MIME, content_disposition, inert_mime
from chainlit_dynamodb.storage.provider import StorageProvider

_MAX_SEGMENT_CHARS: Final = 300

BaseStorageClient.register(StorageClient)  # type: ignore[type-abstract]  # what `register` is for


class StorageAttachments:
    """Files in a storage provider that follows Chainlit's BaseStorageClient.

    Clients of third parties may predate `content_disposition` and take bytes only, and fail in ways of their own.
    """

    def __init__(self, provider: StorageProvider) -> None:
        """Take the provider; `close` closes it, as Chainlit's own layers do."""
        self._provider = provider
        self._is_ours = isinstance(provider, StorageClient)
        self._takes_disposition = _takes_disposition(provider)

    async def upload(self, file: File) -> str:
        """Store a file and return the key it really has.

        Raises:
            StorageError: It could not be stored.
        """
        mime = inert_mime(file.mime, is_saved=self._takes_disposition)
        options: dict[str, Any] = {"object_key": file.object_key, "mime": mime, "overwrite": True}
        if self._takes_disposition:
            options["content_disposition"] = content_disposition(file.name)
        try:
            data = await _read(file.content) if isinstance(file.content, Path) and not self._is_ours else file.content
        except OSError as exc:
            raise StorageError(f"The file of an element could not be read: {type(exc).__name__}") from exc
        answer = await self._call("upload_file", data=data, **options)
        if not answer:
            raise StorageError(f"The storage provider did not store {file.object_key}")
        key = answer.get("object_key") if isinstance(answer, dict) else None
        return str(key or file.object_key)

    async def delete(self, object_key: str, *, may_be_missing: bool = False) -> None:
        """Delete a file.

        Args:
            object_key: Its key.
            may_be_missing: `False` is a good answer: Chainlit's own clients for Google Cloud and Azure give it for
                files that are not there.

        Raises:
            StorageError: It may still be there.
        """
        if await self._call("delete_file", object_key=object_key) is False and not may_be_missing:
            raise StorageError(f"The storage provider did not delete {object_key}")

    async def url(self, object_key: str) -> str:
        """Return a fresh URL that opens a file for a while.

        Raises:
            StorageError: It could not be signed.
        """
        return str(await self._call("get_read_url", object_key=object_key))

    async def close(self) -> None:
        """Close the provider.

        Raises:
            StorageError: The provider failed to close.
        """
        if hasattr(self._provider, "close"):
            await self._call("close")

    async def _call(self, method: str, **arguments: Any) -> Any:
        try:
            return await getattr(self._provider, method)(**arguments)
        except ChainlitDynamoDBError:
            raise
        except Exception as exc:  # a third party's client may raise anything
            where = arguments.get("object_key", "")
            raise StorageError(f"{type(self._provider).__name__}.{method} {where}: {type(exc).__name__}") from exc


def file_of(element: dict[str, Any], content: Content, user_id: str | None) -> File:
    """Return the file of an element, under a key of its user, thread and id, so that a user's files lie together."""
    parts = (user_id or "anonymous", element[THREAD_ID], element[ID])
    key = "/".join(_segment(part) for part in parts)
    return File(key, content, element.get(MIME) or DEFAULT_MIME, element.get(NAME) or "file")


def _segment(text: str) -> str:
    """Return a text as a part of a key; no two texts have the same one, and none is a step up in a path."""
    escaped = text.replace(".", "%2E") if text in (".", "..") else quote(text, safe="-_.~@")
    if len(escaped) <= _MAX_SEGMENT_CHARS:
        return escaped
    digest = f"={hashlib.sha256(text.encode()).hexdigest()}"  # nothing that is escaped has an equals sign
    return escaped[: _MAX_SEGMENT_CHARS - len(digest)] + digest


def _takes_disposition(provider: StorageProvider) -> bool:
    parameters = inspect.signature(provider.upload_file).parameters.values()
    return any(p.name == "content_disposition" or p.kind is p.VAR_KEYWORD for p in parameters)


async def _read(path: Path) -> bytes:
    return await asyncio.to_thread(path.read_bytes)
