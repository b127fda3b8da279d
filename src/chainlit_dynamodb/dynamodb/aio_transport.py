"""DynamoDB over aiohttp, signed by aiodynamo."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiodynamo.credentials import Key
from aiodynamo.sign import Request, signed_dynamo_request
from yarl import URL

from chainlit_dynamodb.dynamodb.credentials import AwsCredentials
from chainlit_dynamodb.dynamodb.endpoint import Target, resolve_target
from chainlit_dynamodb.dynamodb.failures import service_failure, table_of, transport_failure
from chainlit_dynamodb.errors import CredentialsError, TransientError

CONNECT_SECONDS: Final = 5.0
READ_ANSWER_SECONDS: Final = 8.0
"""Somebody waits: there is time for a second and a third try."""
WRITE_ANSWER_SECONDS: Final = 15.0
READ_CONNECTIONS: Final = 32
WRITE_CONNECTIONS: Final = 48
_READS: Final = frozenset({"GetItem", "BatchGetItem", "Query"})

_NO_ANSWER: Final = (aiohttp.ClientError, asyncio.TimeoutError, OSError)


@dataclass(frozen=True)
class _Connection:
    """What is open in one event loop."""

    loop: asyncio.AbstractEventLoop
    reads: aiohttp.ClientSession
    writes: aiohttp.ClientSession
    credentials: AwsCredentials
    region_name: str
    endpoint: URL
    proxy_url: str | None

    def http_for(self, operation: str) -> aiohttp.ClientSession:
        """Return the connections of an operation: writes that get no answer leave those of reads alone."""
        return self.reads if operation in _READS else self.writes

    def signed(self, operation: str, request: Mapping[str, Any], key: Key) -> Request:
        """Return a request as it goes over the wire."""
        return signed_dynamo_request(
            key=key, payload=request, action=operation, region=self.region_name, endpoint=self.endpoint
        )

    async def close(self) -> None:
        """Close all connections."""
        await self.reads.close()
        await self.writes.close()


class AioTransport:
    """DynamoDB over aiohttp. Opens on the first call, in the loop of that call."""

    def __init__(
        self,
        table_name: str,
        region_name: str | None,
        endpoint_url: str | None,
        environment: Mapping[str, str],
    ) -> None:
        """Keep the settings; nothing is opened or looked up here.

        Args:
            table_name: For messages.
            region_name: See `resolve_target`.
            endpoint_url: See `resolve_target`.
            environment: The process's environment.
        """
        self._table_name = table_name
        self._region_name = region_name
        self._endpoint_url = endpoint_url
        self._environment = environment
        self._target: Target | None = None
        self._connection: _Connection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Lock | None = None

    @classmethod
    def to(cls, target: Target, table_name: str) -> AioTransport:
        """Make a transport to a target that is known already, as where several tables share an endpoint."""
        transport = cls(table_name, target.region_name, target.endpoint_url, {})
        transport._target = target
        return transport

    @property
    def is_open(self) -> bool:
        """Whether there is a session with connections of its own."""
        return self._connection is not None

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request once."""
        to = self._connection
        if to is None or to.loop is not asyncio.get_running_loop():
            to = await self._open()
        key = await to.credentials.get_key()
        signed = to.signed(operation, request, key)
        try:
            async with to.http_for(operation).post(
                signed.url, headers=signed.headers, data=signed.body, proxy=to.proxy_url
            ) as response:
                body = await response.read()
        except _NO_ANSWER as exc:
            raise transport_failure(operation, exc, str(to.endpoint.origin())) from exc
        except ValueError as exc:  # without its text, which may quote the credentials
            raise CredentialsError(f"{operation}: AWS credentials hold what no header can: a line break?") from exc
        if response.status != 200:
            failure = service_failure(operation, table_of(request, self._table_name), response.status, body)
            if isinstance(failure, CredentialsError) and await to.credentials.replace(key):
                raise TransientError(operation, "CredentialsRefused", "there are new AWS credentials") from failure
            raise failure
        return _parsed(operation, body)

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        closing, self._connection = self._connection, None
        if closing is not None and closing.loop is asyncio.get_running_loop():
            await closing.close()

    async def _open(self) -> _Connection:
        loop = asyncio.get_running_loop()
        if self._loop is not loop or self._opening is None:
            self._loop, self._opening, self._connection = loop, asyncio.Lock(), None
        async with self._opening:
            if self._connection is None:
                self._connection = await self._connect(loop)
            return self._connection

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> _Connection:
        if self._target is None:
            self._target = await asyncio.to_thread(
                resolve_target, self._region_name, self._endpoint_url, self._environment
            )
        target = self._target
        endpoint = URL(target.endpoint_url)
        endpoint = endpoint.with_path(endpoint.raw_path, encoded=True)  # proxies want the "/" that an URL may lack
        return _Connection(
            loop,
            _session(target, READ_CONNECTIONS, READ_ANSWER_SECONDS),
            _session(target, WRITE_CONNECTIONS, WRITE_ANSWER_SECONDS),
            AwsCredentials(target.session),
            target.region_name,
            endpoint,
            target.proxy_url,
        )


def _session(target: Target, connections: int, answer_seconds: float) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ssl=target.tls or True),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=answer_seconds),
    )


def _parsed(operation: str, body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as exc:  # an answer of 200 that is not JSON
        raise transport_failure(operation, exc) from exc
    if not isinstance(answer, dict):
        raise transport_failure(operation, TypeError())
    return answer
