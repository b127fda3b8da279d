"""Who is let in."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.browser.chat_page import ChatPage
from tests.browser.chat_server import LOGIN, ChatServer


def test_the_login_that_the_demo_prints_opens_the_chat(browser: Browser, server: ChatServer) -> None:
    with browser.new_context() as context:
        chat = ChatPage(context.new_page(), server.url)
        chat.log_in(*LOGIN)
        expect(chat.page.locator("#welcome-screen")).to_be_visible()
        expect(chat.page.locator("#starters button")).to_have_count(4)


def test_another_password_does_not(browser: Browser, server: ChatServer) -> None:
    with browser.new_context() as context:
        chat = ChatPage(context.new_page(), server.url)
        chat.log_in(LOGIN[0], "wrong")
        expect(chat.page.get_by_role("alert")).to_be_visible()
        expect(chat.page.locator("#chat-input")).to_have_count(0)
