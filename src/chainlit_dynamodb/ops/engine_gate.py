"""What stands in front of the embedded engine: nobody gets in but who knows its secret.

Other users of the machine reach its ports, and any web page makes its browser send requests to them.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

from chainlit_dynamodb.ops.request_signature import Request, is_signed, needs_body
from chainlit_dynamodb.storage.cors import EXPOSED_HEADERS, MAX_AGE_SECONDS

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_THIS_MACHINE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_READS: Final = frozenset({"GET", "HEAD"})
_MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""DynamoDB's requests end at 16 MB; the bodies of S3 are not read here."""
_REFUSAL: Final = "The embedded engine answers only what is signed with the secret in its data folder."


class Gate:
    """Lets signed requests pass to an engine, and pages of this machine read what a signed URL opens."""

    def __init__(self, engine: App, secret: str) -> None:
        """Take the engine.

        Args:
            engine: What answers.
            secret: The secret access key.
        """
        self._engine = engine
        self._secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._engine(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = _request_of(scope)
        if not _is_for_this_machine(request):
            await _refuse(request, send)
        elif request.method == "OPTIONS":
            await _answer(send, 204 if _may_read(request) else 403, _allowance(request))
        else:
            await self._serve_signed(request, scope, receive, send)

    async def _serve_signed(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive) if needs_body(request) else None
        is_read = request.method in _READS
        if not is_signed(request, body or b"", self._secret) or (request.is_presigned and not is_read):
            await _refuse(request, send)
            return
        heard = receive if body is None else _repeating(body, receive)
        await self._engine(scope, heard, _with_own_cors(request, send))


def _request_of(scope: Scope) -> Request:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    path = scope.get("raw_path") or scope["path"].encode()
    return Request(
        scope["method"], path.partition(b"?")[0].decode("latin-1"), scope["query_string"].decode("latin-1"), headers
    )


def _is_for_this_machine(request: Request) -> bool:
    """Return whether it asks for data, of this machine: a page may have its own host's name lead here."""
    is_admin = request.path.startswith("/_")
    return not is_admin and urlsplit(f"//{request.headers.get('host', '')}").hostname in _THIS_MACHINE


def _may_read(request: Request) -> bool:
    """Return whether a page of this machine asks what it may do, or reads a file."""
    method = request.headers.get("access-control-request-method", request.method)
    return method in _READS and _origin(request) is not None


def _origin(request: Request) -> str | None:
    origin = request.headers.get("origin", "")
    return origin if urlsplit(origin).hostname in _THIS_MACHINE else None


def _allowance(request: Request) -> list[tuple[bytes, bytes]]:
    """Return the headers that let a page of this machine read a file."""
    if not _may_read(request):
        return []
    allowed = {
        "access-control-allow-origin": _origin(request) or "",
        "access-control-allow-methods": "GET, HEAD",
        "access-control-allow-headers": "range",
        "access-control-expose-headers": ", ".join(EXPOSED_HEADERS),
        "access-control-max-age": str(MAX_AGE_SECONDS),
        "vary": "Origin",
    }
    return [(name.encode(), value.encode("latin-1")) for name, value in allowed.items()]


def _with_own_cors(request: Request, send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            others = [header for header in message["headers"] if not header[0].lower().startswith(b"access-control-")]
            message = {**message, "headers": [*others, *(_allowance(request) if request.is_presigned else [])]}
        await send(message)

    return sent


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while len(body) <= _MAX_BODY_BYTES:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)
    return b""  # whatever was signed, it was not this


def _repeating(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read before, then what follows it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def repeated() -> Message:
        return waiting.pop() if waiting else await receive()

    return repeated


async def _refuse(request: Request, send: Send) -> None:
    if "x-amz-target" in request.headers:
        body = json.dumps({"__type": "com.amazon.coral.service#InvalidSignatureException", "message": _REFUSAL})
        kind = b"application/x-amz-json-1.0"
    else:
        body = f"<Error><Code>SignatureDoesNotMatch</Code><Message>{_REFUSAL}</Message></Error>"
        kind = b"application/xml"
    await _answer(send, 403, [(b"content-type", kind)], body.encode())


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
