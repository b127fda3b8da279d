"""A line of the log is one line, whatever ids and errors hold."""

from __future__ import annotations

import logging
import logging.config

import pytest

import chainlit_dynamodb

LOGGERS = ["chainlit.DynamoDB", "chainlit.DynamoDB.storage"]
UNFIT = ["\n", "\r", "\x00", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\u202e", "\u2066", "\ud800"]


@pytest.mark.parametrize("char", UNFIT, ids=ascii)
@pytest.mark.parametrize("name", LOGGERS)
def test_what_breaks_or_turns_a_line_is_escaped(char: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert chainlit_dynamodb.__version__

    logging.getLogger(name).warning("Not stored: %s: %s", f"id{char}ERROR all is lost", ValueError(char))

    (line,) = [record.getMessage() for record in caplog.records]
    assert char not in line
    assert len(line.splitlines()) == 1
    assert "ERROR all is lost" in line


class Broken:
    def __str__(self) -> str:
        raise OSError


def test_a_value_that_cannot_be_printed_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logger = logging.getLogger("chainlit.DynamoDB")
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [logging.StreamHandler()])

    logger.warning("%s", Broken())


@pytest.mark.parametrize("name", LOGGERS)
def test_other_lines_are_logged_as_they_are(name: str, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger(name).warning("%s of %d%% ünïcode 🌍", "id", 5)

    (record,) = caplog.records
    assert record.args == ("id", 5)
    assert record.getMessage() == "id of 5% ünïcode 🌍"


def test_a_line_stays_one_line_after_a_configuration(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("chainlit.DynamoDB")
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "loggers": {logger.name: {}}})

    logger.warning("%s", "a\u2028b")

    assert caplog.messages == ["a\\u2028b"]
