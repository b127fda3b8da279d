"""One Azure SDK client: made at the first call, signing URLs, closed once."""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Final
from urllib.parse import quote

from chainlit_dynamodb.errors import ConfigurationError
from chainlit_dynamodb.storage.azure_account import Access, Account, require_sdk
from chainlit_dynamodb.storage.signed_url import SignedURL
from chainlit_dynamodb.unheard import leave_unheard

SLICE_BYTES: Final = 64 * 1024
CONNECT_TIMEOUT_SECONDS: Final = 5
READ_TIMEOUT_SECONDS: Final = 60
RETRIES: Final = 4
# Azure refuses a URL whose start lies in its future, and clocks differ.
CLOCK_SKEW: Final = timedelta(minutes=15)
# Azure gives out user delegation keys for 7 days at most; a key must outlive every URL that it signs.
MAX_KEY_LIFETIME: Final = timedelta(days=7)
KEY_SPARE: Final = timedelta(days=1)
# From here on a new key is asked for, while nobody needs it yet.
RENEWAL_SPARE: Final = timedelta(hours=12)
# How long a URL waits for a new key where the old one would end before it.
RENEWAL_SECONDS: Final = 3.0
# How long a failure is the answer to all: each URL of a chat would ask again.
FAILURE_SECONDS: Final = 5.0

_AUTHORITIES: Final = {
    "core.chinacloudapi.cn": "login.chinacloudapi.cn",
    "core.usgovcloudapi.net": "login.microsoftonline.us",
}


class AzureSession:
    """What a storage client holds of Azure: credentials, the SDK's client, the key that signs URLs."""

    def __init__(
        self, owner: str, access: Access, account: Account, lifetime_seconds: int, *, extra: str, blob_url: str
    ) -> None:
        """Take the credentials. Nothing is opened before the first call.

        Args:
            owner: The class and its container, for messages.
            access: How requests are signed.
            account: The account; its URL is where requests go.
            lifetime_seconds: How long read URLs live.
            extra: The extra of this package that brings the SDKs.
            blob_url: The endpoint that read URLs point to.

        Raises:
            MissingDependencyError: azure-identity is wanted and not installed.
            ConfigurationError: URLs cannot live that long.
        """
        if access == Access():
            require_sdk("azure.identity", "azure-identity", extra)
        self.account = account
        self._access = access
        self._lifetime = lifetime_seconds
        self._blob_url = blob_url
        self._keys = None if access.account_key or access.sas_token else _DelegationKeys(lifetime_seconds, owner)
        self._opened = AsyncExitStack()
        self._service: Any = None

    def service(self, make: Callable[..., Any], retry: type, options: Mapping[str, Any]) -> Any:
        """Return the SDK's service client; the first call makes it.

        Args:
            make: The SDK's class.
            retry: The SDK's class of exponential retries.
            options: What the developer set; it wins over our timeouts and retries.
        """
        if self._service is None:
            ours = {
                "connection_timeout": CONNECT_TIMEOUT_SECONDS,
                "read_timeout": READ_TIMEOUT_SECONDS,
                "retry_policy": retry(
                    initial_backoff=1, increment_base=2, retry_total=RETRIES, random_jitter_range=1
                ),
            }
            self._service = make(self.account.url, credential=self._sdk_credential(), **{**ours, **options})
            self._opened.push_async_callback(self._service.close)
        return self._service

    async def read_url(self, service: Any, container: str, name: str) -> SignedURL:
        """Sign a URL for one blob. Without an account key, the first one asks Azure for a key to sign with.

        A URL ends with the key that signed it, where Azure gives out no newer one.

        Args:
            service: The SDK's client, which asks.
            container: The container of the blob.
            name: The name of the blob.
        """
        from azure.storage.blob import BlobSasPermissions, generate_blob_sas  # noqa: PLC0415 - an optional SDK

        key = await self._keys.key(service.get_user_delegation_key) if self._keys else None
        now = utc_now()
        ends = now + timedelta(seconds=self._lifetime)
        if key:
            ends = min(ends, key.ends)
        signature = generate_blob_sas(
            self.account.name,
            container,
            name,
            account_key=self._access.account_key,
            user_delegation_key=key.content if key else None,
            permission=BlobSasPermissions(read=True),
            protocol="https" if self._blob_url.startswith("https:") else "https,http",
            start=now - CLOCK_SKEW,
            expiry=ends,
        )
        return SignedURL(f"{self.blob_url(container, name)}?{signature}", (ends - now).total_seconds())

    def blob_url(self, container: str, name: str) -> str:
        """Return the plain URL of a blob."""
        return f"{self._blob_url}/{container}/{quote(name, safe='/~')}"

    async def close(self) -> None:
        """Close what was made here."""
        if self._keys:
            self._keys.close()
        await self._opened.aclose()

    def _sdk_credential(self) -> Any:
        access = self._access
        if access.account_key:
            return {"account_name": self.account.name, "account_key": access.account_key}
        if access.sas_token:
            from azure.core.credentials import AzureSasCredential  # noqa: PLC0415 - an optional SDK

            return AzureSasCredential(access.sas_token)
        if access.token is None:
            identity = _machine_identity(self.account.url)
            self._opened.push_async_callback(identity.close)
            return identity
        is_async = inspect.iscoroutinefunction(access.token.get_token)
        return access.token if is_async else _BlockingToken(access.token)


class Body:
    """The body of a request, sent in slices so that the event loop goes on, and again as often as it takes."""

    def __init__(self, content: bytes) -> None:
        """Take the content."""
        self._content = memoryview(content)

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        """Yield the slices."""
        for start in range(0, len(self._content), SLICE_BYTES):
            yield self._content[start : start + SLICE_BYTES]


def _machine_identity(url: str) -> Any:
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - an optional SDK

    cloud = next((host for suffix, host in _AUTHORITIES.items() if url.endswith(suffix)), None)
    if cloud and "AZURE_AUTHORITY_HOST" not in os.environ:
        return DefaultAzureCredential(authority=cloud)
    return DefaultAzureCredential()


class _BlockingToken:
    """A credential of `azure.identity`, for SDKs that want one of `azure.identity.aio`; its owner closes it."""

    def __init__(self, token: Any) -> None:
        self._token = token

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        return await asyncio.to_thread(self._token.get_token, *scopes, **options)

    async def close(self) -> None:
        pass


@dataclass(frozen=True)
class _Key:
    """What Azure gave out to sign URLs with, and when it ends."""

    content: Any = field(repr=False)
    ends: datetime


class _DelegationKeys:
    """The key that signs URLs where there is no account key. It is asked for once and renewed in time."""

    def __init__(self, lifetime_seconds: int, owner: str) -> None:
        self._lifetime = timedelta(seconds=lifetime_seconds)
        if self._lifetime + KEY_SPARE > MAX_KEY_LIFETIME:
            limit = (MAX_KEY_LIFETIME - KEY_SPARE).days
            raise ConfigurationError(f"{owner}: without an account key, URLs live for {limit} days at most")
        self._key: _Key | None = None
        self._renewal: asyncio.Task[_Key] | None = None
        self._failed_at = float("-inf")

    async def key(self, fetch: Callable[[datetime, datetime], Awaitable[Any]]) -> _Key:
        """Return a key that outlives a URL signed now, or else one that has not ended.

        Args:
            fetch: Asks Azure for a key between two moments.
        """
        now = utc_now()
        key = self._key
        if key and now + self._lifetime + RENEWAL_SPARE <= key.ends:
            return key
        renewal = self._renewing(fetch)
        if key is None or key.ends <= now:
            return await asyncio.shield(renewal)
        if key.ends < now + self._lifetime:
            await asyncio.wait({renewal}, timeout=RENEWAL_SECONDS)
        return self._key or key

    def close(self) -> None:
        """Ask no longer."""
        if self._renewal is not None:
            self._renewal.cancel()

    def _renewing(self, fetch: Callable[[datetime, datetime], Awaitable[Any]]) -> asyncio.Task[_Key]:
        """Return the attempt to renew the key that is under way, or failed a moment ago; else begin one."""
        renewal = self._renewal
        if renewal is None or (renewal.done() and time.monotonic() - self._failed_at > FAILURE_SECONDS):
            renewal = self._renewal = asyncio.ensure_future(self._renew(fetch))
            renewal.add_done_callback(leave_unheard)
        return renewal

    async def _renew(self, fetch: Callable[[datetime, datetime], Awaitable[Any]]) -> _Key:
        now = utc_now()
        ends = now + self._lifetime + KEY_SPARE
        try:
            key = self._key = _Key(await fetch(now - CLOCK_SKEW, ends), ends)
        except BaseException:  # also cancellation: the next attempt waits a moment; raised again
            self._failed_at = time.monotonic()
            raise
        return key


def utc_now() -> datetime:
    """Return the time in whole seconds, as signatures hold it."""
    return datetime.now(timezone.utc).replace(microsecond=0)
