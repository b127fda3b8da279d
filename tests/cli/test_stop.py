"""A server is told to stop while its table is well: what was told is stored, and nobody is cut short."""

from __future__ import annotations

import asyncio
import http.client
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest

from tests.cli.conftest import Serve
from tests.cli.pages import open_page, say
from tests.cli.processes import Served
from tests.outages import CutOff, engine_to_cut_off

ROOT = Path(__file__).parents[2]
MOUNTED = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT), "tests.cli.stop_app:app"]
BY_ITSELF = [sys.executable, "-m", "chainlit", "run", str(Path(__file__).with_name("stop_app.py")), "-h"]
ENDED = (0, -signal.SIGTERM)
"""uvicorn sends itself the signal again, once it has stopped."""
CLOSE_SECONDS = 1.0
WRITE_SECONDS = 0.4

Rows = Callable[[], list[dict[str, Any]]]

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def rows(ministack_url: str, table: str) -> Rows:
    """Read all there is."""
    resource: Any = boto3.resource("dynamodb", endpoint_url=ministack_url)
    return lambda: list(resource.Table(table).scan(ConsistentRead=True)["Items"])


@pytest.fixture
def serve_app(serve: Serve, table: str) -> Callable[..., Served]:
    """Start the app."""

    def serve_app(command: list[str], url: str) -> Served:
        mounted = {"MOUNTED": "1"} if command is MOUNTED else {}
        return serve(
            command=command,
            AWS_ENDPOINT_URL_DYNAMODB=url,
            CHAINLIT_AUTH_SECRET="of-this-test-only, long enough to sign with",
            CLOSE_SECONDS=str(CLOSE_SECONDS),
            TABLE=table,
            **mounted,
        )

    return serve_app


@contextmanager
def asked(served: Served, path: str) -> Iterator[http.client.HTTPResponse]:
    """Ask for something and give the answer as soon as it begins."""
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)) as connection:
        connection.request("GET", path)
        yield connection.getresponse()


def test_what_was_told_is_stored_also_where_chainlit_is_mounted(
    serve_app: Callable[..., Served], ministack_url: str, rows: Rows
) -> None:
    with engine_to_cut_off(ministack_url) as way:
        served = serve_app(MOUNTED, way.proxy.url)
        slow_down(way)
        assert served.get("/tell") == 200
        assert rows() == []
        assert served.stop(signal.SIGTERM) in ENDED
    assert [row["name"] for row in rows()] == ["told at last"]
    assert "Closed with" not in served.output


def slow_down(way: CutOff) -> None:
    """Let the engine take its time, and answer."""
    way.proxy.delay_seconds = lambda _: WRITE_SECONDS


def test_an_answer_that_is_under_way_is_given_to_its_end(
    serve_app: Callable[..., Served], ministack_url: str
) -> None:
    served = serve_app(MOUNTED, ministack_url)
    assert served.get("/tell") == 200  # there is a layer
    with asked(served, "/stream") as answer:
        served.process.send_signal(signal.SIGTERM)
        assert answer.read().endswith(b"the end")
    assert served.process.wait(5) in ENDED


async def test_the_end_of_a_chat_takes_its_time_and_is_stored(
    serve_app: Callable[..., Served], ministack_url: str, rows: Rows
) -> None:
    served = await asyncio.to_thread(serve_app, BY_ITSELF, ministack_url)
    async with aiohttp.ClientSession() as http:
        await say_hello(served, http)
        assert await asyncio.to_thread(served.stop, signal.SIGTERM) == 0
    (thread,) = (row for row in rows() if row["SK"] == "THREAD")
    assert "all was said" in str(thread["metadata"])


async def say_hello(served: Served, http: aiohttp.ClientSession) -> None:
    """Be a page that sent a message and was answered."""
    page = await open_page(f"http://127.0.0.1:{served.port}", http, str(uuid.uuid4()))
    await say(page, "hello", timeout_seconds=10)
