"""How requests reach DynamoDB: over aiohttp, or through a client the user gave.

A transport takes an operation and a request in DynamoDB's own JSON and gives the response likewise. It raises errors
of this package only and never tries twice: `retry` decides that.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import logging
import os
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp
from aiodynamo.client import Client
from aiodynamo.credentials import Credentials, Key
from aiodynamo.http.types import HttpImplementation, Request, Response
from aiodynamo.models import RetryConfig, RetryTimeout
from botocore import xform_name
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.parsers import ResponseParserError
from botocore.session import Session
from yarl import URL

from chainlit_dynamodb.dynamodb.endpoint import endpoint_of
from chainlit_dynamodb.dynamodb.failures import coded_failure, service_failure, transport_failure
from chainlit_dynamodb.errors import ConfigurationError, CredentialsError, RequestError

# At DEBUG aiodynamo logs whole requests and responses, and those are people's chats.
for _name in ("aiodynamo.request", "aiodynamo.response"):
    logging.getLogger(_name).disabled = True

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 15.0
MAX_CONNECTIONS: Final = 64
POOL_THREADS: Final = 32

_NO_CREDENTIALS: Final = (
    "No AWS credentials found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, log in with "
    "`aws sso login`, or give this machine a role."
)
_NO_REGION: Final = "No AWS region found. Pass region_name= or set AWS_REGION."
_NO_ANSWER: Final = (HTTPClientError, NoConnectionError, IncompleteReadError, ResponseParserError)
_NOT_LOADED: Final = (CredentialRetrievalError, SSOError, TokenRetrievalError)
_NOT_RENEWED: Final = (BotoCoreError, ClientError, RuntimeError)
_MUST_RENEW_SECONDS: Final = 600
"""botocore renews credentials 15 minutes before they end, and waits for new ones in the last 10."""
_LONGEST_EMPTY_ANSWER: Final = 4


class Transport(Protocol):
    """Sends one request and gives its response."""

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request once, both sides in DynamoDB's JSON."""

    async def close(self) -> None:
        """Close what this transport has opened."""


@dataclass(frozen=True)
class Target:
    """Where requests go and who signs them."""

    session: Session
    region_name: str
    endpoint_url: str


def resolve_target(region_name: str | None, endpoint_url: str | None, environment: Mapping[str, str]) -> Target:
    """Find region and endpoint the way AWS SDKs do. Blocks: reads files.

    Args:
        region_name: Wins over `AWS_REGION`, which wins over `AWS_DEFAULT_REGION` and the profile.
        endpoint_url: Wins over `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL` and the profile.
        environment: The process's environment.

    Raises:
        CredentialsError: There is no region, or the named profile does not exist.
        ConfigurationError: The region or the endpoint makes no sense.
    """
    try:
        session = Session()
        region = region_name or environment.get("AWS_REGION") or session.get_config_variable("region")
        if not region:
            raise CredentialsError(_NO_REGION)
        return Target(session, region, endpoint_of(session, region, endpoint_url, environment))
    except ProfileNotFound as exc:
        raise CredentialsError(f"{exc}. Set AWS_PROFILE to a profile of ~/.aws/config.") from exc
    except (BotoCoreError, ValueError) as exc:
        raise ConfigurationError(
            f"{exc}. Check region_name, endpoint_url, the AWS_ variables and ~/.aws/config; an endpoint looks like "
            "http://localhost:8000."
        ) from exc


class BotocoreCredentials(Credentials):
    """Keys from botocore's chain: environment, profile, SSO, web identity, container, instance."""

    def __init__(self, session: Session) -> None:
        """Keep the session; nothing is looked up before the first request."""
        self._session = session
        self._found: Any = None
        self._lock = asyncio.Lock()

    async def get_key(self, http: HttpImplementation) -> Key:  # noqa: ARG002 - the chain has its own HTTP
        """Give the current key; looking it up and renewing it happen off the event loop."""
        if self._found is None or self._ends_within(_MUST_RENEW_SECONDS):
            async with self._lock:
                return await asyncio.to_thread(self._look_up)
        if self._ends_within(None):
            return await asyncio.to_thread(self._look_up)  # botocore lets one renew and the others go on
        return _frozen(self._found)

    def invalidate(self) -> bool:
        """Look the credentials up anew before the next request."""
        self._found = None
        return True

    def is_disabled(self) -> bool:
        """Always take part."""
        return False

    def _ends_within(self, seconds: int | None) -> bool:
        refresh_needed = getattr(self._found, "refresh_needed", None)
        return bool(refresh_needed and refresh_needed(seconds))

    def _look_up(self) -> Key:
        if self._found is None:
            try:
                self._found = self._session.get_credentials()
            except _NOT_RENEWED as exc:
                raise CredentialsError(f"AWS credentials could not be loaded: {type(exc).__name__}") from exc
        if self._found is None:
            raise CredentialsError(_NO_CREDENTIALS)
        return _frozen(self._found)


def _frozen(credentials: Any) -> Key:
    try:
        keys = credentials.get_frozen_credentials()
    except _NOT_RENEWED as exc:
        raise CredentialsError(f"AWS credentials could not be renewed: {type(exc).__name__}") from exc
    return Key(keys.access_key, keys.secret_key, keys.token)


@dataclass(frozen=True)
class _OneAttempt(RetryConfig):
    """aiodynamo's own retries, turned off: `retry` knows more about what is at stake."""

    def delays(self) -> list[float]:
        """There is nothing to wait for."""
        return []

    async def attempts(self) -> AsyncIterator[None]:
        """Yield once."""
        yield
        raise RetryTimeout


class AioTransport:
    """DynamoDB over aiohttp, signed by aiodynamo. Opens on the first call, in the loop of that call."""

    def __init__(
        self,
        table_name: str,
        region_name: str | None,
        endpoint_url: str | None,
        environment: Mapping[str, str],
    ) -> None:
        """Keep the settings; nothing is opened here."""
        self._table_name = table_name
        self._region_name = region_name
        self._endpoint_url = endpoint_url
        self._environment = environment
        self._target: Target | None = None
        self._client: Client | None = None
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Lock | None = None

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request once."""
        client = await self._open()
        try:
            answer = await client.send_request(action=operation, payload=request)
        except (ValueError, RecursionError) as exc:  # an answer of 200 that is not JSON
            raise transport_failure(operation, exc) from exc
        if not isinstance(answer, dict):
            raise transport_failure(operation, TypeError())
        return answer

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        session, self._session, self._client = self._session, None, None
        if session is not None and self._loop is asyncio.get_running_loop():
            await session.close()

    async def _open(self) -> Client:
        loop = asyncio.get_running_loop()
        if self._client is not None and self._loop is loop:
            return self._client
        if self._loop is not loop or self._opening is None:
            self._loop, self._opening, self._client = loop, asyncio.Lock(), None
        async with self._opening:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> Client:
        if self._target is None:
            self._target = await asyncio.to_thread(
                resolve_target, self._region_name, self._endpoint_url, self._environment
            )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS),
        )
        return Client(
            _Http(self._session, self._table_name),
            BotocoreCredentials(self._target.session),
            self._target.region_name,
            endpoint=URL(self._target.endpoint_url),
            throttle_config=_OneAttempt(),
        )


@dataclass(frozen=True)
class _Http:
    """aiodynamo's HTTP over aiohttp, with our errors in place of its own."""

    session: aiohttp.ClientSession
    table_name: str

    async def __call__(self, request: Request) -> Response:
        operation = (request.headers or {}).get("X-Amz-Target", "").rpartition(".")[2]
        try:
            async with self.session.post(request.url, headers=request.headers, data=request.body) as response:
                body = await response.read()
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as exc:
            raise transport_failure(operation, exc) from exc
        if response.status != 200:
            raise service_failure(operation, self.table_name, response.status, body)
        return Response(response.status, body)


class ClientTransport:
    """A boto3 client the user gave, called in threads of our own; or one whose methods give awaitables."""

    def __init__(self, table_name: str, client: Any) -> None:
        """Keep the client. It is never closed here."""
        self._table_name = table_name
        self._client = client
        self._pool: ThreadPoolExecutor | None = None

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request once, off the event loop."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="chainlit-dynamodb")
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._pool, self._send, operation, request)
            answer = _with_text(await answer) if inspect.isawaitable(answer) else answer
        except Exception as exc:  # a given client may raise anything; `_failure` sorts it
            raise self._failure(operation, exc) from exc
        if _is_garbled(answer):
            raise transport_failure(operation, ValueError())
        return answer  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Let go of the threads without waiting for one that hangs; the client stays open."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _send(self, operation: str, request: Mapping[str, Any]) -> Any:
        answer = getattr(self._client, xform_name(operation))(**_with_bytes(request))
        return answer if inspect.isawaitable(answer) else _with_text(answer)

    def _failure(self, operation: str, error: Exception) -> Exception:
        if isinstance(error, ClientError):
            detail = error.response.get("Error", {})
            reasons = error.response.get("CancellationReasons")
            code, message = str(detail.get("Code", "")), str(detail.get("Message", ""))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
            return coded_failure(operation, self._table_name, code, message, reasons, status=status)
        if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
            return CredentialsError(_NO_CREDENTIALS)
        if isinstance(error, NoRegionError):
            return CredentialsError(_NO_REGION)
        if isinstance(error, _NOT_LOADED):
            return CredentialsError(f"AWS credentials could not be loaded: {type(error).__name__}")
        if isinstance(error, _NO_ANSWER):
            return transport_failure(operation, error)
        return RequestError(operation, type(error).__name__, "the given client refused the request")


def _with_bytes(value: Any) -> Any:
    """Turn base64 text into the bytes that SDKs take for binary attributes."""
    if isinstance(value, Mapping):
        if len(value) == 1 and isinstance(value.get("B"), str):
            return {"B": base64.b64decode(value["B"])}
        return {k: _with_bytes(v) for k, v in value.items()}
    return [_with_bytes(v) for v in value] if isinstance(value, list) else value


def _with_text(value: Any) -> Any:
    """Turn the bytes that SDKs give for binary attributes into base64 text."""
    if isinstance(value, Mapping):
        return {k: _with_text(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_text(v) for v in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _is_garbled(answer: Any) -> bool:
    """Tell whether an SDK made nothing of an answer: botocore takes what is no JSON for an empty object."""
    if not isinstance(answer, Mapping):
        return True
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    length = str(headers.get("content-length", "2"))
    return len(answer) == 1 and bool(headers) and not 0 < int(length) <= _LONGEST_EMPTY_ANSWER


def make_transport(
    table_name: str, client: Any = None, region_name: str | None = None, endpoint_url: str | None = None
) -> Transport:
    """Make the transport for a table: through the client if one is given, else over aiohttp. Opens nothing."""
    if client is not None:
        return ClientTransport(table_name, client)
    return AioTransport(table_name, region_name, endpoint_url, os.environ)
