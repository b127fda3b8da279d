"""Attachments in Azure Blob Storage, in any Azure cloud, with an account key or without."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import IO, Any

from chainlit_dynamodb.errors import ConfigurationError, StorageError
from chainlit_dynamodb.storage.azure_account import (
    Access,
    access_with,
    account_at,
    cors_rule,
    error_code,
    one_name,
    require_sdk,
)
from chainlit_dynamodb.storage.azure_session import AzureSession, Body
from chainlit_dynamodb.storage.base import (
    DEFAULT_MIME,
    Data,
    StorageClient,
    UploadedFile,
    bucket_name_of,
    checked_disposition,
    checked_mime,
    hashed_if,
    open_data,
    url_lifetime,
)
from chainlit_dynamodb.storage.cors import PROBE_KEY, CorsCheck, check_cors, checked_origin

PART_BYTES = 8 * 1024 * 1024
# Above this, sending at once would hold up the event loop.
PUT_BYTES = 1024 * 1024
UPLOAD_ATTEMPTS = 5

# Azure turns backslashes into slashes, drops dots at the end of a segment, and refuses control characters.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\\]|\.(/|$)|^/|//|/$|^~sha256/")


class AzureBlobStorageClient(StorageClient):
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

        Raises:
            MissingDependencyError: An SDK is not installed.
            ConfigurationError: An argument is missing or wrong.
        """
        owner = type(self).__name__
        require_sdk("azure.storage.blob", "azure-storage-blob", "azure-blob")
        self.container_name = one_name(owner, container_name=container_name, container=container)
        if not account_url:
            account_url = f"https://{one_name(owner, storage_account=storage_account)}.blob.{endpoint_suffix}"
        account = account_at(account_url.replace(".dfs.", ".blob."), owner=owner, name=storage_account)
        self._session = AzureSession(
            f"{owner}({self.container_name})",
            _access(owner, storage_key, credential),
            account,
            url_lifetime(url_lifetime_seconds),
            extra="azure-blob",
            blob_url=account.url,
        )
        self._prefix = prefix.strip("/")
        self._options = options or {}

    async def upload_file(
        self,
        object_key: str,
        data: Data,
        mime: str = DEFAULT_MIME,
        overwrite: bool = True,
        content_disposition: str | None = None,
    ) -> UploadedFile:
        """Store a file; above 1 MB it goes in blocks of 8 MB. See `StorageClient.upload_file`."""
        from azure.storage.blob import ContentSettings  # noqa: PLC0415 - an optional SDK

        settings = ContentSettings(
            content_type=checked_mime(mime), content_disposition=checked_disposition(content_disposition)
        )
        blob = self._blob(object_key)
        try:
            file = await open_data(data, self._session.threads)
        except OSError as exc:
            raise StorageError(f"{self._where('upload', object_key)}: {exc}") from exc
        with file:
            async with self._session.call(self._where("upload", object_key)):
                await self._upload(blob, file, settings, overwrite)
                url = await self._signed(object_key)
        return {"object_key": object_key, "url": url}

    async def delete_file(self, object_key: str) -> bool:
        """Delete a file and its snapshots. See `StorageClient.delete_file`."""
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 - an optional SDK

        blob = self._blob(object_key)
        async with self._session.call(self._where("delete", object_key)):
            try:
                await blob.delete_blob(delete_snapshots="include")
            except ResourceNotFoundError as exc:
                if error_code(exc) != "BlobNotFound":
                    raise
        return True

    async def get_read_url(self, object_key: str) -> str:
        """Sign a URL; without an account key, a request a day at most. See `StorageClient.get_read_url`."""
        with self._session.signing(self._where("sign a URL", object_key)):
            return await self._signed(object_key)

    async def check_cors(self, origin: str) -> CorsCheck:
        """Ask whether pages of an origin can read files. See `StorageClient.check_cors`."""
        checked = checked_origin(origin)
        return await check_cors(
            await self.get_read_url(PROBE_KEY), checked, cors_rule(self._session.account, checked)
        )

    async def close(self) -> None:
        """Close what was made here. See `StorageClient.close`."""
        await self._session.close()

    async def _upload(self, blob: Any, file: IO[bytes], settings: Any, overwrite: bool) -> None:
        start = await self._session.threads.run(file.read, PUT_BYTES + 1)
        if len(start) <= PUT_BYTES:
            await blob.upload_blob(start, overwrite=overwrite, content_settings=settings)
            return
        for attempt in range(UPLOAD_ATTEMPTS):
            if await self._upload_blocks(blob, file, settings, overwrite, last=attempt == UPLOAD_ATTEMPTS - 1):
                return

    async def _upload_blocks(self, blob: Any, file: IO[bytes], settings: Any, overwrite: bool, *, last: bool) -> bool:
        """Upload from the start; False if an upload of the same key at the same time made it void."""
        from azure.core import MatchConditions  # noqa: PLC0415 - an optional SDK
        from azure.core.exceptions import HttpResponseError  # noqa: PLC0415
        from azure.storage.blob import BlobBlock  # noqa: PLC0415

        condition = {} if overwrite else {"match_condition": MatchConditions.IfMissing}
        await self._session.threads.run(file.seek, 0)
        # Blocks of one blob share their names; those of two uploads must not.
        upload = uuid.uuid4().hex
        blocks: list[Any] = []
        try:
            while part := await self._session.threads.run(file.read, PART_BYTES):
                blocks.append(BlobBlock(f"{upload}-{len(blocks):05d}"))
                await blob.stage_block(blocks[-1].id, Body(part), length=len(part))
            await blob.commit_block_list(blocks, content_settings=settings, **condition)
        except HttpResponseError as exc:
            # Whoever commits first throws away the blocks of all others.
            if error_code(exc) != "InvalidBlockList" or last:
                raise
            return False
        return True

    async def _signed(self, object_key: str) -> str:
        return await self._session.read_url(self._service(), self.container_name, self._name(object_key))

    def _service(self) -> Any:
        from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry  # noqa: PLC0415 - an optional SDK

        return self._session.service(BlobServiceClient, ExponentialRetry, self._options)

    def _blob(self, object_key: str) -> Any:
        return self._service().get_blob_client(self.container_name, self._name(object_key))

    def _name(self, object_key: str) -> str:
        return bucket_name_of(hashed_if(_UNFIT, object_key), self._prefix)

    def _where(self, action: str, object_key: str) -> str:
        return f"{self._session.blob_url(self.container_name, '')}, key {object_key!r}: could not {action}"


def _access(owner: str, storage_key: str | None, credential: Any) -> Access:
    if storage_key is not None and credential is not None:
        raise ConfigurationError(f"{owner}: storage_key and credential exclude each other")
    argument = "credential" if storage_key is None else "storage_key"
    access = access_with(credential if storage_key is None else storage_key, owner=owner, argument=argument)
    if access.sas_token:
        raise ConfigurationError(f"{owner}: {argument} is a shared access signature, which cannot sign read URLs")
    return access
