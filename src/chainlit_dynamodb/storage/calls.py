"""The running calls of a client: blocking ones in threads, a few at a time, and all of them waited for at its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar

from chainlit_dynamodb.errors import StorageError
from chainlit_dynamodb.log_lines import unlogged

logger = logging.getLogger("chainlit.DynamoDB.storage")

P = ParamSpec("P")
T = TypeVar("T")

CLOSE_WAIT_SECONDS: Final = 10.0
SPARE_THREADS: Final = 4


class Calls:
    """Counts what runs, and runs what blocks off the event loop. Threads start at the first blocking call."""

    def __init__(self, owner: str, threads: int) -> None:
        """Prepare the threads.

        Args:
            owner: Whose calls these are, for thread names and messages.
            threads: How many blocking calls run at the same time; more of them wait.
        """
        self._owner = owner
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=owner)
        self._spare = ThreadPoolExecutor(max_workers=SPARE_THREADS, thread_name_prefix=f"{owner} spare")
        self._running: set[Future[Any]] = set()
        self._ended = False
        self.closed = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what is done in a `with` block as one call, from its first step to its last.

        Raises:
            StorageError: No new calls are taken any more.
        """
        if self.closed:
            raise self._refusal()
        call = Future[None]()
        call.set_running_or_notify_cancel()  # so that `close`, when it gives up waiting, cannot cancel it
        self._running.add(call)
        try:
            with unlogged():
                yield
        finally:
            self._running.discard(call)
            call.set_result(None)

    async def in_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a blocking function in a thread; while `close` waits, calls that it waits for still may.

        Args:
            function: What to call.
            args: Its positional arguments.
            kwargs: Its keyword arguments.

        Returns:
            What the function returned; what it raised is raised here.

        Raises:
            StorageError: The threads are gone.
        """
        return await self._run(self._pool, function, *args, **kwargs)

    async def in_spare_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a blocking function as `in_thread` does, but never behind files: to sign a URL, to look a file up."""
        return await self._run(self._spare, function, *args, **kwargs)

    async def _run(self, pool: ThreadPoolExecutor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._ended:
            raise self._refusal()
        future = pool.submit(_unlogged, function, *args, **kwargs)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return await asyncio.wrap_future(future)

    async def close(self) -> None:
        """Refuse new calls, wait a while for the running ones, and let the threads go."""
        self.closed = True
        waiting = [asyncio.wrap_future(call) for call in list(self._running)]
        try:
            await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), CLOSE_WAIT_SECONDS)
        except asyncio.TimeoutError:
            logger.warning("%s: %d calls still ran when it was closed", self._owner, len(self._running))
        finally:
            self._ended = True
            for pool in (self._pool, self._spare):
                pool.shutdown(wait=False, cancel_futures=True)

    def _refusal(self) -> StorageError:
        return StorageError(f"{self._owner} is closed")


def _unlogged(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    with unlogged():
        return function(*args, **kwargs)
