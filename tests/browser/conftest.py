"""One demo and, for each module, one browser; a screenshot of every page on which a test failed."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ViewportSize, expect, sync_playwright

from tests.browser.chat_page import ChatPage
from tests.browser.chat_server import LOGIN, ChatServer
from tests.browser.trouble import Trouble

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
]
WINDOW: ViewportSize = {"width": 1280, "height": 860}
PATIENCE_MILLISECONDS = 15_000
collect_ignore = [] if os.environ.get("UPDATE_PICTURES") else ["test_pictures.py"]
_failed = pytest.StashKey[bool]()


class Visitor:
    """Somebody who is logged in, with one browser window and any number of tabs in it."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        """Take a fresh window."""
        self.context = context
        self.trouble = Trouble()
        self.trouble.watch(context)
        self._url = url

    def new_tab(self) -> ChatPage:
        """Open an empty tab."""
        return ChatPage(self.context.new_page(), self._url)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know that their test failed."""
    report = yield
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed
    return report


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, ministack_url: str) -> Iterator[ChatServer]:
    """The demo, for all modules that do not stop it."""
    server = ChatServer.demo(tmp_path_factory.mktemp("demo"))
    server.start()
    yield server
    assert server.stop() == 0
    assert server.complaints() == []


@pytest.fixture(scope="module")
def server(demo: ChatServer) -> ChatServer:
    """The server a module talks to."""
    return demo


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """A real browser without a screen."""
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def visitor(browser: Browser, server: ChatServer) -> Iterator[Visitor]:
    """A user of the server, logged in through its login page."""
    context = browser.new_context(viewport=WINDOW)
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    visitor = Visitor(context, server.url)
    tab = visitor.new_tab()
    tab.log_in(*LOGIN)
    tab.wait_until_ready()
    tab.page.close()
    yield visitor
    context.close()


@pytest.fixture(autouse=True)
def _watched(request: pytest.FixtureRequest, visitor: Visitor, tmp_path: Path) -> Iterator[None]:
    """Keep what was to be seen when a test failed, and fail one that gave the browser reason to complain."""
    yield
    if request.node.stash.get(_failed, False):
        for number, page in enumerate(visitor.context.pages):
            page.screenshot(path=tmp_path / f"tab-{number}.png")
    found, visitor.trouble.found = visitor.trouble.found, []
    assert found == [], "\n".join(found)


@pytest.fixture
def chat(visitor: Visitor, _watched: None) -> Iterator[ChatPage]:
    """A tab with a new chat."""
    tab = visitor.new_tab().open()
    yield tab
    tab.page.close()
