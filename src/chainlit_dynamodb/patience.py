"""How long a caller is kept waiting: a while, and hardly at all once the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

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
