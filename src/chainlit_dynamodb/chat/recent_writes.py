"""What this process has just written, so that reads through the index see it while the index still lags.

Indexes of DynamoDB follow the table within fractions of a second, but promise nothing. Candidates from here are
always checked against the table, so a stale one does no harm.
"""

from __future__ import annotations

from typing import Final

from cachetools import LRUCache, TTLCache

KEEP_SECONDS: Final = 60.0
_PARTITIONS: Final = 10_000
_ENTRIES: Final = 1_000


class RecentWrites:
    """Entries of index partitions, kept for a minute: for each, what names its item, and its index sort key."""

    def __init__(self) -> None:
        """Start empty."""
        self._partitions: TTLCache[str, LRUCache[str, str]] = TTLCache(_PARTITIONS, KEEP_SECONDS)

    def touch(self, partition: str, entry: str, index_sk: str) -> None:
        """Note that an entry has just been put into an index partition, or moved in it."""
        entries = self._partitions.get(partition)
        entries = LRUCache(_ENTRIES) if entries is None else entries
        entries[entry] = max(index_sk, entries.get(entry, ""))
        self._partitions[partition] = entries

    def of(self, partition: str) -> dict[str, str]:
        """Return what was noted of an index partition: entry to index sort key."""
        return dict(self._partitions.get(partition, {}))

    def newest(self, partition: str) -> tuple[str, str]:
        """Return the index sort key and the name of the entry noted highest up in a partition; "" twice for none."""
        return max(((index_sk, entry) for entry, index_sk in self.of(partition).items()), default=("", ""))
