"""Makes a storage client from one URL, so that a deployment can choose its storage by environment.

    s3://bucket/prefix?region=eu-west-1
    az://account/container/prefix
    abfss://container@account.dfs.core.windows.net/prefix
    gs://bucket/prefix
    file:///var/lib/chat/files

Secrets never belong into a URL: each cloud finds its credentials in its own way.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from chainlit_dynamodb.errors import ConfigurationError
from chainlit_dynamodb.storage.base import StorageClient

VARIABLE = "CHAINLIT_STORAGE_URL"

Options = dict[str, Any]

_LIFETIME = "url_lifetime_seconds"
_EXAMPLE = (
    "s3://bucket, az://account/container, abfss://container@account.dfs.core.windows.net, gs://bucket, file:///path"
)


def storage_from_url(url: str | None = None) -> StorageClient:
    """Make the storage client that a URL names.

    Everything the URL does not say comes from the environment: AWS and Google credentials as their SDKs find
    them; for Azure `AZURE_STORAGE_KEY`, else the identity of the machine. Only the SDK of that cloud is imported.

    Args:
        url: The URL; else that in `CHAINLIT_STORAGE_URL`. What stands after `?` becomes arguments of the client:
            `url_lifetime_seconds` for all; `region`, `endpoint_url` for `s3`; `account_url`, `endpoint_suffix` for
            `az`; `account_url`, `blob_url` for `abfss`; `project_id`, `client_email`, `endpoint` for `gs`.

    Returns:
        The client.

    Raises:
        MissingDependencyError: The cloud's SDK is not installed.
        ConfigurationError: There is no URL, or it cannot be understood.
    """
    given = os.environ.get(VARIABLE, "") if url is None else url
    if not given:
        raise ConfigurationError(f"No storage URL: set {VARIABLE} to one of {_EXAMPLE}")
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError as exc:
        raise ConfigurationError(f"The storage URL cannot be understood: {exc}") from exc
    if parts.scheme not in _MAKERS or parts.fragment or port:
        # Without the URL itself: what cannot be understood may hold a secret.
        raise ConfigurationError(f"The storage URL ({parts.scheme or 'no scheme'}) must be one of {_EXAMPLE}")
    make, allowed = _MAKERS[parts.scheme]
    if parts.password or (parts.username and parts.scheme not in ("abfs", "abfss")):
        raise ConfigurationError("Keep secrets out of the storage URL; the environment has a place for them")
    return make(parts, _options(parts, {*allowed, _LIFETIME}))


def _options(parts: SplitResult, allowed: set[str]) -> Options:
    options: Options = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in allowed or name in options or not value:
            known = ", ".join(sorted(allowed))
            raise ConfigurationError(
                f"The storage URL has {name!r} behind its '?', where {parts.scheme} knows {known}"
            )
        options[name] = value
    if _LIFETIME in options:
        if not options[_LIFETIME].isdecimal():
            raise ConfigurationError(f"The storage URL: {_LIFETIME} must be a whole number of seconds")
        options[_LIFETIME] = int(options[_LIFETIME])
    return options


def _host(parts: SplitResult, what: str) -> str:
    if not parts.netloc:
        raise ConfigurationError(f"The storage URL names no {what}: {_EXAMPLE}")
    return unquote(parts.netloc)


def _prefix(parts: SplitResult) -> str:
    return unquote(parts.path).strip("/")


def _s3(parts: SplitResult, options: Options) -> StorageClient:
    from chainlit_dynamodb.storage.s3 import S3StorageClient  # noqa: PLC0415 - one cloud only

    if "region" in options:
        options["region_name"] = options.pop("region")
    return S3StorageClient(_host(parts, "bucket"), prefix=_prefix(parts), **options)


def _azure_blob(parts: SplitResult, options: Options) -> StorageClient:
    from chainlit_dynamodb.storage.azure_blob import AzureBlobStorageClient  # noqa: PLC0415 - one cloud only

    container, _, prefix = _prefix(parts).partition("/")
    if not container:
        raise ConfigurationError("The storage URL names no container: az://account/container")
    key = os.environ.get("AZURE_STORAGE_KEY") or None
    return AzureBlobStorageClient(container, _host(parts, "account"), key, prefix=prefix, **options)


def _data_lake(parts: SplitResult, options: Options) -> StorageClient:
    from chainlit_dynamodb.storage.azure import AzureStorageClient  # noqa: PLC0415 - one cloud only

    if not parts.username or not parts.hostname:
        raise ConfigurationError("The storage URL must look like abfss://container@account.dfs.core.windows.net")
    options = {
        "account_url": f"https://{parts.hostname}",
        "account_name": parts.hostname.partition(".")[0],
        "credential": os.environ.get("AZURE_STORAGE_KEY") or None,
        **options,
    }
    return AzureStorageClient(container=unquote(parts.username), prefix=_prefix(parts), **options)


def _gcs(parts: SplitResult, options: Options) -> StorageClient:
    from chainlit_dynamodb.storage.gcs import GCSStorageClient  # noqa: PLC0415 - one cloud only

    return GCSStorageClient(_host(parts, "bucket"), prefix=_prefix(parts), **options)


def _local(parts: SplitResult, options: Options) -> StorageClient:
    from chainlit_dynamodb.storage.local import LocalStorageClient  # noqa: PLC0415 - needs no cloud

    if parts.netloc or not _prefix(parts):
        raise ConfigurationError("The storage URL must name a whole path: file:///var/lib/chat/files")
    return LocalStorageClient(unquote(parts.path), **options)


_MAKERS: dict[str, tuple[Callable[[SplitResult, Options], StorageClient], set[str]]] = {
    "s3": (_s3, {"region", "endpoint_url"}),
    "az": (_azure_blob, {"account_url", "endpoint_suffix"}),
    "abfs": (_data_lake, {"account_url", "blob_url"}),
    "abfss": (_data_lake, {"account_url", "blob_url"}),
    "gs": (_gcs, {"project_id", "client_email", "endpoint"}),
    "file": (_local, set()),
}
