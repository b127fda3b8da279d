"""The table goes away under a server: what a browser asks is answered in time, and so is a signal to stop."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from chainlit.user import User

from chainlit_dynamodb import DynamoDBDataLayer
from chainlit_dynamodb.ops.create_table import create_table
from tests.cli.conftest import COMMAND, Serve
from tests.cli.processes import Served, wait_for
from tests.cli.test_demo import log_in
from tests.contract.chats import enter_chat, message, start_thread
from tests.outages import GRAY, REFUSING, SILENT, WAYS, CutOff, engine_to_cut_off

APP = str(Path(__file__).with_name("outage_app.py"))
CHAINLIT = [sys.executable, "-m", "chainlit"]
ANSWERED_SECONDS = 30.0
CLOSE_SECONDS = 3.0
GRACE_SECONDS = 3.0
STARTED_BY = {
    "run": (COMMAND, "drop-in"),
    "chainlit run, drop-in": (CHAINLIT, "drop-in"),
    "chainlit run, import": (CHAINLIT, "import"),
}

pytestmark = pytest.mark.timeout(120)


class Answer(NamedTuple):
    """What a server answered; status 0 is a connection that ended without."""

    status: int
    body: str
    seconds: float


class Browser:
    """Asks a server as the page of somebody who is logged in does, several things at once."""

    def __init__(self, served: Served, pool: ThreadPoolExecutor) -> None:
        """Log in."""
        self._served = served
        self._pool = pool
        _, self._cookie = log_in(served, "alice", "any")

    def ask(self, method: str, path: str, body: Any) -> Future[Answer]:
        """Send something in JSON."""
        return self._pool.submit(self._ask, method, path, json.dumps(body), "application/json")

    def log_in_again(self) -> Future[Answer]:
        """Send the form of the login page."""
        form = "username=alice&password=any"
        return self._pool.submit(self._ask, "POST", "/login", form, "application/x-www-form-urlencoded")

    def _ask(self, method: str, path: str, body: str, kind: str) -> Answer:
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._served.port, timeout=90)
        try:
            connection.request(method, path, body, {"Cookie": self._cookie, "Content-Type": kind})
            response = connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException):
            return Answer(0, "", time.monotonic() - started)
        finally:
            connection.close()
        return Answer(response.status, text, time.monotonic() - started)


RENAME = ("PUT", "/project/thread", {"threadId": "t1", "name": "renamed"})
SHARE = ("PUT", "/project/thread/share", {"threadId": "t1", "isShared": True})
THREADS = ("POST", "/project/threads", {"pagination": {"first": 20}, "filter": {}})
THREAD = ("GET", "/project/thread/t1", None)
FEEDBACK = ("PUT", "/feedback", {"feedback": {"forId": "s1", "threadId": "t1", "value": 1}, "sessionId": "none"})
ASKED = {"rename": RENAME, "share": SHARE, "list": THREADS, "open": THREAD, "feedback": FEEDBACK}


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads to ask from."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture
def table(ministack_url: str) -> str:
    """A table with a chat of alice, and a step in it."""
    name = f"outage-{uuid.uuid4().hex}"
    create_table(boto3.client("dynamodb", endpoint_url=ministack_url), name)
    asyncio.run(_write_chat(name, ministack_url))
    return name


async def _write_chat(table: str, url: str) -> None:
    layer = DynamoDBDataLayer(table, endpoint_url=url)
    await layer.create_user(User("alice"))
    await start_thread(layer)
    enter_chat("t1")
    await layer.create_step(message("s1"))
    await layer.close()


@pytest.fixture
def cut_off(ministack_url: str) -> Iterator[CutOff]:
    """The way from a server to its table."""
    with engine_to_cut_off(ministack_url) as cut_off:
        yield cut_off


@pytest.fixture
def serve_by(serve: Serve, table: str, cut_off: CutOff) -> Callable[[str], Served]:
    """Start a server that reaches its table that way."""

    def serve_by(name: str) -> Served:
        command, layer_by = STARTED_BY[name]
        variables = {
            "AWS_ENDPOINT_URL_DYNAMODB": cut_off.proxy.url,
            "CHAINLIT_AUTH_SECRET": "of-this-test-only, long enough to sign with",
            "CLOSE_SECONDS": str(CLOSE_SECONDS),
            "LAYER_BY": layer_by,
            "TABLE": table,
        }
        return serve("run", APP, "-h", command=command, **variables)

    return serve_by


@pytest.mark.parametrize("way", WAYS)
def test_what_a_browser_asks_is_answered_in_time_and_what_it_wrote_is_tried_on(
    serve_by: Callable[[str], Served], cut_off: CutOff, pool: ThreadPoolExecutor, way: str
) -> None:
    served = serve_by("run")
    browser = Browser(served, pool)
    with cut_off.away(way):
        asked = {name: browser.ask(*what) for name, what in ASKED.items()} | {"login": browser.log_in_again()}
        answers = {name: answer.result() for name, answer in asked.items()}
    assert max(answer.seconds for answer in answers.values()) < ANSWERED_SECONDS
    assert answers.pop("login").status == 200
    for name, answer in answers.items():
        assert answer.status == (500 if name == "feedback" else 503)
        assert "DynamoDB does not answer" in json.loads(answer.body)["detail"]
    assert wait_for(lambda: '"feedback":{' in browser.ask(*THREAD).result().body.replace(" ", ""))
    assert "Traceback" not in served.output
    assert served.output.count(" - ERROR - ") == 1  # by Chainlit's login, which lets in nevertheless


def test_renaming_and_sharing_are_answered_in_time_though_only_writes_hang(
    serve_by: Callable[[str], Served], cut_off: CutOff, pool: ThreadPoolExecutor
) -> None:
    browser = Browser(serve_by("run"), pool)
    with cut_off.away(GRAY):
        renamed, shared = browser.ask(*RENAME).result, browser.ask(*SHARE).result
        assert [answer().status for answer in (renamed, shared)] == [503, 503]
        assert max(answer().seconds for answer in (renamed, shared)) < ANSWERED_SECONDS
    assert wait_for(lambda: '"is_shared":true' in browser.ask(*THREAD).result().body.replace(" ", ""))


@pytest.mark.parametrize(
    ("started_by", "number", "way"),
    [
        ("run", signal.SIGTERM, SILENT),
        ("run", signal.SIGINT, REFUSING),
        ("chainlit run, drop-in", signal.SIGTERM, REFUSING),
        ("chainlit run, import", signal.SIGTERM, SILENT),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_signal_ends_the_server_in_time_and_it_says_what_was_lost(
    serve_by: Callable[[str], Served],
    cut_off: CutOff,
    pool: ThreadPoolExecutor,
    started_by: str,
    number: int,
    way: str,
) -> None:
    served = serve_by(started_by)
    browser = Browser(served, pool)
    with cut_off.away(way):
        asked = [browser.ask(*what) for what in ASKED.values()] + [browser.log_in_again()]
        time.sleep(1.5)
        started = time.monotonic()
        assert served.stop(number) == 0
        seconds = time.monotonic() - started
    assert all(answer.result().status for answer in asked)
    assert seconds < CLOSE_SECONDS + GRACE_SECONDS
    assert "Closed with 2 writes that could not be stored in time" in served.output
    assert "Traceback" not in served.output
