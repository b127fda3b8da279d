"""The table cannot be reached in the middle of a busy chat: the page goes on, and afterwards all is there."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Request, expect

from chainlit_dynamodb.ops.create_bucket import create_bucket
from chainlit_dynamodb.ops.create_table import create_table
from tests.browser.chat_page import ChatPage, is_loaded
from tests.browser.chat_server import BUCKET, DEMO, ChatServer, aws_client, rows_of
from tests.browser.conftest import Visitor
from tests.outages import PROBE_SECONDS, CutOff, Probe, engine_to_cut_off

SECONDS = float(os.environ.get("OUTAGE_SECONDS", "10"))
AT_ONCE_SECONDS = 2.0
SLOWER_SECONDS = 4.0
TABLE = f"chats-{uuid.uuid4().hex}"
PAGES = ("/", "/health", "/user")
ASKED = ("How is the weather, for the {} time?", "Show me the sunset, for the {} time", "Nothing, for the {} time")
ANSWERED = ("A calm day at the harbour", "Tonight's sunset", "I am the weather station")

pytestmark = pytest.mark.timeout(120 + 3 * SECONDS)


@dataclass
class Lived:
    """What happened during an outage: per tab what was asked, and how long everything took."""

    asked: list[list[str]]
    answered: list[list[str]]
    usual_seconds: float = 0.0
    seconds: list[float] = field(default_factory=list)
    requests: dict[str, float] = field(default_factory=dict)
    probes: dict[str, Probe] = field(default_factory=dict)
    rows_before: int = 0
    rows_meanwhile: set[int] = field(default_factory=set)

    def line(self) -> str:
        """Say it in one line."""
        pages = ", ".join(f"{path} {max(p.seconds):.2f} s of {len(p.seconds)}" for path, p in self.probes.items())
        requests = ", ".join(f"{path} {seconds:.2f} s" for path, seconds in self.requests.items())
        return (
            f"outage of {SECONDS:g} s: {len(self.seconds)} messages answered, slowest {max(self.seconds):.2f} s "
            f"(before it {self.usual_seconds:.2f} s); slowest of all requests: {pages}; of the page's own: {requests}"
        )


@pytest.fixture(scope="module")
def cut_off(ministack_url: str) -> Iterator[CutOff]:
    """The way from the server to its table."""
    with engine_to_cut_off(ministack_url) as cut_off:
        yield cut_off


@pytest.fixture(scope="module")
def engine(ministack_url: str) -> Any:
    """A client of the table past the outage."""
    return aws_client("dynamodb", ministack_url)


@pytest.fixture(scope="module")
def server(
    cut_off: CutOff, engine: Any, ministack_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ChatServer]:
    """A server that reaches its table that way, and its bucket straight."""
    create_table(engine, TABLE)
    create_bucket(aws_client("s3", ministack_url), BUCKET)
    variables = {
        "AWS_ENDPOINT_URL_DYNAMODB": cut_off.proxy.url,
        "AWS_ENDPOINT_URL_S3": ministack_url,
        "CHAINLIT_DYNAMODB_TABLE": TABLE,
        "CHAINLIT_DYNAMODB_BUCKET": BUCKET,
    }
    server = ChatServer.of_app(DEMO / "app.py", tmp_path_factory.mktemp("cut-off"), variables)
    server.start()
    yield server
    assert server.stop() == 0
    assert server.complaints() == []


@pytest.fixture(scope="module")
def tabs(visitor: Visitor, server: ChatServer) -> Iterator[list[ChatPage]]:
    """A chat that has begun, and one that will begin when the table is gone."""
    tabs = [visitor.new_tab().open(), visitor.new_tab().open()]
    yield tabs
    for tab in tabs:
        tab.page.close()


@pytest.fixture(scope="module")
def lived(
    tabs: list[ChatPage], cut_off: CutOff, engine: Any, server: ChatServer, request: pytest.FixtureRequest
) -> Lived:
    """An outage through which both chats go on; when it is over, both are asked once more."""
    lived, number = Lived([[], []], [[], []]), len(ASKED)
    lived.usual_seconds = max(_ask(tabs[0], 0, kind, lived) for kind in range(number))
    tabs[0].reload()  # it shows what is written, so afterwards all is
    thread = tabs[0].thread_id
    lived.rows_before = len(rows_of(engine, TABLE, thread))
    cookies = tabs[0].page.context.cookies(server.url)
    logged_in = {"Cookie": "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in cookies)}
    for chat in tabs:
        chat.page.on("requestfinished", lambda finished: _note(finished, lived))
    with ExitStack() as probing:
        lived.probes = {path: probing.enter_context(Probe(server.port, path, logged_in)) for path in PAGES}
        outage = cut_off.begin(SECONDS)
        while not outage.done():
            for tab in (0, 1):
                lived.seconds.append(_ask(tabs[tab], tab, number, lived))
            number += 1
            rows = len(rows_of(engine, TABLE, thread))
            if not outage.done():
                lived.rows_meanwhile.add(rows)
        outage.result()
    for tab in (0, 1):
        _ask(tabs[tab], tab, number, lived)
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        request.config.get_terminal_writer().line(f"\n{lived.line()}")
    return lived


def _ask(chat: ChatPage, tab: int, number: int, lived: Lived) -> float:
    kind = number % len(ASKED)
    lived.asked[tab].append(ASKED[kind].format(number))
    lived.answered[tab].append(ANSWERED[kind])
    chat.page.bring_to_front()
    start = time.monotonic()
    expect(chat.ask(ASKED[kind].format(number))).to_contain_text(ANSWERED[kind])
    return time.monotonic() - start


def _note(finished: Request, lived: Lived) -> None:
    path = "/".join(finished.url.split("?")[0].split("/")[3:5])
    seconds = finished.timing["responseStart"] / 1000
    lived.requests[path] = max(seconds, lived.requests.get(path, 0.0))


def test_meanwhile_every_answer_is_streamed_to_its_end(lived: Lived) -> None:
    assert len(lived.seconds) >= 4
    assert max(lived.seconds) < lived.usual_seconds + SLOWER_SECONDS


def test_meanwhile_nothing_reaches_the_table(lived: Lived) -> None:
    assert lived.rows_meanwhile == {lived.rows_before}


@pytest.mark.parametrize("path", PAGES)
def test_meanwhile_the_server_answers_at_once(lived: Lived, path: str) -> None:
    assert set(lived.probes[path].statuses) == {200}
    assert len(lived.probes[path].seconds) > SECONDS / (AT_ONCE_SECONDS + PROBE_SECONDS)
    assert max(lived.probes[path].seconds) < AT_ONCE_SECONDS


@pytest.mark.parametrize("tab", [0, 1], ids=["begun before", "begun meanwhile"])
def test_afterwards_a_reloaded_chat_has_every_message_once_and_in_order(
    lived: Lived, tabs: list[ChatPage], tab: int
) -> None:
    tabs[tab].page.bring_to_front()
    tabs[tab].reload()
    expect(tabs[tab].questions).to_have_text(lived.asked[tab])
    expect(tabs[tab].answers).to_contain_text(lived.answered[tab])
    images = tabs[tab].page.locator("img.inline-image").all()
    assert len(images) == lived.answered[tab].count(ANSWERED[1])
    assert all(is_loaded(image) for image in images)
    tools = tabs[tab].page.get_by_role("button", name="harbour sensors")
    expect(tools).to_have_count(lived.answered[tab].count(ANSWERED[0]))


def test_afterwards_both_chats_are_listed(lived: Lived, tabs: list[ChatPage], chat: ChatPage) -> None:
    for old in tabs:
        expect(chat.entry(old.thread_id)).to_be_visible()
