"""What a browser complains of, without what Chainlit itself produces on any data layer."""

from __future__ import annotations

from typing import Final

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response

FROM_ELSEWHERE: Final = (
    "https://fonts.googleapis.com/",  # Chainlit's page asks for its font; the browser of the tests has no network
    "https://cdn.jsdelivr.net/npm/katex",  # and for the style of formulas
)
CANCELLED: Final = "net::ERR_ABORTED"
"""How the browser reports what a page had asked for when it was left or reloaded."""
NOBODY_YET: Final = 401
"""What Chainlit's page is told, and logs, when it asks who is logged in before anybody is."""


class Trouble:
    """Collects errors of the console, of scripts and of requests.

    Attributes:
        found: One line each.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.found: list[str] = []

    def watch(self, context: BrowserContext) -> None:
        """Watch all pages of a context."""
        context.on("console", self._note_message)
        context.on("requestfailed", self._note_failure)
        context.on("response", self._note_refusal)
        context.on("weberror", lambda error: self.found.append(f"script: {error.error}"))

    def forget(self, *parts: str) -> None:
        """Forget what names all these parts."""
        self.found = [line for line in self.found if not all(part in line for part in parts)]

    def _note_message(self, message: ConsoleMessage) -> None:
        url = message.location["url"]
        expected = url.startswith(FROM_ELSEWHERE) or "Unauthorized" in message.text
        if message.type == "error" and not expected:
            self.found.append(f"console: {message.text} ({url})")

    def _note_failure(self, request: Request) -> None:
        if request.failure != CANCELLED and not request.url.startswith(FROM_ELSEWHERE):
            self.found.append(f"failed: {request.method} {request.url}: {request.failure}")

    def _note_refusal(self, response: Response) -> None:
        expected = response.status == NOBODY_YET and response.url.endswith("/user")
        if response.status >= 400 and not expected:
            self.found.append(f"refused: {response.request.method} {response.url}: {response.status}")
