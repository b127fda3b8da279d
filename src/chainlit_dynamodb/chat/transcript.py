"""Reading a thread whole."""

from __future__ import annotations

import asyncio
from typing import Final

from chainlit_dynamodb.chat.files import Files
from chainlit_dynamodb.chat.presentation import ThreadView, assemble
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import thread_pk

_MANY_ROWS: Final = 1_000
"""So many are put together in a thread: it takes 10 microseconds a row."""


class Transcripts:
    """Reads threads whole."""

    def __init__(self, rows: Rows, writer: Writer, files: Files) -> None:
        """Take the parts reading touches.

        Args:
            rows: Where threads are.
            writer: This process's pending writes, which are waited for.
            files: Signs URLs.
        """
        self._rows = rows
        self._writer = writer
        self._files = files

    async def get(self, thread_id: str) -> ThreadView | None:
        """Read a thread whole, with all writes this process has begun and fresh URLs.

        Returns:
            The thread with `steps` and `elements`, or `None` if there is none.

        Raises:
            InvalidIdError: The id cannot be part of a key.

        Cost: 1 read unit per 4 KB of the whole thread.
        """
        pk = thread_pk(thread_id)
        await self._writer.flush(pk)
        rows = await self._rows.partition(pk)
        transcript = assemble(rows) if len(rows) < _MANY_ROWS else await asyncio.to_thread(assemble, rows)
        if transcript is None:
            return None
        elements = await self._files.with_urls(transcript.elements)
        return {**transcript.thread, "steps": transcript.steps, "elements": elements}
