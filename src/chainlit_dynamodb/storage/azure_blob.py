"""Attachments in Azure Blob Storage, in any Azure cloud, with an account key or without."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping
from typing import IO, Any, Final

from chainlit_dynamodb.errors import ConfigurationError
from chainlit_dynamodb.storage.azure_account import Access, access_with, account_at, one_name, require_sdk
from chainlit_dynamodb.storage.azure_client import AzureClient, error_code
from chainlit_dynamodb.storage.azure_session import AzureSession, Body
from chainlit_dynamodb.storage.data import parts_of
from chainlit_dynamodb.storage.headers import FileHeaders
from chainlit_dynamodb.storage.lifetime import url_lifetime
from chainlit_dynamodb.storage.names import hashed_if, object_name
from chainlit_dynamodb.storage.signed_url import SignedURL
from chainlit_dynamodb.storage.upload_options import checked_options
from chainlit_dynamodb.storage.url import StorageURL

PART_BYTES: Final = 8 * 1024 * 1024
# Above this, sending at once would hold up the event loop.
PUT_BYTES: Final = 1024 * 1024
UPLOAD_ATTEMPTS: Final = 5
PART_OPTIONS: Final = frozenset({"encryption_scope"})
UPLOAD_OPTIONS: Final = PART_OPTIONS | {
    "immutability_policy",
    "legal_hold",
    "metadata",
    "standard_blob_tier",
    "tags",
}

# Azure turns backslashes into slashes, drops dots at the end of a segment, and refuses control characters.
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\]|\.(/|$)|^/|//|/$|^~sha256/")


class AzureBlobStorageClient(AzureClient):
    """Attachments in one container, which may and should be private.

    Without a key it enters as the identity of the machine and signs URLs with a user delegation key.
    """

    def __init__(
        self,
        container_name: str | None = None,
        storage_account: str | None = None,
        storage_key: str | None = None,
        *,
        container: str | None = None,
        credential: Any = None,
        account_url: str | None = None,
        endpoint_suffix: str = "core.windows.net",
        prefix: str = "",
        url_lifetime_seconds: int | None = None,
        options: Mapping[str, Any] | None = None,
        upload_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Describe the container and how to enter it. Nothing is opened before the first call.

        Args:
            container_name: The container.
            storage_account: The account; may be left out where `account_url` begins with it.
            storage_key: A key of the account, in base64. Better give none.
            container: Another name of `container_name`.
            credential: A token credential of azure-identity, blocking or not, which stays yours to close; or
                an account key. Else `DefaultAzureCredential`: managed identity, workload identity, environment,
                `az login`.
            account_url: The endpoint, where it is not `https://{storage_account}.blob.{endpoint_suffix}`: an
                emulator, a private endpoint.
            endpoint_suffix: The cloud: `core.usgovcloudapi.net`, `core.chinacloudapi.cn`.
            prefix: A folder inside the container; it is put before each key and never shows outside.
            url_lifetime_seconds: How long read URLs live; else `STORAGE_EXPIRY_TIME`, else an hour.
            options: More arguments for the SDK's `BlobServiceClient`: `connection_verify`, `proxies`,
                `read_timeout`, `retry_policy`, ...
            upload_options: What is sent with every upload: `encryption_scope`, `standard_blob_tier`, `metadata`,
                `tags`, `immutability_policy`, `legal_hold`.

        Raises:
            MissingDependencyError: An SDK is not installed.
            ConfigurationError: An argument is missing or wrong.
        """
        owner = type(self).__name__
        require_sdk("azure.storage.blob", "azure-storage-blob", "azure-blob")
        name = one_name(owner, container_name=container_name, container=container)
        if not account_url:
            account_url = f"https://{one_name(owner, storage_account=storage_account)}.blob.{endpoint_suffix}"
        account = account_at(account_url.replace(".dfs.", ".blob."), owner=owner, name=storage_account)
        session = AzureSession(
            f"{owner}({name})",
            _access(owner, storage_key, credential),
            account,
            url_lifetime(url_lifetime_seconds),
            extra="azure-blob",
            blob_url=account.url,
        )
        super().__init__(
            name,
            f"{account.url}/{name}/",
            session,
            prefix=prefix,
            options=options,
            upload_options=checked_options(upload_options, UPLOAD_OPTIONS, owner),
        )

    @classmethod
    def from_url(cls, url: StorageURL) -> AzureBlobStorageClient:
        """Make a client from `az://account/container/prefix`. See `storage_from_url`."""
        container, _, prefix = url.prefix.partition("/")
        if not container:
            raise ConfigurationError("The storage URL names no container: az://account/container")
        key = os.environ.get("AZURE_STORAGE_KEY") or None
        return cls(container, url.host_as("account"), key, prefix=prefix, **url.options)

    def _name(self, object_key: str) -> str:
        return object_name(hashed_if(_UNFIT, object_key), self._prefix)

    async def _upload(self, name: str, file: IO[bytes], headers: FileHeaders, overwrite: bool) -> None:
        """Store a file; above 1 MB it goes in blocks of 8 MB."""
        from azure.storage.blob import ContentSettings  # noqa: PLC0415 - an optional SDK

        blob = self._blob(name)
        settings = ContentSettings(content_type=headers.mime, content_disposition=headers.content_disposition)
        async with self._slots:
            start = await self._calls.in_thread(file.read, PUT_BYTES + 1)
            if len(start) <= PUT_BYTES:
                await blob.upload_blob(start, overwrite=overwrite, content_settings=settings, **self._upload_options)
                return
            for attempt in range(UPLOAD_ATTEMPTS):
                if await self._upload_blocks(blob, file, settings, overwrite, last=attempt == UPLOAD_ATTEMPTS - 1):
                    return

    async def _delete(self, name: str) -> None:
        """Delete a file and its snapshots."""
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 - an optional SDK

        blob = self._blob(name)
        async with self._slots:
            try:
                await blob.delete_blob(delete_snapshots="include")
            except ResourceNotFoundError as exc:
                if error_code(exc) != "BlobNotFound":
                    raise

    async def _sign(self, name: str) -> SignedURL:
        """Sign a URL; without an account key, a request a day at most."""
        return await self._session.read_url(self._service(), self.container_name, name)

    async def _upload_blocks(self, blob: Any, file: IO[bytes], settings: Any, overwrite: bool, *, last: bool) -> bool:
        """Upload from the start; `False` if an upload of the same key at the same time made it void."""
        from azure.core import MatchConditions  # noqa: PLC0415 - an optional SDK
        from azure.core.exceptions import HttpResponseError  # noqa: PLC0415
        from azure.storage.blob import BlobBlock  # noqa: PLC0415

        condition = {} if overwrite else {"match_condition": MatchConditions.IfMissing}
        options = self._upload_options
        part_options = {name: options[name] for name in PART_OPTIONS & set(options)}
        await self._calls.in_thread(file.seek, 0)
        # Blocks of one blob share their names; those of two uploads must not.
        upload = uuid.uuid4().hex
        blocks: list[Any] = []
        try:
            async for part in parts_of(file, PART_BYTES, self._calls):
                blocks.append(BlobBlock(f"{upload}-{len(blocks):05d}"))
                await blob.stage_block(blocks[-1].id, Body(part), length=len(part), **part_options)
            await blob.commit_block_list(blocks, content_settings=settings, **condition, **options)
        except HttpResponseError as exc:
            # Whoever commits first throws away the blocks of all others.
            if error_code(exc) != "InvalidBlockList" or last:
                raise
            return False
        return True

    def _service(self) -> Any:
        from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry  # noqa: PLC0415 - an optional SDK

        return self._session.service(BlobServiceClient, ExponentialRetry, self._options)

    def _blob(self, name: str) -> Any:
        return self._service().get_blob_client(self.container_name, name)


def _access(owner: str, storage_key: str | None, credential: Any) -> Access:
    if storage_key is not None and credential is not None:
        raise ConfigurationError(f"{owner}: storage_key and credential exclude each other")
    argument = "credential" if storage_key is None else "storage_key"
    access = access_with(credential if storage_key is None else storage_key, owner=owner, argument=argument)
    if access.sas_token:
        raise ConfigurationError(f"{owner}: {argument} is a shared access signature, which cannot sign read URLs")
    return access
