"""While a simulation runs, time and chance are its own, everywhere in the process.

What is exchanged: the clocks of `time`, the source of `uuid4` and of the module `random`, the time that caches of
`cachetools` take by default, the wall clock of the chat layer, and how large a value may be to stay in its row, so
that splitting is cheap. Everything is put back at the end.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any, Final
from unittest.mock import patch

from cachetools import TTLCache

import chainlit_dynamodb.schema
from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.rows import large_values
from chainlit_dynamodb.testing.simulation.loop import Owner, owner_var

STARTED_AT: Final = datetime(2026, 1, 1, tzinfo=timezone.utc)
_STARTED_AT_NS: Final = int(STARTED_AT.timestamp()) * 10**9
SMALL_INLINE_BYTES: Final = 1536
SMALL_PART_BYTES: Final = 1024
LOGGER: Final = logging.getLogger("chainlit.DynamoDB")

_real_now: Final = clock.now


class Wall(Owner):
    """A process as its wall clock sees it.

    Attributes:
        offset_seconds: How far its clock is ahead of the true time; behind if negative.
    """

    offset_seconds: float = 0.0
    last_told: datetime = datetime.min.replace(tzinfo=timezone.utc)


class _WallClock(datetime):
    """What the chat layer takes for `datetime`."""

    virtual_now: Callable[[], float]

    @classmethod
    def now(cls, tz: Any = None) -> Any:  # noqa: ARG003
        return STARTED_AT + timedelta(seconds=_wall_seconds(cls.virtual_now()))


def _wall_seconds(virtual_now: float) -> float:
    owner = owner_var.get()
    return virtual_now + (owner.offset_seconds if isinstance(owner, Wall) else 0.0)


def _now_of_process() -> str:
    """Tell the time as the chat layer does, with a memory of its own for each process."""
    owner = owner_var.get()
    if not isinstance(owner, Wall):
        return _real_now()
    clock._last = owner.last_told  # noqa: SLF001 - the module keeps one per real process
    told = _real_now()
    owner.last_told = clock._last  # noqa: SLF001
    return told


@contextmanager
def virtual_world(seed: str, now: Callable[[], float], handler: logging.Handler) -> Iterator[None]:
    """Exchange time and chance.

    Args:
        seed: Whatever is drawn comes from it.
        now: The virtual time in seconds.
        handler: Gets what the layer logs.
    """
    chance, state = random.Random(f"world/{seed}"), random.getstate()  # noqa: S311 - repeatable
    defaults: Any = TTLCache.__init__.__defaults__
    wall = type("WallClock", (_WallClock,), {"virtual_now": staticmethod(now)})
    with ExitStack() as stack:
        for target, name, value in (
            (time, "monotonic", now),
            (time, "perf_counter", now),
            (time, "time", lambda: STARTED_AT.timestamp() + _wall_seconds(now())),
            (time, "time_ns", lambda: _STARTED_AT_NS + round(_wall_seconds(now()) * 1e9)),
            (os, "urandom", chance.randbytes),
            (clock, "datetime", wall),
            (clock, "now", _now_of_process),
            (clock, "_last", Wall.last_told),
            (chainlit_dynamodb.schema, "INLINE_BYTES", SMALL_INLINE_BYTES),
            (chainlit_dynamodb.schema, "THREAD_INLINE_BYTES", SMALL_INLINE_BYTES),
            (large_values, "PART_BYTES", SMALL_PART_BYTES),
            (TTLCache.__init__, "__defaults__", (now, *defaults[1:])),
        ):
            stack.enter_context(patch.object(target, name, value))
        stack.enter_context(_only_logged_to(handler))
        stack.enter_context(_without_collection())
        random.seed(chance.random())
        stack.callback(random.setstate, state)
        yield


@contextmanager
def _only_logged_to(handler: logging.Handler) -> Iterator[None]:
    handlers, level, propagate = LOGGER.handlers, LOGGER.level, LOGGER.propagate
    LOGGER.handlers, LOGGER.propagate = [handler], False
    LOGGER.setLevel(logging.WARNING)
    try:
        yield
    finally:
        LOGGER.handlers, LOGGER.propagate = handlers, propagate
        LOGGER.setLevel(level)


@contextmanager
def _without_collection() -> Iterator[None]:
    """When garbage is collected depends on everything that ran before."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
