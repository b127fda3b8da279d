"""How long a caller is kept waiting: a while, and hardly at all once the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, Final, TypeVar

from fastapi import HTTPException

from chainlit_dynamodb.errors import TransientError
from chainlit_dynamodb.session import in_session
from chainlit_dynamodb.unheard import leave_unheard

AWAITED_SECONDS: Final = 20.0
"""Somebody waits in front of a browser."""
AT_EVERY_REQUEST_SECONDS: Final = 8.0
"""Chainlit asks for the user first, and then for what the browser wants."""
AFTER_READS_SECONDS: Final = 14.0
"""Chainlit has read who owns a chat before it is renamed, and the whole chat before it is shared."""
A_MOMENT_SECONDS: Final = 3.0
"""Chainlit's shutdown waits for the sessions that end, one after the other."""
AT_THE_END_SECONDS: Final = 0.5
"""What a table that works answers with ease."""

T = TypeVar("T")


class UnansweredError(TransientError, HTTPException):
    """Nobody waits any longer. Behind an HTTP route it is an answer, 503 with a message, and no traceback."""

    def __init__(self, what: str, cause: TransientError | None = None) -> None:
        """Name the method, and what went wrong, if that is known."""
        detail = "DynamoDB does not answer. Try again in a moment."
        Exception.__init__(self, f"{what}: {cause or detail}")
        self.operation, self.code = what, cause.code if cause else "Timeout"
        self.status_code, self.detail, self.headers = 503, detail, None

    def __str__(self) -> str:
        """Return the message, as of any other error."""
        return str(self.args[0])


class Patience:
    """Keeps callers waiting, and lets them go when the server stops."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._end: asyncio.Future[None] | None = None
        self._is_over = False

    async def wait(self, work: Awaitable[T], seconds: float) -> T:
        """Wait for work, and cancel it when the time is over.

        Raises:
            asyncio.TimeoutError: The time is over, or the server stops.
        """
        working, end = asyncio.ensure_future(work), self._end_of_this_loop()
        awaited: set[asyncio.Future[Any]] = {working} if self._is_over else {working, end}
        seconds = min(seconds, AT_THE_END_SECONDS) if self._is_over else seconds
        try:
            await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
        finally:
            if not working.done():
                working.add_done_callback(leave_unheard)
                working.cancel()
        raise asyncio.TimeoutError

    async def in_time(self, what: str, work: Awaitable[T], seconds: float = AWAITED_SECONDS) -> T:
        """Wait for what somebody awaits, until a clear error is better than to wait on.

        Changes that the write path has taken over by then are tried on.

        Args:
            what: The method, for the message.
            work: A read or a write.
            seconds: How long it may take as a whole, however many requests it is.

        Raises:
            UnansweredError: The table has not answered.
        """
        try:
            return await self.wait(work, seconds)
        except asyncio.TimeoutError as exc:
            raise UnansweredError(what) from exc
        except TransientError as exc:
            raise UnansweredError(what, exc) from exc

    async def in_a_moment(self, work: Awaitable[T], seconds: float = A_MOMENT_SECONDS) -> T | None:
        """Wait a moment for what goes on by itself, then leave it.

        Args:
            work: It goes on though nobody waits for it.
            seconds: How long to wait; by default as long as Chainlit may, where no person does.

        Returns:
            What came of it; `None` if that is not known yet.

        Raises:
            ChainlitDynamoDBError: It failed within that moment.
        """
        with suppress(asyncio.TimeoutError):
            return await self.wait(work, seconds)
        return None

    async def for_caller(self, what: str, work: Awaitable[T], seconds: float) -> T | None:
        """Wait for a change that goes on by itself: a moment in a session, where Chainlit waits, else as `in_time`.

        Args:
            what: The method, for the message.
            work: It goes on though nobody waits for it.
            seconds: How long outside of a session.

        Returns:
            What came of it; `None` if that is not known yet.

        Raises:
            UnansweredError: Outside of a session: the table has not answered.
            ChainlitDynamoDBError: It failed within the time.
        """
        return await (self.in_a_moment(work) if in_session() else self.in_time(what, work, seconds))

    def end(self) -> None:
        """Let go, within a moment, whoever waits or comes to wait in this event loop."""
        end = self._end_of_this_loop()
        if not self._is_over:
            self._is_over = True
            asyncio.get_running_loop().call_later(AT_THE_END_SECONDS, _finish, end)

    def renew(self) -> None:
        """Keep callers waiting again: what was closed may be used again."""
        self._end = None

    def _end_of_this_loop(self) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        if self._end is None or self._end.get_loop() is not loop:
            self._end, self._is_over = loop.create_future(), False
        return self._end


def _finish(end: asyncio.Future[None]) -> None:
    if not end.done():
        end.set_result(None)
