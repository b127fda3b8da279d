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


class Visitor:
    """Somebody who is logged in, with one browser window and any number of tabs in it."""

    def __init__(self, context: BrowserContext, url: str, screenshots: Path) -> None:
        """Take a fresh window."""
        self.context = context
        self.trouble = Trouble()
        self.trouble.watch(context)
        self._url = url
        self._screenshots = screenshots

    def new_tab(self) -> ChatPage:
        """Open an empty tab."""
        return ChatPage(self.context.new_page(), self._url)

    def keep_screenshots(self, name: str) -> list[str]:
        """Write what all tabs show, and give the files."""
        paths = [self._screenshots / f"{name}-{number}.png" for number in range(len(self.context.pages))]
        for page, path in zip(self.context.pages, paths, strict=True):
            page.screenshot(path=path)
        return [str(path) for path in paths]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what was to be seen when a test failed."""
    report = yield
    visitor = getattr(item, "funcargs", {}).get("visitor")
    if report.failed and visitor is not None:
        report.sections.append(("Screenshots", "\n".join(visitor.keep_screenshots(f"{item.name}-{report.when}"))))
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
def visitor(browser: Browser, server: ChatServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """A user of the server, logged in through its login page."""
    context = browser.new_context(viewport=WINDOW)
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    visitor = Visitor(context, server.url, tmp_path_factory.mktemp("screenshots"))
    tab = visitor.new_tab()
    tab.log_in(*LOGIN)
    tab.wait_until_ready()
    tab.page.close()
    yield visitor
    context.close()


@pytest.fixture(autouse=True)
def _watched(visitor: Visitor) -> Iterator[None]:
    """Fail a test that gave the browser reason to complain."""
    yield
    found, visitor.trouble.found = visitor.trouble.found, []
    assert found == [], "\n".join(found)


@pytest.fixture
def chat(visitor: Visitor, _watched: None) -> Iterator[ChatPage]:
    """A tab with a new chat."""
    tab = visitor.new_tab().open()
    yield tab
    tab.page.close()
