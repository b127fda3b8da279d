"""The log: operation, duration and units at DEBUG; never content; no forced level."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from chainlit.element import Text
from chainlit.logger import logger as chainlit_logger
from chainlit.types import Feedback
from chainlit.user import User

from chainlit_dynamodb.errors import RequestError
from chainlit_dynamodb.testing.transports import Failing
from tests.contract.chats import enter_chat, message, one_engine, page_of, start_thread, tool
from tests.wiring import wrap

SECRET = "a most private thing"


@pytest.fixture
def debug(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Follow the seed: the child of Chainlit's logger, at DEBUG."""
    caplog.set_level(logging.DEBUG, logger=chainlit_logger.getChild("DynamoDB").name)
    return caplog


async def test_each_operation_is_a_line_with_duration_and_units(layer: Any, debug: pytest.LogCaptureFixture) -> None:
    enter_chat("t1")
    await layer.update_thread("t1", name="x", user_id="alice")
    await layer.get_thread("t1")
    lines = [record.getMessage() for record in debug.records]
    pattern = r"{} on {}: \d+\.\d ms, \d+\.\d+ units"
    assert any(re.fullmatch(pattern.format("UpdateItem", layer.table_name), line) for line in lines)
    assert any(re.fullmatch(pattern.format("Query", layer.table_name), line) for line in lines)


@one_engine
async def test_units_are_counted(layer: Any, debug: pytest.LogCaptureFixture) -> None:
    await layer.create_user(User("alice"))
    (line,) = [record.getMessage() for record in debug.records if "UpdateItem" in record.getMessage()]
    assert line.endswith(" 1.0 units")


async def test_no_line_holds_content(layer: Any, debug: pytest.LogCaptureFixture) -> None:
    enter_chat("t1")
    await layer.create_user(User("alice", metadata={"x": SECRET}))
    await layer.update_thread("t1", name=SECRET, user_id="alice", metadata={"x": SECRET}, tags=[SECRET])
    await layer.create_step(message("s1", output=SECRET, metadata={"x": SECRET}))
    await layer.update_step(tool("s2", input=SECRET, output=SECRET * 10_000))
    await layer.create_element(Text(name=SECRET, content=SECRET, for_id="s1", thread_id="t1"))
    await layer.upsert_feedback(Feedback(forId="s1", value=1, threadId="t1", comment=SECRET))
    await layer.upsert_feedback(Feedback(forId="unknown", value=1, threadId="t1", comment=SECRET))
    await layer.set_step_favorite(message("s1", output=SECRET), True)
    await layer.get_thread("t1")
    await page_of(layer, search=SECRET)
    await layer.delete_thread("t1")
    assert len(debug.records) > 10
    assert SECRET not in debug.text


@one_engine
def test_no_level_is_forced(layer: Any) -> None:
    assert logging.getLogger("chainlit.DynamoDB").level == logging.NOTSET


@one_engine
async def test_a_quiet_log_asks_for_no_capacity(layer: Any) -> None:
    from chainlit_dynamodb.testing.transports import Counting
    from tests.wiring import wrap

    counting = wrap(layer, Counting)
    await layer.get_user("alice")
    assert all("ReturnConsumedCapacity" not in request for _, request in counting.requests)


@one_engine
async def test_what_ends_before_the_write_path_has_it_is_logged_once_with_its_id(
    layer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await start_thread(layer)
    error = RequestError("UpdateItem", "AccessDeniedException", "no")
    wrap(layer, lambda inner: Failing(inner, error, "UpdateItem"))
    await layer.create_element(Text(id="e1", name="a", content="secret words", for_id="s1", thread_id="t1"))
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "e1" in line
    assert "AccessDenied" in line
    assert "secret" not in line
