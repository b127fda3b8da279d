"""Changes that do not merge in a lane: stars, feedback, logins, deletions. Callers begin them, and may go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeVar

from chainlit_dynamodb.errors import BacklogFullError, ChainlitDynamoDBError

logger = logging.getLogger("chainlit.DynamoDB")

T = TypeVar("T")

MOST: Final = 2_000
MOST_BYTES: Final = 16 * 1024 * 1024
"""What so many hold, and what waking them all at once takes of the event loop's time, is bearable."""


class Errands:
    """Runs changes, those with one name in the order they were asked for.

    Attributes:
        tasks: What is not done yet.
    """

    def __init__(self) -> None:
        """Start with none, bound to no event loop."""
        self.tasks: set[asyncio.Task[Any]] = set()
        self._last: dict[str, asyncio.Task[Any]] = {}
        self._held_bytes = 0

    async def run(self, name: str, change: Callable[[], Coroutine[Any, Any, T]], *, size_bytes: int = 0) -> T:
        """Do a change. It goes on though nobody waits for it any more.

        Args:
            name: What is changed, for the order and for the log; without content.
            change: Does it, retries included; an error is final, and logged if nobody waits any more.
            size_bytes: What it holds, beyond a few ids.

        Raises:
            BacklogFullError: Too many wait already, or too much.
            ChainlitDynamoDBError: It was refused for good.
        """
        if len(self.tasks) >= MOST or (self.tasks and self._held_bytes + size_bytes > MOST_BYTES):
            logger.error("Lost: %s: %d changes wait already", name, len(self.tasks))
            raise BacklogFullError(f"{name} was lost: too many changes wait to be stored.")
        self._held_bytes += size_bytes
        task = asyncio.create_task(_after(self._last.get(name), change))
        self._last[name] = task
        self.tasks.add(task)
        task.add_done_callback(partial(self._done, name, size_bytes))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(partial(_say, name))  # nobody else will
            raise

    def _done(self, name: str, size_bytes: int, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        self._held_bytes -= size_bytes
        if self._last.get(name) is task:
            del self._last[name]


def _say(name: str, task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        reason = error if isinstance(error, ChainlitDynamoDBError) else type(error).__name__
        logger.error("Not stored: %s: %s", name, reason)


async def _after(earlier: asyncio.Task[Any] | None, change: Callable[[], Coroutine[Any, Any, T]]) -> T:
    if earlier is not None:
        await asyncio.wait({earlier})
    return await change()
