"""Attachments in Azure Data Lake Storage Gen2: an account with a hierarchical namespace."""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any, Final
from urllib.parse import parse_qs, quote

from chainlit_dynamodb.errors import ConfigurationError, StorageError
from chainlit_dynamodb.storage.azure_account import access_with, account_at, one_name, require_sdk
from chainlit_dynamodb.storage.azure_client import AzureClient, error_code
from chainlit_dynamodb.storage.azure_session import AzureSession, Body
from chainlit_dynamodb.storage.data import parts_of
from chainlit_dynamodb.storage.headers import FileHeaders
from chainlit_dynamodb.storage.lifetime import url_lifetime
from chainlit_dynamodb.storage.names import checked_key
from chainlit_dynamodb.storage.signed_url import SignedURL
from chainlit_dynamodb.storage.upload_options import checked_options
from chainlit_dynamodb.storage.url import StorageURL

logger = logging.getLogger("chainlit.DynamoDB.storage")

PART_BYTES: Final = 8 * 1024 * 1024
MAX_FILE_NAME: Final = 200
UPLOAD_OPTIONS: Final = frozenset({"acl", "encryption_context", "group", "metadata", "owner", "permissions", "umask"})
_GONE: Final = {"PathNotFound", "BlobNotFound", "ResourceNotFound"}
_RENAMED_BEFORE: Final = "SourcePathNotFound"


class AzureStorageClient(AzureClient):
    """Attachments in one file system of a Data Lake, which may and should be private.

    A file is written under a name of its own and then renamed, which Azure does in one step. Read URLs point to
    the account's Blob endpoint, because that is where CORS rules hold. Without a key it enters as the identity of
    the machine and signs URLs with a user delegation key.
    """

    def __init__(
        self,
        account_url: str,
        container: str | None = None,
        credential: Any = None,
        sas_token: str | None = None,
        *,
        container_name: str | None = None,
        account_name: str | None = None,
        blob_url: str | None = None,
        prefix: str = "",
        url_lifetime_seconds: int | None = None,
        options: Mapping[str, Any] | None = None,
        upload_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Describe the file system and how to enter it. Nothing is opened before the first call.

        Args:
            account_url: As `https://account.dfs.core.windows.net`, in any cloud.
            container: The container, which Data Lake calls a file system.
            credential: What Azure's own clients take: an account key, a shared access signature, a mapping, an
                object of azure-core or azure-identity, blocking or not, which stays yours to close. Else
                `DefaultAzureCredential`: managed identity, workload identity, environment, `az login`.
            sas_token: A shared access signature that may only read. It is put behind every read URL as it is,
                and opens all other files too; without it each URL opens one file.
            container_name: Another name of `container`.
            account_name: The account, where `account_url` does not begin with it.
            blob_url: The Blob endpoint, where it is not `account_url` with `.blob.` for `.dfs.`.
            prefix: A folder inside the container; it is put before each name and never shows outside.
            url_lifetime_seconds: How long read URLs live; else `STORAGE_EXPIRY_TIME`, else an hour.
            options: More arguments for the SDK's `DataLakeServiceClient`: `connection_verify`, `proxies`,
                `read_timeout`, `retry_policy`, ...
            upload_options: What is sent with every upload: `metadata`, `permissions`, `umask`, `owner`, `group`,
                `acl`, `encryption_context`.

        Raises:
            MissingDependencyError: An SDK is not installed.
            ConfigurationError: An argument is missing or wrong.
        """
        owner = type(self).__name__
        require_sdk("azure.storage.filedatalake", "azure-storage-file-datalake", "azure")
        if not isinstance(account_url, str):
            raise ConfigurationError(f"{owner}: account_url must be a URL, not {account_url!r}")
        name = one_name(owner, container=container, container_name=container_name)
        access = access_with(credential, owner=owner)
        if access.sas_token and not sas_token:
            raise ConfigurationError(f"{owner}: credential cannot sign read URLs, so give a sas_token that may read")
        account = account_at(account_url.replace(".blob.", ".dfs."), owner=owner, name=account_name)
        session = AzureSession(
            f"{owner}({name})",
            access,
            account,
            url_lifetime(url_lifetime_seconds),
            extra="azure",
            blob_url=(blob_url or account.url.replace(".dfs.", ".blob.")).rstrip("/"),
        )
        super().__init__(
            name,
            f"{account.url}/{name}",
            session,
            prefix=prefix,
            options=options,
            upload_options=checked_options(upload_options, UPLOAD_OPTIONS, owner),
        )
        self._sas_token = _checked_sas(sas_token, owner) if sas_token else None

    @classmethod
    def from_url(cls, url: StorageURL) -> AzureStorageClient:
        """Make a client from `abfss://container@account.dfs.core.windows.net/prefix`. See `storage_from_url`."""
        host = url.host.lower()
        if not url.user or not host:
            raise ConfigurationError("The storage URL must look like abfss://container@account.dfs.core.windows.net")
        arguments = {
            "account_url": f"https://{host}",
            "account_name": host.partition(".")[0],
            "credential": os.environ.get("AZURE_STORAGE_KEY") or None,
            **url.options,
        }
        return cls(container=url.user, prefix=url.prefix, **arguments)

    def _name(self, object_key: str) -> str:
        """Make one file name of a key, so that no folder stays behind and no file is in the way of a folder."""
        key = checked_key(object_key)
        name = quote(object_key, safe="@").replace("~", "~7E").replace("%", "~")
        if len(name) > MAX_FILE_NAME or name[0] == "." or name[-1] == ".":
            name = f"~sha256-{hashlib.sha256(key).hexdigest()}"
        return self._in_folder(name)

    async def _upload(self, name: str, file: IO[bytes], headers: FileHeaders, overwrite: bool) -> None:
        """Store a file, in parts of 8 MB."""
        # Flushing straight to the name would show an empty file first, and would lose the old one when it fails.
        # In the same folder, because Azure renames into folders that exist only.
        unfinished = self._file(self._in_folder(f"~upload-{uuid.uuid4().hex}"))
        async with self._slots:
            try:
                await self._write(unfinished, file, headers)
                await self._rename(unfinished, name, overwrite)
            except BaseException:  # also cancellation: nothing half written stays; raised again
                with suppress(StorageError), self._typed_errors("remove an unfinished upload", name):
                    await _delete(unfinished)
                raise

    async def _delete(self, name: str) -> None:
        file = self._file(name)
        async with self._slots:
            await _delete(file)

    async def _sign(self, name: str) -> SignedURL:
        """Sign a URL; without an account key, a request a day at most."""
        if self._sas_token:
            # Nothing to save: it is put together in no time, and who knows when it ends.
            return SignedURL(f"{self._session.blob_url(self.container_name, name)}?{self._sas_token}", 0)
        return await self._session.read_url(self._service(), self.container_name, name)

    async def _write(self, target: Any, file: IO[bytes], headers: FileHeaders) -> None:
        from azure.storage.filedatalake import ContentSettings  # noqa: PLC0415 - an optional SDK

        settings = ContentSettings(content_type=headers.mime, content_disposition=headers.content_disposition)
        await target.create_file(content_settings=settings, **self._upload_options)
        size = 0
        async for part in parts_of(file, PART_BYTES, self._calls):
            await target.append_data(Body(part), offset=size, length=len(part))
            size += len(part)
        await target.flush_data(size, content_settings=settings, close=True)

    async def _rename(self, source: Any, name: str, overwrite: bool) -> None:
        from azure.core import MatchConditions  # noqa: PLC0415 - an optional SDK
        from azure.core.exceptions import HttpResponseError  # noqa: PLC0415

        condition = {} if overwrite else {"match_condition": MatchConditions.IfMissing}
        try:
            await source.rename_file(f"{self.container_name}/{name}", **condition)
        except HttpResponseError as exc:
            # Nobody else knows the source: it was renamed before, and the SDK tried again for want of an answer.
            if error_code(exc) != _RENAMED_BEFORE:
                raise

    def _service(self) -> Any:
        from azure.storage.filedatalake.aio import (  # noqa: PLC0415 - an optional SDK
            DataLakeServiceClient,
            ExponentialRetry,
        )

        return self._session.service(DataLakeServiceClient, ExponentialRetry, self._options)

    def _file(self, name: str) -> Any:
        return self._service().get_file_client(self.container_name, name)

    def _in_folder(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name


AzureDataLakeStorageClient = AzureStorageClient


async def _delete(file: Any) -> None:
    from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 - an optional SDK

    try:
        await file.delete_file()
    except ResourceNotFoundError as exc:
        if error_code(exc) not in _GONE:
            raise


def _checked_sas(token: str, owner: str) -> str:
    token = token.lstrip("?")
    allowed = parse_qs(token).get("sp", [""])[0]
    if "sig=" not in token or allowed != "r":
        raise ConfigurationError(f"{owner}: sas_token must allow reading and nothing else (sp=r), not {allowed!r}")
    logger.warning("%s: read URLs carry the given sas_token, so each of them opens every file it covers", owner)
    return token
