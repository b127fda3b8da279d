"""A wrong configuration and an outage are one line of the log each minute; all else is logged as it was."""

from __future__ import annotations

import logging

import pytest

from chainlit_dynamodb.errors import AccessDeniedError, CredentialsError, SchemaError, TransientError
from chainlit_dynamodb.failure_log import FailureFilter, say_alike_failures_once


def record_of(error: Exception | None, message: str = "Exception in %s") -> logging.LogRecord:
    """Give what a server logs of an error that reached it."""
    info = (type(error), error, None) if error is not None else None
    return logging.LogRecord("uvicorn.error", logging.ERROR, __file__, 1, message, ("ASGI application",), info)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands, and can be set."""
    now = [1000.0]
    monkeypatch.setattr("chainlit_dynamodb.failure_log.time.monotonic", lambda: now[0])
    return now


def test_the_first_is_the_error_s_line_without_a_traceback() -> None:
    record = record_of(SchemaError("Table 100% is not there. Make it."))
    assert FailureFilter().filter(record)
    assert logging.Formatter().format(record) == "Table 100% is not there. Make it."
    assert record.levelno == logging.ERROR


def test_the_next_one_comes_after_a_minute(clock: list[float]) -> None:
    once = FailureFilter()
    passed = []
    for now in (1000.0, 1001.0, 1059.9, 1060.0, 1061.0):
        clock[0] = now
        passed.append(once.filter(record_of(CredentialsError("No AWS credentials found."))))
    assert passed == [True, False, False, True, False]


def test_an_outage_and_a_wrong_configuration_are_said_each_for_itself(clock: list[float]) -> None:
    once, outage, wrong = FailureFilter(), TransientError("Query", "Timeout", "no answer"), SchemaError("no table")
    assert [once.filter(record_of(error)) for error in (outage, wrong, outage, wrong)] == [True, True, False, False]


@pytest.mark.parametrize("error", [None, ValueError("of the app"), AccessDeniedError("Query", "AccessDenied", "no")])
def test_other_records_pass_as_they_are(error: Exception | None) -> None:
    once = FailureFilter()
    for _ in range(2):
        record = record_of(error)
        info = record.exc_info
        assert once.filter(record)
        assert record.exc_info is info
        assert record.getMessage() == "Exception in ASGI application"


def test_it_is_put_in_place_once() -> None:
    logger = logging.getLogger("uvicorn.error")
    say_alike_failures_once()
    before = list(logger.filters)
    say_alike_failures_once()
    assert logger.filters == before
    assert sum(isinstance(each, FailureFilter) for each in before) == 1
