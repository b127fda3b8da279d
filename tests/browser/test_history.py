"""What a user does to past chats, seen again after a reload."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.chat_server import BUCKET, ChatServer
from tests.browser.conftest import Visitor

QUESTION = "Write the report of the week"
NAMES = ("Ferries in the fog", "When does the fish market open?", "Regatta on Sunday")


@pytest.fixture
def thread(chat: ChatPage) -> str:
    """The id of the chat that is open: a question, and an answer with a file."""
    chat.ask(QUESTION)
    return chat.thread_id


@pytest.fixture(scope="module")
def past_chats(visitor: Visitor) -> list[str]:
    """The ids of three chats with names, the newest first."""
    chat = visitor.new_tab().open()
    threads: list[str] = []
    for name in NAMES:
        chat.ask(QUESTION)
        chat.rename(chat.thread_id, name)
        threads.insert(0, chat.thread_id)
        chat.start_new()
    chat.page.close()
    return threads


def test_a_thumb_up_with_its_comment_survives_a_reload(chat: ChatPage, thread: str) -> None:
    chat.thumbs_up(chat.answers.last, "Just what I wanted to know")
    chat.reload()
    expect(chat.answers.last.locator(".positive-feedback-on")).to_be_visible()
    assert chat.comment_on(chat.answers.last) == "Just what I wanted to know"


def test_a_thumb_taken_back_stays_so(chat: ChatPage, thread: str) -> None:
    chat.thumbs_up(chat.answers.last, "At first")
    chat.reload()
    chat.answers.last.locator(".positive-feedback-on").click()
    expect(chat.answers.last.locator(".positive-feedback-off")).to_be_visible()
    chat.reload()
    expect(chat.answers.last.locator(".positive-feedback-off")).to_be_visible()


def test_a_starred_message_is_listed_after_a_reload(chat: ChatPage) -> None:
    chat.ask("Plot this favourite day")
    chat.star(chat.question("Plot this favourite day"))
    chat.reload()
    expect(chat.question("Plot this favourite day").locator(".favorite-message.text-yellow-500")).to_be_visible()
    expect(chat.favourites().filter(has_text="Plot this favourite day")).to_be_visible()


def test_a_favourite_removed_in_the_list_is_gone_after_a_reload(chat: ChatPage) -> None:
    chat.ask("Plot a passing fancy")
    chat.star(chat.question("Plot a passing fancy"))
    chat.reload()
    chat.remove_favourite("Plot a passing fancy")
    chat.reload()
    expect(chat.question("Plot a passing fancy")).to_be_visible()
    expect(chat.question("Plot a passing fancy").locator(".text-yellow-500")).to_have_count(0)
    expect(chat.favourites().filter(has_text="Plot a passing fancy")).to_have_count(0)


def test_a_new_name_survives_a_reload(chat: ChatPage, thread: str) -> None:
    expect(chat.entry(thread)).to_have_text(QUESTION)
    chat.rename(thread, "Evening light → night")
    chat.reload()
    expect(chat.entry(thread)).to_have_text("Evening light → night")


def test_the_sidebar_lists_the_newest_chat_first(chat: ChatPage, past_chats: list[str]) -> None:
    chat.ask("How is the weather at the harbour?")
    chat.reload()
    names = chat.history.all_inner_texts()
    assert names[0] == "How is the weather at the harbour?"
    assert [name for name in names if name in NAMES] == list(reversed(NAMES))


def test_search_finds_a_chat_by_its_name_in_any_case(chat: ChatPage, past_chats: list[str]) -> None:
    expect(chat.search("FISH")).to_have_text(["When does the fish market open?"])
    chat.page.get_by_role("option").click()
    chat.page.wait_for_url(f"**/thread/{past_chats[1]}")
    expect(chat.answers).to_have_count(1)


def test_search_for_what_is_in_no_name_finds_nothing(chat: ChatPage, past_chats: list[str]) -> None:
    expect(chat.search("submarine")).to_have_count(0)
    expect(chat.page.get_by_role("dialog").get_by_text("No threads found")).to_be_visible()


def test_a_deleted_chat_is_gone_from_sidebar_table_and_bucket(
    chat: ChatPage, thread: str, server: ChatServer
) -> None:
    assert len(server.rows(thread)) > 3
    assert len(server.files(thread)) == 1
    chat.start_new()
    chat.delete(thread)
    _check_that_only_a_tombstone_is_left(chat, thread, server)


def test_the_open_chat_can_be_deleted_too(chat: ChatPage, server: ChatServer, visitor: Visitor) -> None:
    chat.ask("Show me the sunset")
    thread = chat.thread_id
    chat.delete(thread)
    _check_that_only_a_tombstone_is_left(chat, thread, server)
    # Chainlit's page opens the chat once more while it is being deleted, and finds its image gone.
    visitor.trouble.forget(BUCKET, thread)


def _check_that_only_a_tombstone_is_left(chat: ChatPage, thread: str, server: ChatServer) -> None:
    chat.open()
    chat.wait_until_listed()
    expect(chat.entry(thread)).to_have_count(0)
    assert server.files(thread) == []
    (tombstone,) = server.rows(thread)
    assert tombstone.keys() == {"PK", "SK", "deletedAt"}
