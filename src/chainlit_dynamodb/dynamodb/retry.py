"""Which errors come back, and when."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay
from tenacity.wait import wait_random_exponential

from chainlit_dynamodb.errors import TransientError

logger = logging.getLogger("chainlit.DynamoDB")

READ_SECONDS: Final = 20.0
"""Somebody waits in front of a browser."""
WRITE_SECONDS: Final = 600.0
"""What is written is kept in memory meanwhile, and lost if it is given up."""

_FIRST_DELAY_SECONDS: Final = 0.05
_MAX_DELAY_SECONDS: Final = 5.0
_PATIENT_TRIES: Final = 4
_WARN_EVERY_SECONDS: Final = 5.0
_last_warning = float("-inf")

T = TypeVar("T")


async def retrying(request: Callable[[], Awaitable[T]], *, give_up_after_seconds: float) -> T:
    """Send a request until it succeeds, fails for good, or the time is over.

    The delay is drawn between 0 and a bound that doubles ("full jitter", AWS Architecture Blog).

    Args:
        request: Sends the request anew at every call.
        give_up_after_seconds: Counted from the first try.

    Raises:
        TransientError: The last failure, when the time is over.
    """
    attempts = AsyncRetrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait_random_exponential(multiplier=_FIRST_DELAY_SECONDS, max=_MAX_DELAY_SECONDS),
        stop=stop_after_delay(give_up_after_seconds),
        before_sleep=_before_sleep,
        reraise=True,
    )
    async for attempt in attempts:
        with attempt:
            return await request()
    raise AssertionError("unreachable: the last failure is raised")


def _before_sleep(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    level = logging.WARNING if state.attempt_number >= _PATIENT_TRIES and _may_warn() else logging.DEBUG
    logger.log(level, "DynamoDB did not take a request %d times: %s", state.attempt_number, error)


def _may_warn() -> bool:
    """Speak for all requests at once: in an outage every one of them is in trouble."""
    global _last_warning
    now = time.monotonic()
    if now - _last_warning < _WARN_EVERY_SECONDS:
        return False
    _last_warning = now
    return True
