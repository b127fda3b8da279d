"""The server is stopped and started again on the same folder: all is as it was left."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage, is_loaded
from tests.browser.chat_server import ChatServer
from tests.browser.conftest import Visitor

QUESTION = "Show me the sunset, and keep this"
NAME = "An evening to remember"
COMMENT = "What a colour"
FILE = bytes(range(256))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ministack_url: str) -> Iterator[ChatServer]:
    """A demo of the module's own."""
    server = ChatServer.demo(tmp_path_factory.mktemp("restarted"))
    server.start()
    yield server
    server.stop()
    assert server.complaints() == []


@pytest.fixture(scope="module")
def exit_code_and_thread(
    server: ChatServer, visitor: Visitor, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, str]:
    """How the server ended on Ctrl-C after a chat that is rated, starred and renamed; it runs again."""
    file = tmp_path_factory.mktemp("uploads") / "bytes.bin"
    file.write_bytes(FILE)
    chat = visitor.new_tab().open()
    chat.ask("Write the report of the week")
    deleted = chat.thread_id
    chat.start_new()
    chat.delete(deleted)
    chat.ask("Show me the sunset")
    chat.thumbs_up(chat.answers.last, COMMENT)
    chat.ask(QUESTION, [file])
    chat.star(chat.question(QUESTION))
    thread = chat.thread_id
    chat.rename(thread, NAME)
    chat.page.close()
    code = server.stop(signal.SIGINT)
    server.start()
    return code, thread


@pytest.fixture(scope="module")
def resumed(visitor: Visitor, exit_code_and_thread: tuple[int, str]) -> ChatPage:
    """The chat, resumed on the second server by a user who did not log in again."""
    chat = visitor.new_tab().open()
    chat.open_from_sidebar(exit_code_and_thread[1])
    return chat


def test_the_server_had_ended_cleanly(exit_code_and_thread: tuple[int, str]) -> None:
    assert exit_code_and_thread[0] == 0


def test_the_sidebar_lists_the_renamed_chat_and_not_the_deleted_one(resumed: ChatPage) -> None:
    expect(resumed.history).to_have_text([NAME])


def test_messages_and_answers_are_there(resumed: ChatPage) -> None:
    expect(resumed.questions).to_contain_text(["Show me the sunset", QUESTION])
    expect(resumed.answers).to_contain_text(["Tonight's sunset", "Got it"])


def test_the_image_is_loaded(resumed: ChatPage) -> None:
    assert is_loaded(resumed.answers.first.locator("img.inline-image"))


def test_the_uploaded_file_is_the_same(resumed: ChatPage) -> None:
    with resumed.page.expect_download() as download:
        resumed.question(QUESTION).locator("a.inline-file").click()
    assert download.value.path().read_bytes() == FILE


def test_the_thumb_and_its_comment_are_there(resumed: ChatPage) -> None:
    expect(resumed.answers.first.locator(".positive-feedback-on")).to_be_visible()
    assert resumed.comment_on(resumed.answers.first) == COMMENT


def test_the_favourite_is_listed(resumed: ChatPage) -> None:
    expect(resumed.favourites()).to_contain_text([QUESTION])
    resumed.page.keyboard.press("Escape")


def test_search_finds_it(resumed: ChatPage) -> None:
    expect(resumed.search("EVENING")).to_have_text([NAME])
    resumed.page.keyboard.press("Escape")


def test_the_chat_goes_on(resumed: ChatPage, tmp_path: Path) -> None:
    before = resumed.answers.count()
    resumed.ask("Write the report of the week")
    resumed.reload()
    expect(resumed.answers).to_have_count(before + 1)
