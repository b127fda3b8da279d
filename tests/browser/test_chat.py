"""A chat with everything in it, as it is answered, after a reload, and resumed from the sidebar."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage, is_drawn_on, is_loaded
from tests.browser.conftest import Visitor

REPORT = secrets.token_bytes(1000)
REPORT_NAME = "catch of the day, Fänge.bin"
DRAWING = '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40"><circle cx="20" cy="20" r="18"/></svg>'

LENGTHS_WHILE_ANSWERING = """
    window.lengths = new Set();
    new MutationObserver(() => {
        const answer = document.querySelector('.step[data-step-type="assistant_message"] [role="article"]');
        if (answer) window.lengths.add(answer.textContent.trim().length);
    }).observe(document.body, {subtree: true, childList: true, characterData: true});
"""


@pytest.fixture(scope="module")
def answered(visitor: Visitor, tmp_path_factory: pytest.TempPathFactory) -> ChatPage:
    """A chat in which the demo has shown all it can."""
    folder = tmp_path_factory.mktemp("uploads")
    report, drawing = folder / REPORT_NAME, folder / "drawing.svg"
    report.write_bytes(REPORT)
    drawing.write_text(DRAWING)
    chat = visitor.new_tab().open()
    chat.page.evaluate(LENGTHS_WHILE_ANSWERING)
    chat.ask("How is the weather at the harbour?")
    chat.ask("Show me the sunset")
    chat.ask("Plot the temperatures of the day")
    chat.ask("Write the report of the week")
    chat.ask("Keep these for me", [report, drawing])
    return chat


@pytest.fixture(scope="module", params=["answered", "reloaded", "resumed from the sidebar"])
def shown(request: pytest.FixtureRequest, visitor: Visitor, answered: ChatPage) -> Iterator[ChatPage]:
    """The same chat, in each way one can come to see it."""
    if request.param == "answered":
        yield answered
        return
    tab = visitor.new_tab()
    if request.param == "reloaded":
        tab.open(f"/thread/{answered.thread_id}").reload()
    else:
        tab.open().open_from_sidebar(answered.thread_id)
    yield tab
    tab.page.close()


def test_an_answer_is_streamed(answered: ChatPage) -> None:
    lengths: list[int] = answered.page.evaluate("[...window.lengths]")
    assert len(lengths) > 5
    assert lengths == sorted(lengths)


def test_all_answers_are_there_in_their_order(shown: ChatPage) -> None:
    beginnings = ["A calm day", "Tonight's sunset", "The day of all three", "Here is the report", "Got it"]
    expect(shown.answers).to_contain_text(beginnings)


def test_a_tool_step_holds_its_nested_steps(shown: ChatPage) -> None:
    outer = shown.tool("harbour sensors")
    expect(outer.locator('[data-step-type="tool"]')).to_have_count(3)
    expect(outer).to_contain_text("3 sensors")
    expect(shown.tool("lighthouse sensor")).to_contain_text('"high": 21.1')


def test_the_image_is_loaded(shown: ChatPage) -> None:
    assert is_loaded(shown.answer("Tonight's sunset").locator("img.inline-image"))


def test_the_plot_is_drawn(shown: ChatPage) -> None:
    plot = shown.answer("The day of all three").locator(".js-plotly-plot")
    plot.scroll_into_view_if_needed()
    lines = plot.locator(".scatterlayer path.js-line")
    expect(lines).to_have_count(3)
    assert all(len(line.get_attribute("d") or "") > 100 for line in lines.all())


def test_the_pdf_is_drawn(shown: ChatPage) -> None:
    page = shown.answer("Here is the report").locator(".inline-pdf canvas")
    page.scroll_into_view_if_needed()
    expect(page).to_be_visible()
    assert is_drawn_on(page)


@pytest.mark.parametrize("message", ["answer", "question"])
def test_an_uploaded_file_is_given_back_byte_for_byte(shown: ChatPage, message: str, tmp_path: Path) -> None:
    step = shown.answer("Got it") if message == "answer" else shown.question("Keep these")
    with shown.page.expect_download() as download:
        step.locator("a.inline-file").click()
    assert download.value.path().read_bytes() == REPORT
    assert download.value.suggested_filename == REPORT_NAME


@pytest.mark.parametrize("message", ["answer", "question"])
def test_an_uploaded_image_is_shown(shown: ChatPage, message: str) -> None:
    step = shown.answer("Got it") if message == "answer" else shown.question("Keep these")
    assert is_loaded(step.locator("img.inline-image"))


def test_a_resumed_chat_goes_on(chat: ChatPage) -> None:
    chat.ask("Show me the sunset")
    thread = chat.thread_id
    chat.start_new()
    chat.open_from_sidebar(thread)
    chat.ask("Show me another picture")
    chat.reload()
    expect(chat.questions).to_have_text(["Show me the sunset", "Show me another picture"])
    expect(chat.answers).to_have_count(2)
    assert all(is_loaded(image) for image in chat.page.locator("img.inline-image").all())


def test_chat_settings_come_back_with_the_chat(chat: ChatPage) -> None:
    chat.ask("Show me the sunset")
    chat.choose_setting("Unit", "°F")
    chat.reload()
    expect(chat.ask("How is the weather?")).to_contain_text("72.5 °F")
