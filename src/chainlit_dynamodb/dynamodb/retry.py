"""Which errors come back, and when."""

from __future__ import annotations

import asyncio
import logging
import random
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
_MAX_DELAY_SECONDS: Final = 10.0

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
    try:
        return await request()
    except TransientError as first:
        _log_retry(first, 1)
    await asyncio.sleep(random.uniform(0, _FIRST_DELAY_SECONDS))  # noqa: S311 - no secret
    attempts = AsyncRetrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait_random_exponential(multiplier=2 * _FIRST_DELAY_SECONDS, max=_MAX_DELAY_SECONDS),
        stop=stop_after_delay(give_up_after_seconds),
        before_sleep=_before_sleep,
        reraise=True,
    )
    return await attempts(request)


def _before_sleep(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log_retry(error, state.attempt_number + 1)


def _log_retry(error: BaseException | None, attempt: int) -> None:
    level = logging.WARNING if attempt in (4, 8) or attempt % 16 == 0 else logging.DEBUG
    logger.log(level, "DynamoDB did not take a request, try %d: %s", attempt, error)
