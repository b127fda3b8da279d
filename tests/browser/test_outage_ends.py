"""The table goes away amid a chat: what its page is told, and what becomes of it when the server is stopped."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chainlit_dynamodb.ops.create_table import create_table
from tests.browser.chat_page import ChatPage
from tests.browser.chat_server import ChatServer, aws_client, rows_of
from tests.browser.conftest import Visitor
from tests.cli.processes import wait_for
from tests.outages import WAYS, CutOff, engine_to_cut_off

APP = Path(__file__).parents[1] / "cli" / "outage_app.py"
CLOSE_SECONDS = 3.0
GRACE_SECONDS = 3.0
STAR_SECONDS = 10.0

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def engine(ministack_url: str) -> Any:
    """A client of the table past the outage."""
    return aws_client("dynamodb", ministack_url)


@pytest.fixture(scope="module")
def table(engine: Any) -> str:
    """A fresh table."""
    name = f"outage-{uuid.uuid4().hex}"
    create_table(engine, name)
    return name


@pytest.fixture(scope="module")
def cut_off(ministack_url: str) -> Iterator[CutOff]:
    """The way from the server to its table."""
    with engine_to_cut_off(ministack_url) as cut_off:
        yield cut_off


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """How the table is away."""
    return str(request.param)


@pytest.fixture(scope="module")
def server(way: str, cut_off: CutOff, table: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    """A server that reaches its table that way."""
    variables = {
        "AWS_ENDPOINT_URL_DYNAMODB": cut_off.proxy.url,
        "CLOSE_SECONDS": str(CLOSE_SECONDS),
        "LAYER_BY": "import",
        "TABLE": table,
    }
    server = ChatServer.of_app(APP, tmp_path_factory.mktemp(way), variables)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def begun(visitor: Visitor) -> ChatPage:
    """A chat with a question that is stored."""
    chat = visitor.new_tab().open()
    chat.ask("A question to keep")
    return chat


def test_a_star_is_answered_in_time_and_tried_on(
    begun: ChatPage, cut_off: CutOff, way: str, engine: Any, table: str
) -> None:
    thread = begun.thread_id
    assert wait_for(lambda: len(rows_of(engine, table, thread)) > 2)
    with cut_off.away(way):
        started = time.monotonic()
        begun.star(begun.question("A question to keep"))
        assert time.monotonic() - started < STAR_SECONDS
        time.sleep(25 - (time.monotonic() - started))  # longer than anybody is kept waiting
    assert wait_for(lambda: is_starred(rows_of(engine, table, thread)))


def is_starred(rows: list[dict[str, Any]]) -> bool:
    """Tell whether a step is in somebody's list of favourites."""
    return any("FAVORITE" in row.get("UserThreadPK", {}).get("S", "") for row in rows)


def test_stopping_it_amid_a_chat_ends_in_time_and_says_what_was_lost(
    begun: ChatPage, visitor: Visitor, server: ChatServer, cut_off: CutOff, way: str
) -> None:
    with cut_off.away(way):
        begun.ask("A question to lose")
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < CLOSE_SECONDS + GRACE_SECONDS
    assert "writes that could not be stored in time" in server.log()
    assert "Traceback" not in server.log()
    visitor.trouble.found.clear()  # its server is gone
