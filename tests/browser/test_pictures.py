"""The pictures of the documentation, taken where `UPDATE_PICTURES` asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import ViewportSize, expect

from tests.browser.chat_page import ChatPage, is_loaded
from tests.browser.chat_server import ChatServer
from tests.browser.conftest import Visitor

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
MAX_BYTES = 200_000
WINDOW: ViewportSize = {"width": 1180, "height": 700}
TALL_WINDOW: ViewportSize = {"width": 1180, "height": 1390}
CHATS = (
    ("Write the report of the week", "Report for the harbour master"),
    ("Show me the sunset", "A sunset for the newsletter"),
    ("Plot the temperatures of the day", "When is it warm enough to swim?"),
    ("Show me the sunset", "Sunday on the north pier"),
    ("Write the report of the week", "Minutes of the regatta"),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ministack_url: str) -> Iterator[ChatServer]:
    """A demo whose sidebar nobody else writes to."""
    server = ChatServer.demo(tmp_path_factory.mktemp("pictures"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def past_chats(visitor: Visitor) -> None:
    """Some chats with names."""
    chat = visitor.new_tab().open()
    for question, name in CHATS:
        chat.ask(question)
        chat.rename(chat.thread_id, name)
        chat.start_new()
    chat.page.close()


@pytest.fixture
def chat(chat: ChatPage, past_chats: None) -> ChatPage:
    """A new chat in a window of the pictures' size, beside the past ones."""
    chat.page.set_viewport_size(WINDOW)
    chat.open()
    return chat


def keep(chat: ChatPage, name: str) -> None:
    """Write what the page shows."""
    chat.page.mouse.move(700, 60)
    FOLDER.mkdir(parents=True, exist_ok=True)
    picture = chat.page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")
    assert len(picture) <= MAX_BYTES


def test_search(chat: ChatPage) -> None:
    expect(chat.search("sun")).to_have_count(2)
    keep(chat, "search")


def test_chat_with_an_image_and_a_plot(chat: ChatPage) -> None:
    chat.page.set_viewport_size(TALL_WINDOW)
    chat.ask("Show me the sunset")
    chat.rename(chat.thread_id, "Evening at the harbour")
    chat.ask("Plot the temperatures of the day")
    chat.reload()
    assert is_loaded(chat.page.locator("img.inline-image"))
    expect(chat.page.locator(".scatterlayer path.js-line")).to_have_count(3)
    chat.questions.first.scroll_into_view_if_needed()
    keep(chat, "chat")


def test_history_beside_a_rated_and_starred_answer(chat: ChatPage) -> None:
    chat.ask("How is the weather at the harbour?")
    chat.rename(chat.thread_id, "Weather at the harbour")
    chat.star(chat.questions.first)
    chat.thumbs_up(chat.answers.last, "Just what I wanted to know")
    chat.reload()
    expect(chat.answers.last.locator(".positive-feedback-on")).to_be_visible()
    keep(chat, "history")
