"""Where changes wait that memory has no room for: a temporary file without a name, which goes with the process."""

from __future__ import annotations

import errno
import pickle
import tempfile
from collections import defaultdict
from typing import IO, Any, Final, NamedTuple

_SMALLEST_ROOM_BYTES: Final = 4096


class Place(NamedTuple):
    """Where in the file something is."""

    offset: int
    length_bytes: int


class Spill:
    """Keeps plain data in a file that no other process can open. Opened when it is first needed.

    Writing goes to the page cache, a millisecond per MB, and happens when memory is full only. Rooms in the file are
    powers of two long and are used again, so the file is not much longer than what it held at most.
    """

    def __init__(self) -> None:
        """Open nothing."""
        self._file: IO[bytes] | None = None
        self._end = 0
        self._free: defaultdict[int, list[int]] = defaultdict(list)

    def put(self, value: Any) -> Place:
        """Keep a value.

        Raises:
            OSError: The disk is full too.
        """
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - `clear` closes it
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        place = Place(self._room(_room_bytes(len(data))), len(data))
        self._file.seek(place.offset)
        try:
            if self._file.write(data) < len(data):  # as a disk that fills up answers first
                raise OSError(errno.ENOSPC, "The disk is full")
        except OSError:
            self.drop(place)
            raise
        return place

    def take(self, place: Place) -> Any:
        """Return a value that was put, which is kept no longer."""
        assert self._file is not None  # noqa: S101 - there is a place
        self._file.seek(place.offset)
        data = self._file.read(place.length_bytes)
        self.drop(place)
        return pickle.loads(data)  # noqa: S301 - this process wrote it

    @property
    def size_bytes(self) -> int:
        """How long the file is."""
        return self._end

    def drop(self, place: Place) -> None:
        """Forget a value that was put."""
        self._free[_room_bytes(place.length_bytes)].append(place.offset)

    def clear(self) -> None:
        """Forget everything, and give the disk back its room."""
        if self._file is not None:
            self._file.close()
            self._file, self._end = None, 0
            self._free.clear()

    def _room(self, size_bytes: int) -> int:
        if self._free[size_bytes]:
            return self._free[size_bytes].pop()
        offset, self._end = self._end, self._end + size_bytes
        return offset


def _room_bytes(length_bytes: int) -> int:
    """Return the power of two that holds so much."""
    return max(_SMALLEST_ROOM_BYTES, 1 << (length_bytes - 1).bit_length())
