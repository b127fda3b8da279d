"""Attachments in a folder, for a laptop or a single server; the running Chainlit server serves them."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakSet

from chainlit_dynamodb.errors import ConfigurationError, ObjectExistsError, StorageError
from chainlit_dynamodb.storage.base import (
    DEFAULT_MIME,
    BoundedThreads,
    Data,
    StorageClient,
    UploadedFile,
    checked_disposition,
    checked_key,
    checked_mime,
    open_data,
    url_lifetime,
)
from chainlit_dynamodb.storage.cors import CorsCheck, checked_origin
from chainlit_dynamodb.storage.local_files import FileFolder, LocalFile
from chainlit_dynamodb.storage.local_files_route import FILES_PATH, register_files_route

THREADS = 4

_TOKEN = re.compile(r"(?P<signed>(?P<digest>[0-9a-f]{64})\.(?P<expiry>[0-9]{1,12}))\.(?P<signature>[\w-]{43})", re.A)
_open_clients: WeakSet[LocalStorageClient] = WeakSet()


class LocalStorageClient(StorageClient):
    """Attachments in a local folder.

    Read URLs point to a route of the running Chainlit server and carry a signature and an end. Every process
    that uses the folder signs with the same secret, so URLs outlive a restart.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        url_lifetime_seconds: int | None = None,
        secret: str | bytes | None = None,
    ) -> None:
        """Name the folder. It is made when the first file is stored.

        Args:
            path: The folder, for this package alone.
            url_lifetime_seconds: How long read URLs live; else `STORAGE_EXPIRY_TIME`, else an hour.
            secret: What signs the URLs; else a secret is made once and kept in the folder.

        Raises:
            ConfigurationError: An argument is missing or wrong.
        """
        if not path or Path(path).is_file():
            raise ConfigurationError(f"LocalStorageClient: path must be a folder, not {str(path)!r}")
        if secret is not None and not secret:
            raise ConfigurationError("LocalStorageClient: secret is empty")
        self.path = Path(path).resolve()
        self._lifetime = url_lifetime(url_lifetime_seconds)
        self._secret = secret.encode() if isinstance(secret, str) else secret
        self._folder = FileFolder(self.path)
        self._threads = BoundedThreads(f"LocalStorageClient({self.path})", THREADS)
        _open_clients.add(self)
        register_files_route()

    async def upload_file(
        self,
        object_key: str,
        data: Data,
        mime: str = DEFAULT_MIME,
        overwrite: bool = True,
        content_disposition: str | None = None,
    ) -> UploadedFile:
        """Store a file. See `StorageClient.upload_file`."""
        digest = FileFolder.digest(checked_key(object_key))
        disposition = checked_disposition(content_disposition)
        with self._typed_errors("upload", object_key), await open_data(data, self._threads) as file:
            await self._threads.run(self._folder.write, digest, file, checked_mime(mime), disposition, overwrite)
        return {"object_key": object_key, "url": await self.get_read_url(object_key)}

    async def delete_file(self, object_key: str) -> bool:
        """Delete a file. See `StorageClient.delete_file`."""
        with self._typed_errors("delete", object_key):
            await self._threads.run(self._folder.delete, FileFolder.digest(checked_key(object_key)))
        return True

    async def get_read_url(self, object_key: str) -> str:
        """Sign a root-relative URL of the Chainlit server. See `StorageClient.get_read_url`."""
        register_files_route()
        signed = f"{FileFolder.digest(checked_key(object_key))}.{int(time.time()) + self._lifetime}"
        with self._typed_errors("sign a URL", object_key):
            signature = await self._threads.run(self._signature, signed)
        # As Chainlit's own pages do; it sets both, for --root-path and for an app mounted in another one.
        root = os.environ.get("CHAINLIT_PARENT_ROOT_PATH", "") + os.environ.get("CHAINLIT_ROOT_PATH", "")
        return f"{root.rstrip('/')}{FILES_PATH}/{signed}.{signature}"

    async def check_cors(self, origin: str) -> CorsCheck:
        """Agree: the files have the origin of the chat itself. See `StorageClient.check_cors`."""
        return CorsCheck(checked_origin(origin), ok=True, missing=(), rule="")

    async def close(self) -> None:
        """Stop serving this folder. See `StorageClient.close`."""
        _open_clients.discard(self)
        await self._threads.close()

    async def accepted_digest(self, token: str) -> str | None:
        """Check the last part of a read URL.

        Args:
            token: The text as it came from the network.

        Returns:
            The hash of the key it opens, or None if it is altered, expired, or of another folder.
        """
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        signature = await self._threads.run(self._signature, match["signed"])
        if not hmac.compare_digest(signature, match["signature"]):
            return None
        return match["digest"] if time.time() < int(match["expiry"]) else None

    async def find(self, digest: str) -> LocalFile | None:
        """Look up a file to serve.

        Args:
            digest: What `accepted_digest` returned.

        Returns:
            The file, or None if there is none.
        """
        return await self._threads.run(self._folder.find, digest)

    def _signature(self, signed: str) -> str:
        if self._secret is None:
            self._secret = self._folder.secret()
        mac = hmac.digest(self._secret, signed.encode(), hashlib.sha256)
        return urlsafe_b64encode(mac).decode().rstrip("=")

    @contextmanager
    def _typed_errors(self, action: str, object_key: str) -> Iterator[None]:
        where = f"{self.path}, key {object_key!r}: could not {action}"
        try:
            yield
        except FileExistsError as exc:
            raise ObjectExistsError(f"{where}: the key is taken") from exc
        except OSError as exc:
            raise StorageError(f"{where}: {exc}") from exc


def open_clients() -> list[LocalStorageClient]:
    """List the clients whose files are to be served.

    Returns:
        Every client of this process that was not closed.
    """
    return list(_open_clients)


# An app that names this class at its top is loaded by the running server, before the first request: this is
# the moment at which a page that was open during a restart can still be answered before anything asks for the
# data layer.
register_files_route()
