"""Where changes wait that memory has no room for: a temporary file without a name, which goes with the process."""

from __future__ import annotations

import pickle
import tempfile
from typing import IO, Any, NamedTuple


class Place(NamedTuple):
    """Where in the file something is."""

    offset: int
    length_bytes: int


class Spill:
    """Keeps plain data in a file that no other process can open. Opened when it is first needed.

    Writing goes to the page cache, a millisecond per MB, and happens when memory is full only.
    """

    def __init__(self) -> None:
        """Open nothing."""
        self._file: IO[bytes] | None = None

    def put(self, value: Any) -> Place:
        """Keep a value.

        Raises:
            OSError: The disk is full too.
        """
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - `clear` closes it
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        place = Place(self._file.seek(0, 2), len(data))
        self._file.write(data)
        return place

    def take(self, place: Place) -> Any:
        """Return a value that was put."""
        assert self._file is not None  # noqa: S101 - there is a place
        self._file.seek(place.offset)
        return pickle.loads(self._file.read(place.length_bytes))  # noqa: S301 - this process wrote it

    def clear(self) -> None:
        """Forget everything, and give the disk back its room."""
        if self._file is not None:
            self._file.close()
            self._file = None
