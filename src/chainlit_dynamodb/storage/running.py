"""Counts the calls of an asynchronous SDK: so many at a time, and closed only when they are done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chainlit_dynamodb.errors import StorageError
from chainlit_dynamodb.storage.base import CLOSE_WAIT_SECONDS

logger = logging.getLogger(__name__)


class RunningCalls:
    """What `BoundedThreads` is for an SDK that does not block."""

    def __init__(self, owner: str, size: int) -> None:
        """Prepare the count.

        Args:
            owner: Whose calls these are, for messages.
            size: How many run at the same time; more of them wait.
        """
        self._owner = owner
        self._slots = asyncio.Semaphore(size)
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.closed = False

    def check_open(self) -> None:
        """Refuse what comes after `close`.

        Raises:
            StorageError: It was closed.
        """
        if self.closed:
            raise StorageError(f"{self._owner} is closed")

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of the places for the length of a `with` block.

        Raises:
            StorageError: It was closed.
        """
        self.check_open()
        self._running += 1
        self._idle.clear()
        try:
            async with self._slots:
                yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def close(self) -> None:
        """Refuse new calls, and wait a while for the running ones."""
        self.closed = True
        try:
            await asyncio.wait_for(self._idle.wait(), CLOSE_WAIT_SECONDS)
        except asyncio.TimeoutError:
            logger.warning("%s: %d calls still ran when it was closed", self._owner, self._running)
