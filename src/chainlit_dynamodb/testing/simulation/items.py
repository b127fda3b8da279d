"""Where the engine keeps items, in order, with what they were; and the index that follows them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from chainlit_dynamodb.schema import INDEX_PK, INDEX_PROJECTION, INDEX_SK, PK, SK

Item = dict[str, dict[str, Any]]
Place = tuple[str, str]

KEPT_SECONDS: Final = 60.0
"""How long it is known what an item was."""


class Items:
    """Items by partition and sort key. An item that is kept is never changed, only replaced."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Start empty.

        Args:
            now: The time in seconds.
        """
        self.keeps_history = False
        self._now = now
        self._partitions: dict[str, dict[str, Item]] = {}
        self._sorted: dict[str, list[str]] = {}
        self._history: dict[Place, list[tuple[float, Item | None]]] = {}

    def get(self, place: Place) -> Item | None:
        """Return an item, or `None`."""
        partition = self._partitions.get(place[0])
        return None if partition is None else partition.get(place[1])

    def get_as_of(self, place: Place, moment: float) -> Item | None:
        """Return an item as it was at a time not long ago."""
        for until, item in self._history.get(place, ()):
            if moment < until:
                return item
        return self.get(place)

    def set(self, place: Place, item: Item | None) -> None:
        """Put an item in a place, or nothing."""
        pk, sk = place
        partition = self._partitions.setdefault(pk, {})
        if self.keeps_history:
            self._remember(place, partition.get(sk))
        if item is None:
            if partition.pop(sk, None) is not None:
                keys = self._sorted[pk]
                del keys[bisect_left(keys, sk)]
        else:
            if sk not in partition:
                insort(self._sorted.setdefault(pk, []), sk)
            partition[sk] = item

    def sort_keys(self, pk: str) -> list[str]:
        """Return the sort keys of a partition, in order. Not to be changed."""
        return self._sorted.get(pk, [])

    def all(self) -> Iterator[tuple[Place, Item]]:
        """Return all items."""
        for pk, partition in self._partitions.items():
            for sk, item in partition.items():
                yield (pk, sk), item

    def _remember(self, place: Place, item: Item | None) -> None:
        now = self._now()
        versions = self._history.setdefault(place, [])
        versions.append((now, item))
        while versions[0][0] < now - KEPT_SECONDS:
            del versions[0]


class _Event(NamedTuple):
    """The index learns of an entry, or of its end, at a time."""

    at: float
    serial: int
    entry: tuple[str, str, str, str]
    projection: Item | None


class Index:
    """The index `UserThread`: it follows the table after a while, and may show an item in two places or in none."""

    def __init__(self, now: Callable[[], float], lag: Callable[[Place], tuple[float, float]]) -> None:
        """Start empty.

        Args:
            now: The time in seconds.
            lag: After how many seconds a new entry is seen, and after how many the old one is gone.
        """
        self._now = now
        self._lag = lag
        self._serial = 0
        self._seen_until: dict[Place, float] = {}
        self._events: list[_Event] = []
        self._entries: dict[str, dict[tuple[str, str, str], Item]] = {}

    def follow(self, place: Place, before: Item | None, after: Item | None) -> None:
        """Take in a change of the table."""
        old, new = _entry(before), _entry(after)
        if old is None and new is None:
            return
        projection = None if after is None or new is None else _projected(after)
        if old == new and before is not None and projection == _projected(before):
            return
        seen, gone = self._lag(place)
        earliest = max(self._now(), self._seen_until.get(place, 0.0))
        self._seen_until[place] = earliest + max(seen, gone)
        if old is not None and old != new:
            self._expect(_Event(earliest + gone, self._serial, (*old, *place), None))
        if new is not None:
            self._expect(_Event(earliest + seen, self._serial, (*new, *place), projection))

    def catch_up(self) -> None:
        """See everything."""
        self._see(float("inf"))

    def entries(self, pk: str) -> list[tuple[tuple[str, str, str], Item]]:
        """Return the entries of an index partition as they are seen now, in order."""
        if self._events:
            self._see(self._now())
        return sorted(self._entries.get(pk, {}).items(), key=lambda entry: entry[0])

    def _expect(self, event: _Event) -> None:
        self._serial += 1
        if event.at <= self._now() and not self._events:
            self._apply(event)
        else:
            self._events.append(event._replace(serial=self._serial))

    def _see(self, moment: float) -> None:
        due = sorted(event for event in self._events if event.at <= moment)
        if due:
            self._events = [event for event in self._events if event.at > moment]
        for event in due:
            self._apply(event)

    def _apply(self, event: _Event) -> None:
        pk, sk, *place = event.entry
        entries = self._entries.setdefault(pk, {})
        if event.projection is None:
            entries.pop((sk, place[0], place[1]), None)
        else:
            entries[sk, place[0], place[1]] = event.projection


def _entry(item: Item | None) -> tuple[str, str] | None:
    if item is None or INDEX_PK not in item or INDEX_SK not in item:
        return None
    return item[INDEX_PK]["S"], item[INDEX_SK]["S"]


def _projected(item: Item) -> Item:
    return {name: item[name] for name in (PK, SK, INDEX_PK, INDEX_SK, *INDEX_PROJECTION) if name in item}
