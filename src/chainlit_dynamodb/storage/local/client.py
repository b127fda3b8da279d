"""Attachments in a folder, for a laptop or a single server; the running Chainlit server serves them."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Final

from chainlit_dynamodb.errors import ConfigurationError
from chainlit_dynamodb.secret_file import MIN_SECRET_BYTES
from chainlit_dynamodb.storage.base import StorageClient
from chainlit_dynamodb.storage.cors import CorsCheck, checked_origin
from chainlit_dynamodb.storage.headers import FileHeaders
from chainlit_dynamodb.storage.lifetime import url_lifetime
from chainlit_dynamodb.storage.local.folder import FileFolder, LocalFile
from chainlit_dynamodb.storage.local.open_clients import serve, stop_serving
from chainlit_dynamodb.storage.local.route import register_files_route
from chainlit_dynamodb.storage.local.signed_urls import SignedURLs
from chainlit_dynamodb.storage.names import checked_key
from chainlit_dynamodb.storage.signed_url import SignedURL
from chainlit_dynamodb.storage.url import StorageURL

THREADS: Final = 4


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
            secret: What signs the URLs, 32 bytes at least; else a secret is made once and kept in the folder.

        Raises:
            ConfigurationError: An argument is missing or wrong.
        """
        if not path or Path(path).is_file():
            raise ConfigurationError(f"LocalStorageClient: path must be a folder, not {str(path)!r}")
        given = secret.encode() if isinstance(secret, str) else secret
        if given is not None and len(given) < MIN_SECRET_BYTES:
            raise ConfigurationError(
                f"LocalStorageClient: secret must have {MIN_SECRET_BYTES} bytes at least. "
                "Give none, and one is made; or what `openssl rand -hex 32` prints"
            )
        self.path = Path(path).resolve()
        super().__init__(str(self.path), str(self.path), threads=THREADS)
        self._folder = folder = FileFolder(self.path)
        self._lifetime = url_lifetime(url_lifetime_seconds)
        self._signer = SignedURLs(lambda: given or folder.secret(), self._lifetime)
        serve(self)
        register_files_route()

    @classmethod
    def from_url(cls, url: StorageURL) -> LocalStorageClient:
        """Make a client from `file:///path`. See `storage_from_url`."""
        if url.host or not url.prefix:
            raise ConfigurationError("The storage URL must name a whole path: file:///var/lib/chat/files")
        return cls(url.path, **url.options)

    async def check_cors(self, origin: str) -> CorsCheck:
        """Agree: the files have the origin of the chat itself. See `StorageClient.check_cors`."""
        return CorsCheck(checked_origin(origin), ok=True, missing=(), rule="")

    async def close(self) -> None:
        """Stop serving this folder. See `StorageClient.close`."""
        stop_serving(self)
        await super().close()

    async def accepted_digest(self, token: str) -> str | None:
        """Check the last part of a read URL.

        Args:
            token: The text as it came from the network.

        Returns:
            The hash of the key it opens, or `None` if it is altered, expired, or of another folder.
        """
        return await self._calls.in_spare_thread(self._signer.accepted_digest, token)

    async def find(self, digest: str) -> LocalFile | None:
        """Look up a file to serve.

        Args:
            digest: What `accepted_digest` returned.

        Returns:
            The file, or `None` if there is none.
        """
        return await self._calls.in_spare_thread(self._folder.find, digest)

    def _name(self, object_key: str) -> str:
        return FileFolder.digest(checked_key(object_key))

    async def _upload(self, name: str, file: IO[bytes], headers: FileHeaders, overwrite: bool) -> None:
        await self._calls.in_thread(
            self._folder.write, name, file, headers.mime, headers.content_disposition, overwrite
        )

    async def _delete(self, name: str) -> None:
        await self._calls.in_thread(self._folder.delete, name)

    async def _sign(self, name: str) -> SignedURL:
        register_files_route()
        return SignedURL(await self._calls.in_spare_thread(self._signer.url, name), self._lifetime)


# An app that names this class at its top is loaded by the running server, before the first request: this is
# the moment at which a page that was open during a restart can still be answered before anything asks for the
# data layer.
register_files_route()
