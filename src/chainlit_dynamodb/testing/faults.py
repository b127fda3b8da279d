"""A proxy that makes DynamoDB fail the way it does in production, by a seed.

Put it between any data layer and an engine:

    async with FaultProxy("http://127.0.0.1:8001", FaultPlan.stormy(), seed=7) as proxy:
        layer = DynamoDBDataLayer("chats", endpoint_url=proxy.url)
        ...
    print(proxy.injected)
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any, Final

import aiohttp
from aiohttp import web

HOST: Final = "127.0.0.1"
_MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_HOP_HEADERS: Final = frozenset({"connection", "content-length", "transfer-encoding", "content-encoding"})
"""Not `Host`: it is part of what is signed."""


@dataclass(frozen=True)
class FaultPlan:
    """How likely each fault is, from 0 to 1, for each request.

    Attributes:
        latency: The answer takes up to a second longer.
        throttling: 400, ProvisionedThroughputExceededException; nothing is done.
        server_error: 500 or 503; nothing is done.
        reset_before: The connection breaks before the engine sees the request.
        reset_after: The engine does it, and the connection breaks before the answer.
        truncated: The engine does it, and half of the answer arrives.
        garbage: The engine does it, and the answer is not JSON.
        unprocessed: A batch is done in part, and the rest is given back.
    """

    latency: float = 0.0
    throttling: float = 0.0
    server_error: float = 0.0
    reset_before: float = 0.0
    reset_after: float = 0.0
    truncated: float = 0.0
    garbage: float = 0.0
    unprocessed: float = 0.0

    @classmethod
    def stormy(cls) -> FaultPlan:
        """About a third of all requests fail, in every way there is."""
        return cls(0.05, 0.08, 0.05, 0.05, 0.05, 0.02, 0.02, 0.3)

    def draw(self, chance: random.Random) -> frozenset[str]:
        """Draw the faults of one request."""
        return frozenset(f.name for f in fields(self) if chance.random() < getattr(self, f.name))


def at_once(_: str) -> float:
    """Return no delay for any operation."""
    return 0.0


class FaultProxy:
    """Passes requests on to an engine, or not.

    Attributes:
        plan: How often what goes wrong.
        injected: How often what went wrong.
        requests: How many came.
        delay_seconds: How long a request of an operation, as `GetItem`, is kept; `math.inf` never answers it.
    """

    def __init__(self, target_url: str, plan: FaultPlan, *, seed: int = 0, port: int = 0) -> None:
        """Prepare a proxy; entering the context starts it.

        Args:
            target_url: The engine.
            plan: How often what goes wrong.
            seed: The same seed draws the same faults for the same sequence of requests.
            port: Where to listen; 0 takes a free one.
        """
        self.plan = plan
        self.injected: Counter[str] = Counter()
        self.requests = 0
        self.delay_seconds: Callable[[str], float] = at_once
        self._over = asyncio.Event()
        self._target_url = target_url
        self._chance = random.Random(seed)  # noqa: S311 - faults are to be repeatable
        self._port = port
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        """Where the data layer is to connect."""
        return f"http://{HOST}:{self._port}"

    async def __aenter__(self) -> FaultProxy:
        """Start to listen."""
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        self._over.set()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def outage(self, seconds: float) -> None:
        """Refuse all connections for a while, breaking those that are open."""
        await self._refuse_until(asyncio.sleep(seconds))

    async def outage_until(self, end: asyncio.Event) -> None:
        """Refuse all connections until an event."""
        await self._refuse_until(end.wait())

    async def _refuse_until(self, end: Awaitable[object]) -> None:
        self.injected["outage"] += 1
        if self._site is not None:
            await self._site.stop()
        plan, self.plan = self.plan, FaultPlan(reset_before=1.0)
        await end
        self.plan = plan
        await self._listen()

    async def _listen(self) -> None:
        if self._runner is None:
            return
        self._site = web.TCPSite(self._runner, HOST, self._port, reuse_address=True)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        body = await request.read()
        if await self._is_kept(self.delay_seconds(request.headers.get("X-Amz-Target", "").rpartition(".")[2])):
            return await _break(request)
        faults = self.plan.draw(self._chance)
        if "latency" in faults:
            self._count("latency")
            await asyncio.sleep(self._chance.random())
        for name, spoil in _BEFORE.items():
            if name in faults:
                self._count(name)
                return await spoil(request)
        try:
            status, headers, answer = await self._pass_on(request, body, halve="unprocessed" in faults)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError):
            return await _break(request)
        for name, spoil_answer in _AFTER.items():
            if name in faults:
                self._count(name)
                return await spoil_answer(request, answer)
        return web.Response(status=status, headers=headers, body=answer)

    async def _is_kept(self, seconds: float) -> bool:
        """Keep a request, and return whether that is to the end of the proxy."""
        if not seconds:
            return False
        with suppress(asyncio.TimeoutError):
            return await asyncio.wait_for(self._over.wait(), None if math.isinf(seconds) else seconds)
        return False

    async def _pass_on(self, request: web.Request, body: bytes, *, halve: bool) -> tuple[int, dict[str, str], bytes]:
        rest: dict[str, Any] = {}
        if halve and request.headers.get("X-Amz-Target", "").endswith(".BatchWriteItem"):
            body, rest = _halved(body)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_HEADERS}
        assert self._session is not None  # noqa: S101 - requests come only while it listens
        async with self._session.request(
            request.method, self._target_url + request.path_qs, headers=headers, data=body
        ) as response:
            answer = await response.read()
            kept = {k: v for k, v in response.headers.items() if k.lower() not in _HOP_HEADERS}
            status = response.status
        if rest and status == 200:
            self._count("unprocessed")
            answer = json.dumps({**json.loads(answer), "UnprocessedItems": rest}).encode()
            kept.pop("x-amz-crc32", None)
        return status, kept, answer

    def _count(self, name: str) -> None:
        self.injected[name] += 1


def _halved(body: bytes) -> tuple[bytes, dict[str, Any]]:
    """Keep half of a batch, and give the other half back."""
    request = json.loads(body)
    ((table, writes),) = request["RequestItems"].items()
    if len(writes) < 2:
        return body, {}
    middle = len(writes) // 2
    return json.dumps({**request, "RequestItems": {table: writes[:middle]}}).encode(), {table: writes[middle:]}


def _refusal(status: int, code: str) -> web.Response:
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "injected"}
    return web.json_response(body, status=status, content_type="application/x-amz-json-1.0")


async def _throttle(_: web.Request) -> web.StreamResponse:
    return _refusal(400, "ProvisionedThroughputExceededException")


async def _server_error(_: web.Request) -> web.StreamResponse:
    return _refusal(500, "InternalServerError")


async def _break(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)


async def _break_after(request: web.Request, _: bytes) -> web.StreamResponse:
    return await _break(request)


async def _truncate(request: web.Request, answer: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(len(answer) + 1)})
    with suppress(ConnectionResetError):  # the caller is gone already
        await response.prepare(request)
        await response.write(answer[: len(answer) // 2])
    await _break(request)
    return response


async def _garble(_: web.Request, __: bytes) -> web.StreamResponse:
    return web.Response(status=200, body=b"<html>502 Bad Gateway</html>")


_BEFORE: Final[dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]] = {
    "throttling": _throttle,
    "server_error": _server_error,
    "reset_before": _break,
}
_AFTER: Final[dict[str, Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]]] = {
    "reset_after": _break_after,
    "truncated": _truncate,
    "garbage": _garble,
}
