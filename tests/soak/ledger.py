"""What the sessions asked for and what was acknowledged, one line each, safe against `kill -9`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

What = Literal["thread", "step", "metadata", "feedback", "step deletion", "thread deletion"]


@dataclass(frozen=True)
class Entry:
    """One event.

    Attributes:
        acknowledged: Whether the layer has answered; else it was only asked.
        what: What was written.
        user: Whose chat.
        thread: The chat.
        key: The step, or the key of the metadata.
        number: Counts the writes of one step, key or feedback; later ones have higher numbers.
    """

    acknowledged: bool
    what: What
    user: str
    thread: str
    key: str = ""
    number: int = 0


class Ledger:
    """An append-only file. A line that was written survives the death of the process."""

    def __init__(self, path: Path) -> None:
        """Open it for appending."""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, entry: Entry) -> None:
        """Append an entry."""
        os.write(self._file, json.dumps(asdict(entry)).encode() + b"\n")


def read_ledgers(folder: Path) -> Iterator[Entry]:
    """Read all entries of all processes, in the order of each."""
    for path in sorted(folder.glob("*.ledger")):
        for line in path.read_bytes().splitlines():
            yield Entry(**json.loads(line))
