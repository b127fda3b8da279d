"""Which write of a row is the newest.

A request that timed out may be executed later, after requests that were sent after it. So a stamped row carries the
stamp of its newest write, and a write is conditioned on it in the same request: what comes late loses. Stamps are the
time of a hybrid logical clock, which is never behind a stamp it has seen, and the process that made them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import replace
from typing import Final
from uuid import uuid4

from cachetools import LRUCache

from chainlit_dynamodb.dynamodb.expressions import Condition, Update, any_of, at_most, missing
from chainlit_dynamodb.schema import STAMP

_TIME_DIGITS: Final = 14
"""Microseconds in hexadecimal: text order is time order, and there is room for two thousand years."""
_PROCESS_CHARS: Final = 8
_REMEMBERED: Final = 10_000


def wall_clock_micros() -> int:
    """Return the time of this machine in microseconds; it may step back."""
    return time.time_ns() // 1000


class Stamps:
    """Makes the stamps of one process, each later than all it has made or seen."""

    def __init__(self, clock_micros: Callable[[], int] = wall_clock_micros) -> None:
        """Start at the time of the clock.

        Args:
            clock_micros: Returns the time in microseconds.
        """
        self._clock_micros = clock_micros
        self._process = uuid4().hex[:_PROCESS_CHARS]
        self._last_micros = 0
        self._asked: LRUCache[str, str] = LRUCache(_REMEMBERED)
        self._written: LRUCache[Hashable, str] = LRUCache(_REMEMBERED)

    def next(self) -> str:
        """Return a new stamp."""
        self._last_micros = max(self._clock_micros(), self._last_micros + 1)
        return f"{self._last_micros:0{_TIME_DIGITS}x}{self._process}"

    def later_than(self, seen: str, stamp: str) -> str:
        """Return a stamp for a write whose own is behind one of another process: its clock was behind.

        Args:
            seen: The other stamp.
            stamp: The write's own; it still says when the write was asked for.
        """
        self._observe(seen)
        later = self.next()
        self._asked[later] = self._asked.get(stamp, stamp)
        return later

    def note_written(self, place: Hashable, stamp: str) -> None:
        """Note that a write has happened where its stamp is now."""
        self._written[place] = max(self._asked.get(stamp, stamp), self._written.get(place, ""))

    def is_overtaken(self, place: Hashable, stamp: str, seen: str) -> bool:
        """Return whether a write was overtaken by one that this process was asked for later.

        Others may have written there since: they came after both.

        Args:
            place: Where the stamp is: a row, or more of them than one on a row.
            stamp: The write's stamp.
            seen: The stamp that is there, which is later.
        """
        asked = self._asked.get(stamp, stamp)
        if self._written.get(place, "") > asked:
            return True
        return seen.endswith(self._process) and self._asked.get(seen, seen) > asked

    def _observe(self, stamp: str) -> None:
        with suppress(ValueError):  # of a row that others have written
            self._last_micros = max(self._last_micros, int(stamp[:_TIME_DIGITS], 16))


def stamped(update: Update, stamp: str, attribute: str = STAMP) -> Update:
    """Return an update that leaves its stamp on the row: the newest, or the first where it only fills gaps."""
    if update.assign or update.remove:
        return replace(update, assign={**update.assign, attribute: stamp})
    return replace(update, default={**update.default, attribute: stamp})


def filling_gaps(update: Update) -> Update:
    """Return what is left of an update that a newer one has overtaken: it fills the gaps that one has left."""
    given = {name: value for name, value in update.assign.items() if value is not None}
    return Update(default={**update.default, **given})


def not_overtaken(stamp: str, attribute: str = STAMP) -> Condition:
    """Hold if the row has no newer stamp. Equal is well: the same write, tried again."""
    return any_of(missing(attribute), at_most(attribute, stamp))
