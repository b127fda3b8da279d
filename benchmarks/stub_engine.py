"""An engine in a process of its own that answers at once and the same to everybody.

It knows one user and one thread, whose rows it sends in pages, and takes every write. What a layer costs beside it is
the layer's own work.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from benchmarks.chat import TIME, step

USER_ID: Final = "alice"
THREAD_ID: Final = "weather"
PAGE_BYTES: Final = 900_000
HOST: Final = "127.0.0.1"

Row = dict[str, Any]


def encoded(value: Any) -> Row:
    """Return a value in DynamoDB's JSON."""
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, dict):
        return {"M": _encoded_row(value)}
    return {"S": str(value)}


def _encoded_row(fields: Row) -> Row:
    return {name: encoded(value) for name, value in fields.items() if value is not None}


def user_row() -> Row:
    """Return the row of the user."""
    fields = {"id": USER_ID, "identifier": USER_ID, "createdAt": TIME.format(0), "metadata": {"role": "user"}}
    return _encoded_row({"PK": f"USER#{USER_ID}", "SK": "USER", **fields})


def thread_rows(steps: int) -> list[Row]:
    """Return the rows of the thread as its Query gives them: by sort key, the thread's own row last."""
    partition = {"PK": f"THREAD#{THREAD_ID}"}
    rows = [_step_row(partition, f"step-{number:04d}") for number in range(steps)]
    owner = {"userId": USER_ID, "userIdentifier": USER_ID}
    thread = {"id": THREAD_ID, "name": "Weather", "createdAt": TIME.format(0), "metadata": {}, **owner}
    index = {"UserThreadPK": f"USER#{USER_ID}", "UserThreadSK": f"TS#{TIME.format(0)}"}
    return [*rows, _encoded_row({**partition, "SK": "THREAD", **index, **thread})]


def _step_row(partition: Row, step_id: str) -> Row:
    return _encoded_row({**partition, "SK": f"STEP#{step_id}", **step(step_id, THREAD_ID)})


def pages(rows: list[Row]) -> list[bytes]:
    """Return the answers of a Query, each below the 1 MB that DynamoDB sends at once."""
    cut: list[list[Row]] = [[]]
    size = 0
    for row in rows:
        size += len(json.dumps(row))
        if size > PAGE_BYTES:
            cut.append([])
            size = 0
        cut[-1].append(row)
    return [_page(page, is_last=page is cut[-1]) for page in cut]


def _page(rows: list[Row], *, is_last: bool) -> bytes:
    page: Row = {"Items": rows, "Count": len(rows), "ScannedCount": len(rows)}
    if not is_last:
        page["LastEvaluatedKey"] = {name: rows[-1][name] for name in ("PK", "SK")}
    return json.dumps(page).encode()


class Answers:
    """What the engine says."""

    def __init__(self, steps: int) -> None:
        """Prepare all answers.

        Args:
            steps: How many the thread has.
        """
        rows = thread_rows(steps)
        self._items = {"USER": user_row(), "THREAD": rows[-1]}
        self._pages = pages(rows)
        self._next_pages: dict[str, bytes] = {}
        for before, after in zip(self._pages, self._pages[1:], strict=False):
            self._next_pages[json.loads(before)["LastEvaluatedKey"]["SK"]["S"]] = after

    def to(self, operation: str, request: Row) -> bytes:
        """Return the body of the answer to a request."""
        if operation == "GetItem":
            return self._item(request["Key"])
        if operation == "Query":
            return self._page(request)
        return b"{}"

    def _item(self, key: Row) -> bytes:
        found = self._items.get(key["SK"]["S"])
        is_known = found is not None and found["PK"] == key["PK"]
        return json.dumps({"Item": found} if is_known else {}).encode()

    def _page(self, request: Row) -> bytes:
        if THREAD_ID not in json.dumps(request.get("ExpressionAttributeValues", {})):
            return b'{"Items": [], "Count": 0, "ScannedCount": 0}'
        start = request.get("ExclusiveStartKey")
        return self._pages[0] if start is None else self._next_pages[start["SK"]["S"]]


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as much of it as a client of DynamoDB speaks."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._answer_one():
            pass

    def _answer_one(self) -> bool:
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        headers = dict(_headers(head))
        length = int(headers.get("content-length", 0))
        if not separator or len(rest) < length:
            return False
        self._received = rest[length:]
        operation = headers["x-amz-target"].rpartition(".")[2]
        self._send(self._answers.to(operation, json.loads(rest[:length])))
        return True

    def _send(self, body: bytes) -> None:
        assert self._transport is not None
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


def _headers(head: bytes) -> Iterator[tuple[str, str]]:
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        yield name.lower(), value.strip()


async def serve(steps: int) -> None:
    """Serve on a free port, and print its URL."""
    answers = Answers(steps)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(answers), HOST, 0)
    print(f"http://{HOST}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


@contextmanager
def stub_engine(steps: int) -> Iterator[str]:
    """Run the engine in a process of its own for the length of a `with` block.

    Args:
        steps: How many the thread has.

    Returns:
        Its endpoint.
    """
    command = [sys.executable, "-m", "benchmarks.stub_engine", str(steps)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
