"""Which refusals are retried, how long a request is tried, and at what pace."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay
from tenacity.wait import wait_random_exponential

from chainlit_dynamodb.errors import TransientError

logger = logging.getLogger("chainlit.DynamoDB")

RETRIED_CODES: Final = frozenset(
    {
        "InternalServerError",
        "IDPCommunicationError",
        "LimitExceededException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
"""Service codes after which the same request may succeed, those of cancelled transactions and of STS included."""

_TRANSIENT_STATUSES: Final = (408, 429)

_FIRST_DELAY_SECONDS: Final = 0.05
_MAX_DELAY_SECONDS: Final = 5.0
_QUIET_TRIES: Final = 4
_WARN_EVERY_SECONDS: Final = 5.0

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E", bound=BaseException | None)


def is_transient(code: str, status: int) -> bool:
    """Return whether the same request may succeed a moment later.

    Args:
        code: The service code of the refusal.
        status: HTTP status: what failed on the server's side may succeed then, whatever its code.
    """
    return code in RETRIED_CODES or status >= 500 or status in _TRANSIENT_STATUSES


@dataclass(frozen=True)
class RetryPolicy:
    """How long a request is tried.

    Attributes:
        give_up_after_seconds: Counted from the first try.
    """

    give_up_after_seconds: float


@dataclass(frozen=True)
class RetryPolicies:
    """The retry policies of one layer.

    Attributes:
        read: For reads: somebody waits in front of a browser.
        write: For writes, which are kept meanwhile and lost if they are given up, for reads that a write depends on,
            and for files that are stored or deleted.
    """

    read: RetryPolicy = RetryPolicy(20.0)
    write: RetryPolicy = RetryPolicy(600.0)


class Retries:
    """Retries the requests of one kind, and warns once for all of them: in an outage every one of them fails."""

    def __init__(
        self, subject: str, *, service: str = "DynamoDB", transient: type[Exception] = TransientError
    ) -> None:
        """Nothing has been warned of yet.

        Args:
            subject: What the requests are for, for messages: `table chats`.
            service: Who is asked, for messages.
            transient: The errors after which the same request may succeed.
        """
        self._subject = subject
        self._service = service
        self._transient = transient
        self._last_warning = float("-inf")
        self._in_trouble_since: float | None = None
        self._trying = 0

    async def run(
        self, policy: RetryPolicy, request: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Send a request until it succeeds, fails for good, or the time is over.

        Args:
            policy: How long it is tried.
            request: Sends the request anew at every call.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Raises:
            Exception: The last transient failure, when the time is over.
        """
        started = time.monotonic()
        try:
            return await request(*args, **kwargs)
        except self._transient as exc:
            failure = _without_frames(exc)
        seconds_left = policy.give_up_after_seconds - (time.monotonic() - started)
        return await self._run_again(seconds_left, failure, request, *args, **kwargs)

    async def _run_again(
        self,
        seconds_left: float,
        failure: Exception,
        request: Callable[P, Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Go on after a first failure. tenacity comes in only here, for its bookkeeping costs 20 us per request.

        The delay is drawn between 0 and a bound that doubles ("full jitter", AWS Architecture Blog).
        """
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(self._transient),
            wait=wait_random_exponential(multiplier=_FIRST_DELAY_SECONDS, max=_MAX_DELAY_SECONDS),
            stop=stop_after_delay(seconds_left),
            before_sleep=self._before_sleep,
            reraise=True,
        )
        self._trying += 1
        try:
            async for attempt in attempts:
                with attempt:
                    if attempt.retry_state.attempt_number == 1:
                        raise failure
                    answer = await request(*args, **kwargs)
                    self._say_it_answers_again()
                    return answer
        finally:
            self._trying -= 1
        raise AssertionError("unreachable: the last failure is raised")

    def _before_sleep(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        _without_frames(error)
        level = logging.WARNING if state.attempt_number >= _QUIET_TRIES and self._may_warn() else logging.DEBUG
        logger.log(
            level,
            "%s did not take a request for %s %d times, %d requests are being tried again: %s",
            self._service,
            self._subject,
            state.attempt_number,
            self._trying,
            error,
        )

    def _may_warn(self) -> bool:
        now = time.monotonic()
        if now - self._last_warning < _WARN_EVERY_SECONDS:
            return False
        self._last_warning = now
        if self._in_trouble_since is None:
            self._in_trouble_since = now
        return True

    def _say_it_answers_again(self) -> None:
        since, self._in_trouble_since = self._in_trouble_since, None
        if since is not None:
            seconds = time.monotonic() - since
            logger.warning("%s answers again for %s, after %.0f s", self._service, self._subject, seconds)


def _without_frames(error: E) -> E:
    """Let a failure go of what was sent: the frames of its traceback hold it, and failures are kept between tries."""
    part: BaseException | None = error
    while part is not None:
        part.__traceback__, part = None, part.__cause__ or part.__context__
    return error
