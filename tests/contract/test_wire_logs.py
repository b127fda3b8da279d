"""With the root logger at DEBUG, under a server's log configuration, no record holds what was said or a secret."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chainlit.user import User
from uvicorn.config import LOGGING_CONFIG

from tests.contract.chats import enter_chat, message, page_of

MARKER = "a-most-private-thing"


class Records(logging.Handler):
    """Keeps all that is ever logged, as it would be written, `extra` included."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []
        self.loggers: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.loggers.add(record.name)
        self.texts.append(f"{self.format(record)} {record.__dict__}")

    def hold(self, *wanted: str) -> list[str]:
        """Return the records that hold one of these."""
        return [text for text in self.texts if any(word in text for word in wanted)]


@pytest.fixture
def records() -> Iterator[Records]:
    handler, root = Records(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.fixture
def restored() -> Iterator[None]:
    """Enable again what a configuration has disabled."""
    loggers = [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    disabled = {logger: logger.disabled for logger in loggers}
    handlers = {logger: (list(logger.handlers), logger.propagate, logger.level) for logger in loggers}
    yield
    for logger, was_disabled in disabled.items():
        logger.disabled = was_disabled
        logger.handlers, logger.propagate, logger.level = handlers[logger]


def configure(*, disables: bool) -> None:
    """Do what a server does at its start, or a user with `--log-config`."""
    logging.config.dictConfig({**LOGGING_CONFIG, "disable_existing_loggers": disables})
    for logger in logging.root.manager.loggerDict.values():  # as the user who wants to see all sets each of them
        if isinstance(logger, logging.Logger) and not disables:
            logger.disabled = False
            logger.setLevel(logging.NOTSET)


async def talk(layer: Any) -> None:
    enter_chat("t1")
    await layer.create_user(User("alice", metadata={"x": MARKER}))
    await layer.update_thread("t1", name=MARKER, user_id="alice", metadata={"x": MARKER})
    await layer.create_step(message("s1", output=MARKER))
    await layer.update_step(message("s1", output=MARKER * 1000))
    assert (await layer.get_thread("t1"))["steps"][0]["output"] == MARKER * 1000
    assert await page_of(layer, search=MARKER)


@pytest.mark.parametrize("disables", [False, True], ids=["loggers stay", "loggers are disabled"])
async def test_a_configuration_before_the_layer_lets_no_chat_text_into_the_log(
    make_layer: Callable[..., Any], records: Records, restored: None, disables: bool
) -> None:
    configure(disables=disables)

    await talk(make_layer())

    assert not records.hold(MARKER)


@pytest.mark.parametrize("disables", [False, True], ids=["loggers stay", "loggers are disabled"])
async def test_a_configuration_after_the_layer_lets_no_chat_text_into_the_log(
    make_layer: Callable[..., Any], records: Records, restored: None, disables: bool
) -> None:
    layer = make_layer()
    await layer.get_user("alice")
    configure(disables=disables)

    await talk(layer)

    assert not records.hold(MARKER)


async def test_our_own_lines_are_logged_meanwhile(layer: Any, records: Records, restored: None) -> None:
    configure(disables=False)

    await talk(layer)

    assert records.hold("UpdateItem on")


async def test_calls_of_others_are_logged_as_ever(
    layer: Any, records: Records, restored: None, dynamodb_client: Any, table_name: str, backend: str
) -> None:
    await layer.get_user("alice")
    configure(disables=False)

    dynamodb_client.get_item(TableName=table_name, Key={"PK": {"S": "x"}, "SK": {"S": "y"}})

    assert "botocore.endpoint" in records.loggers
