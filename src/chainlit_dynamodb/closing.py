"""The end of a layer, in time: nobody waits, what is pending is written, what was opened is let go of."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable
from typing import Final, Protocol

from chainlit_dynamodb.errors import ConfigurationError
from chainlit_dynamodb.patience import Patience
from chainlit_dynamodb.server_stop import hear_of_stop

logger = logging.getLogger("chainlit.DynamoDB")

LET_GO_SECONDS: Final = 1.0


class Draining(Protocol):
    """What has changes pending."""

    def drain(self, timeout_seconds: float) -> Awaitable[int]:
        """Write what is pending, and return how much could not be written in time."""


class Closable(Protocol):
    """What can be closed."""

    def close(self) -> Awaitable[None]:
        """Close."""


class Closing:
    """Closes a layer. The time it has begins when the server stops, if that is heard, else with `close`."""

    def __init__(self, seconds: float, patience: Patience, writer: Draining, *parts: Closable | None) -> None:
        """Close nothing yet.

        Args:
            seconds: How long pending changes are waited for.
            patience: Ends when closing begins.
            writer: Has the pending changes.
            *parts: What was opened, in the order in which it is let go of.

        Raises:
            ConfigurationError: The time makes no sense.
        """
        if not 0 <= seconds < math.inf:
            raise ConfigurationError("close_seconds must be a number of seconds, 0 or more.")
        self._seconds = seconds
        self._patience = patience
        self._writer = writer
        self._parts = parts
        self._begun_at: float | None = None
        hear_of_stop(self)

    def begin(self) -> None:
        """Let go of whoever waits. From now on the time runs; doing it again changes nothing."""
        self._patience.end()
        if self._begun_at is None:
            self._begun_at = time.monotonic()

    async def finish(self) -> None:
        """Close, if that was begun and nobody has done it."""
        if self._begun_at is not None:
            await self.close()

    async def close(self) -> None:
        """Write what is pending, say what could not be written, and let go of all parts. Never raises."""
        self.begin()
        lost = await self._writer.drain(self._seconds_left())
        if lost:
            logger.error("Closed with %d writes that could not be stored in time", lost)
        await close_all(*self._parts)
        self._begun_at = None
        self._patience.renew()

    def _seconds_left(self) -> float:
        """Return what is left of the time: a little at least, for what came in the meantime."""
        elapsed = 0.0 if self._begun_at is None else time.monotonic() - self._begun_at
        return max(self._seconds - elapsed, min(self._seconds, LET_GO_SECONDS))


async def close_all(*parts: Closable | None) -> None:
    """Close parts one after the other, each within a second. Never raises, whatever they do."""
    for part in parts:
        try:
            if part is not None:
                await asyncio.wait_for(part.close(), LET_GO_SECONDS)
        except asyncio.TimeoutError:  # the next reader tidies what was to be tidied; what hangs is let go of
            logger.debug("While closing: %s took longer than %d s", type(part).__name__, LET_GO_SECONDS)
        except Exception as exc:  # noqa: BLE001 - the process is ending
            logger.warning("While closing: %s: %s", type(part).__name__, type(exc).__name__)
