"""What is known when a story has ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainlit_dynamodb.dynamodb.codec import Item, decode_item
from chainlit_dynamodb.testing.simulation.histories import Histories
from chainlit_dynamodb.testing.simulation.records import Call


@dataclass(frozen=True)
class Ending:
    """What is known when a story has ended.

    Attributes:
        calls: All calls.
        histories: The writes to every register.
        chats: All threads.
        rows: All items of the table, by their keys, decoded.
        files: All files.
        pending: What processes that lived to the end had not written.
        most_pending_bytes: The most that waited within the bound of one process.
        max_pending_bytes: That bound.
        calm_rows: All items as they were before hours passed and readers tidied them; empty where something happened
            that leaves work to them.
        tidied_at: When that was, in seconds of the wall clock.
        losses: What the log says is lost: when, by which process, and the text.
    """

    calls: list[Call]
    histories: Histories
    chats: list[str]
    rows: Mapping[tuple[str, str], Item]
    files: Mapping[str, bytes]
    pending: Mapping[str, int]
    most_pending_bytes: int
    max_pending_bytes: int
    calm_rows: Mapping[tuple[str, str], Item]
    tidied_at: float
    losses: Sequence[tuple[float, str, str]]

    def answered(self, method: str) -> Iterator[Call]:
        """Return the calls of a method that got an answer."""
        return (call for call in self.calls if call.method == method and call.is_acknowledged)


@dataclass(frozen=True)
class Finding:
    """Something that contradicts an invariant.

    Attributes:
        invariant: Its name.
        detail: What was seen.
    """

    invariant: str
    detail: str


def decoded(rows: Mapping[tuple[str, str], Any]) -> dict[tuple[str, str], Item]:
    """Return raw items as plain ones."""
    return {place: decode_item(item) for place, item in rows.items()}


def span(call: Call) -> tuple[float, float]:
    """Return when a call began and when it was answered."""
    return call.started, call.ended or 0.0
