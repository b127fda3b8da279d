"""What may be uploaded, and how it is read: as a file, part by part, never whole in memory."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import IO, Final

from chainlit_dynamodb.storage.calls import Calls

Data = bytes | str | Path | AsyncIterator[bytes]

SPOOL_BYTES: Final = 8 * 1024 * 1024


async def open_data(data: Data, calls: Calls) -> IO[bytes]:
    """Turn any accepted kind of data into a seekable file.

    Args:
        data: What was handed to `upload_file`.
        calls: Where files are opened and written.

    Returns:
        A file at its start, for the caller to close.

    Raises:
        OSError: The path cannot be opened.
    """
    if isinstance(data, bytes):
        return BytesIO(data)
    if isinstance(data, str):
        return BytesIO(data.encode("utf-8", "replace"))
    if isinstance(data, Path):
        return await calls.in_thread(data.open, "rb")
    return await _spool(data, calls)


async def _spool(chunks: AsyncIterator[bytes], calls: Calls) -> IO[bytes]:
    spool = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - the caller closes it
    try:
        async for chunk in chunks:
            await calls.in_thread(spool.write, chunk)
    except BaseException:  # also cancellation: the file is closed; raised again
        spool.close()
        raise
    spool.seek(0)
    return spool


async def parts_of(file: IO[bytes], size: int, calls: Calls) -> AsyncIterator[bytes]:
    """Read a file part by part, off the event loop.

    Args:
        file: What to read, from where it stands.
        size: How many bytes a part has; the last one may have fewer.
        calls: Where the file is read.

    Yields:
        The parts; none of an empty file.
    """
    while part := await calls.in_thread(file.read, size):
        yield part
