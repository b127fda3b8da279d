"""A server on a real socket that answers word for word what a test tells it, in place of DynamoDB."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

HOST: Final = "127.0.0.1"
BREAK: Final = b""
"""The connection ends without an answer."""
SILENCE: Final = None
"""There is no answer, and the connection stays."""


@dataclass(frozen=True)
class Received:
    """A request as it came.

    Attributes:
        url: As the request line has it: a path, or the whole URL where a proxy is asked.
        headers: Names in lower case.
        body: DynamoDB's JSON.
    """

    url: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def operation(self) -> str:
        """The operation of DynamoDB."""
        return self.headers["x-amz-target"].rpartition(".")[2]


def answer(body: object, status: int = 200, *, announced: int | None = None) -> bytes:
    """Return an HTTP answer.

    Args:
        body: JSON, or bytes as they are.
        status: HTTP status.
        announced: The length the header tells, if it lies.
    """
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = len(data) if announced is None else announced
    kind = "application/x-amz-json-1.0"
    return f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode() + data


def refusal(code: str, status: int = 400, **more: Any) -> bytes:
    """Return a refusal as DynamoDB words it."""
    return answer({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no", **more}, status)


class Wire:
    """Gives the scripted answers one after the other, then the last one for ever."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Answer with nothing found, until told otherwise.

        Args:
            port: Where to listen; 0 for any that is free.
            tls: The certificate to show; `None` for plain HTTP.
        """
        self._port = port
        self._tls = tls
        self.script: deque[bytes | None] = deque([answer({})])
        self.received: list[Received] = []
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = asyncio.Event()
        self._arrival = asyncio.Condition()

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    def will_answer(self, *answers: bytes | None) -> None:
        """Write the script."""
        self.script = deque(answers)

    async def has_received(self, count: int) -> None:
        """Wait for so many requests in all."""
        async with self._arrival:
            await self._arrival.wait_for(lambda: len(self.received) >= count)

    def break_connections(self) -> None:
        """End every connection without a word."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._serve, HOST, self._port, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._closing.set()
        self.break_connections()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._serve_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        url = head.split(" ", 2)[1]
        lines = [line.split(": ", 1) for line in head.split("\r\n")[1:] if line]
        headers = {name.lower(): value for name, value in lines}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        async with self._arrival:
            self.received.append(Received(url, headers, json.loads(body)))
            self._arrival.notify_all()
        answer = self.script.popleft() if len(self.script) > 1 else self.script[0]
        if answer is SILENCE:
            await self._closing.wait()
            return False
        if not answer:
            return False
        writer.write(answer)
        await writer.drain()
        head_of_answer, _, sent = answer.partition(b"\r\n\r\n")
        return f"Content-Length: {len(sent)}".encode() in head_of_answer
