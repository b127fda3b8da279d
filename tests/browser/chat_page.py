"""Chainlit's page as its user sees it: what can be done on it, and what it shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Locator, Page, WebSocket, expect

ANSWER = '.step[data-step-type="assistant_message"]'
QUESTION = '.step[data-step-type="user_message"]'
TOOL = '.step[data-step-type="tool"]'
IS_DRAWN_ON = """canvas => {
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value, at) => at % 4 < 3 && value < 128 && data[at - at % 4 + 3] > 0);
}"""
_THREAD_URL = re.compile(r"/thread/([0-9a-f-]{36})$")


class ChatPage:
    """A page of the chat.

    Attributes:
        page: Playwright's page.
    """

    def __init__(self, page: Page, url: str) -> None:
        """Take a page; it is opened by the first method that needs one."""
        self.page = page
        self.url = url
        self._sockets: list[WebSocket] = []
        page.on("websocket", lambda socket: self._sockets.append(socket))

    def open(self, path: str = "/") -> ChatPage:
        """Go there and wait until one can write."""
        self.page.goto(self.url + path)
        self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        """Wait until one can write: connected, and nothing is being answered."""
        expect(self.page.locator("#upload-button")).to_be_visible()

    def log_in(self, name: str, password: str) -> None:
        """Fill in and send the login form."""
        self.page.goto(self.url + "/login")
        self.page.locator("#email").fill(name)
        self.page.locator("#password").fill(password)
        self.page.get_by_role("button", name="Sign In").click()

    def ask(self, text: str, files: Sequence[Path] = ()) -> Locator:
        """Send a message, and files with it, wait for the whole answer and give it."""
        self.wait_until_ready()
        before = self.answers.count()
        if files:
            self.page.locator("#upload-button-input").set_input_files([str(file) for file in files])
            expect(self.page.locator("#attachments")).to_be_visible()
            self.wait_until_ready()
        self.page.locator("#chat-input").fill(text)
        self.page.locator("#chat-submit").click()
        expect(self.answers).to_have_count(before + 1)
        expect(self.page.locator("#stop-button")).to_have_count(0)
        self.wait_until_ready()
        return self.answers.last

    @property
    def answers(self) -> Locator:
        """All answers."""
        return self.page.locator(ANSWER)

    @property
    def questions(self) -> Locator:
        """All messages of the user."""
        return self.page.locator(QUESTION)

    def answer(self, beginning: str) -> Locator:
        """Give the answer with this text."""
        return self.page.locator(ANSWER, has_text=beginning)

    def question(self, text: str) -> Locator:
        """Give the user's message with this text."""
        return self.page.locator(QUESTION, has_text=text)

    def tool(self, name: str) -> Locator:
        """Give a tool step, unfolded."""
        step = self.page.locator(TOOL).filter(has=self.page.get_by_role("button", name=name)).last
        handle = step.get_by_role("button", name=name)
        if handle.get_attribute("aria-expanded") == "false":
            handle.click()
        return step

    @property
    def thread_id(self) -> str:
        """The id of the chat that is open."""
        self.page.wait_for_url(_THREAD_URL)
        found = _THREAD_URL.search(self.page.url)
        assert found
        return found[1]

    def reload(self) -> None:
        """Reload, and wait until the same chat is back. A new one has its address a moment after its first answer."""
        self.page.wait_for_url(_THREAD_URL)
        self.page.reload()
        self._wait_until_resumed()

    def _wait_until_resumed(self) -> None:
        expect(self.answers.first).to_be_visible()  # until then one writes into the welcome screen, which goes away
        self.wait_until_ready()

    def start_new(self) -> None:
        """Begin a new chat. Chainlit's button for it sometimes resumes the chat it leaves, so by the address."""
        self.open()
        expect(self.page.locator("#welcome-screen")).to_be_visible()

    def choose_setting(self, name: str, option: str) -> None:
        """Choose an option of the chat's settings."""
        self.page.locator("#chat-settings-open-modal").click()
        panel = self.page.get_by_role("dialog")
        panel.get_by_role("combobox", name=name).click()
        self.page.get_by_role("option", name=option).click()
        panel.get_by_role("button", name="Confirm").click()
        expect(panel).to_have_count(0)

    # The sidebar

    @property
    def history(self) -> Locator:
        """The names of the chats in the sidebar, from the top."""
        return self.page.locator("#thread-history li span.truncate")

    def wait_until_listed(self) -> None:
        """Wait until the sidebar shows what there is, if anything."""
        expect(self.history.or_(self.page.get_by_text("No threads found")).first).to_be_visible()

    def entry(self, thread_id: str) -> Locator:
        """Give a chat's line in the sidebar."""
        return self.page.locator(f"#thread-{thread_id}")

    def open_from_sidebar(self, thread_id: str) -> None:
        """Open a chat by its line in the sidebar, and wait until it is resumed."""
        self.entry(thread_id).click()
        self.page.wait_for_url(f"**/thread/{thread_id}")
        self._wait_until_resumed()

    def rename(self, thread_id: str, name: str) -> None:
        """Rename a chat."""
        self._choose(thread_id, "rename-thread")
        self.page.locator("input#name").fill(name)
        self.page.get_by_role("button", name="Confirm").click()
        expect(self.entry(thread_id)).to_have_text(name)

    def delete(self, thread_id: str) -> None:
        """Delete a chat."""
        self._choose(thread_id, "delete-thread")
        self.page.get_by_role("button", name="Confirm").click()
        expect(self.entry(thread_id)).to_have_count(0)

    def _choose(self, thread_id: str, action: str) -> None:
        self.entry(thread_id).hover()
        self.entry(thread_id).locator("#thread-options").click()
        self.page.locator(f"#{action}").click()

    def search(self, text: str) -> Locator:
        """Open the search with the keyboard, look for a text and give the names found."""
        self.page.keyboard.press("Control+k")
        with self.page.expect_response(lambda response: _is_search(response.request.post_data, text)):
            self.page.get_by_placeholder("Search conversations...").fill(text)
        return self.page.get_by_role("dialog").get_by_role("option")

    # Feedback and favourites

    def thumbs_up(self, answer: Locator, comment: str) -> None:
        """Rate an answer and say why."""
        answer.locator(".positive-feedback-off").click()
        self.page.get_by_placeholder("Your feedback...").fill(comment)
        self.page.locator("#submit-feedback").click()
        expect(answer.locator(".positive-feedback-on")).to_be_visible()

    def comment_on(self, answer: Locator) -> str:
        """Give the comment of a rated answer."""
        answer.locator(".negative-feedback-off + button").click()
        written = self.page.get_by_placeholder("Your feedback...").input_value()
        self.page.keyboard.press("Escape")
        return written

    def star(self, question: Locator) -> None:
        """Make a message a favourite, and wait until the server has it."""
        question.get_by_role("article").hover()
        self._and_hear("update_message", question.locator(".favorite-message"))

    def favourites(self) -> Locator:
        """Open the list of favourites and give its entries."""
        self.page.locator(".favorite-popover-wrapper button").first.click()
        return self.page.get_by_role("dialog").get_by_role("option")

    def remove_favourite(self, text: str) -> None:
        """Take an entry out of the list of favourites, and wait until the server has done so."""
        entry = self.favourites().filter(has_text=text)
        self._and_hear("set_favorites", entry.get_by_role("button"))

    def _and_hear(self, event: str, button: Locator) -> None:
        with self._sockets[-1].expect_event("framereceived", lambda frame: event in str(frame)):
            button.click()


def _is_search(sent: str | None, text: str) -> bool:
    return sent is not None and f'"search":"{text}"' in sent


def is_loaded(image: Locator) -> bool:
    """Tell whether an image has come and could be read."""
    image.scroll_into_view_if_needed()
    loaded: bool = image.evaluate("image => image.decode().then(() => image.naturalWidth > 0, () => false)")
    return loaded


def is_drawn_on(canvas: Locator) -> bool:
    """Tell whether a canvas shows something dark."""
    drawn: bool = canvas.evaluate(IS_DRAWN_ON)
    return drawn
