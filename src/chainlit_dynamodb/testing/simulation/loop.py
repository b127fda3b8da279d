"""An event loop whose time is virtual: it never waits, and the same seed runs the same callbacks in the same order.

It replaces what asyncio's base class keeps to itself, and so it reaches for private names.
"""

# ruff: noqa: SLF001, ARG002

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from asyncio import events, tasks
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final

from chainlit_dynamodb.testing.simulation.errors import StuckError

MAX_CALLBACKS: Final = 100_000
"""A story that takes more does not end."""
_SCATTER: Final = 2_654_435_761
"""Hashes that follow each other make a set slow from which most was taken out again: asyncio's one of all tasks."""


class Owner:
    """Whose callbacks run: a process. When it is dead, none of them ever runs again."""

    is_dead = False


owner_var: ContextVar[Owner | None] = ContextVar("owner", default=None)


class _Future(asyncio.Future[Any]):
    """A future whose place in a set does not depend on its address in memory."""

    def __hash__(self) -> int:
        return self.serial * _SCATTER

    serial = 0


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address in memory."""

    def __hash__(self) -> int:
        return self.serial * _SCATTER

    serial = 0


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs callbacks; time passes only when none is ready.

    Ready callbacks run in the order in which they became ready, as asyncio promises, or in a shuffled one.
    """

    def __init__(self, chance: random.Random, *, shuffles: bool) -> None:
        """Start at time 0.

        Args:
            chance: Draws the order.
            shuffles: Whether ready callbacks change places.
        """
        super().__init__()
        self._chance = chance
        self._shuffles = shuffles
        self._virtual_now = 0.0
        self._serials = itertools.count(1)
        self._left = MAX_CALLBACKS
        self._ready: list[Any] = []
        self._scheduled: list[Any] = []
        self._orders = itertools.count()
        self.tasks: list[asyncio.Task[Any]] = []
        self.set_task_factory(_make_task)
        self.set_exception_handler(lambda *_: None)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._virtual_now

    def create_future(self) -> asyncio.Future[Any]:
        """Return a new future."""
        future = _Future(loop=self)
        future.serial = next(self._serials)
        return future

    def next_serial(self) -> int:
        """Return a number nobody has."""
        return next(self._serials)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Call back at a time. What is due at the same time runs in the order of these calls."""
        timer = events.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, (when, next(self._orders), timer))
        return timer

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """Call back soon: there is one thread."""
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Do at once what is meant for a thread."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as exc:  # noqa: BLE001 - whoever awaits it gets it
            done.set_exception(exc)
        return done

    def drop_tasks(self) -> None:
        """End what will never be resumed, in silence."""
        for task in self.tasks:
            tasks._unregister_task(task)
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                with suppress(BaseException):
                    task.get_coro().close()
        self.tasks.clear()
        self._ready.clear()

    def _run_once(self) -> None:
        if not self._ready:
            self._jump()
        batch, self._ready = self._ready, []
        if self._shuffles and len(batch) > 1:
            self._chance.shuffle(batch)
        self._left -= len(batch)
        if self._left < 0:
            raise StuckError("the story does not end")
        for handle in batch:
            if handle._cancelled:
                continue
            owner = handle._context.get(owner_var)
            if owner is None or not owner.is_dead:
                handle._run()

    def _jump(self) -> None:
        """Let time pass until something is due."""
        while self._scheduled:
            when, _, timer = self._scheduled[0]
            if self._ready and when > self._virtual_now:
                return
            heapq.heappop(self._scheduled)
            if timer._cancelled:
                continue
            self._virtual_now = max(self._virtual_now, when)
            self._ready.append(timer)
        if not self._ready:
            raise StuckError("everybody waits for somebody")

    def _timer_handle_cancelled(self, handle: Any) -> None:
        return

    def _process_events(self, event_list: Any) -> None:
        return

    def _write_to_self(self) -> None:
        return

    def _check_closed(self) -> None:
        return


def _make_task(loop: Any, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    task = _Task(coroutine, loop=loop, **options)
    task.serial = loop.next_serial()
    loop.tasks.append(task)
    return task
