"""Reading a thread whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from chainlit_dynamodb.chat.files import Files
from chainlit_dynamodb.chat.presentation import ThreadView, Transcript, assemble
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.errors import ChainlitDynamoDBError
from chainlit_dynamodb.rows.burial import Partition
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import thread_pk

logger = logging.getLogger("chainlit.DynamoDB")

_MANY_ROWS: Final = 1_000
"""So many are put together in a thread: it takes 10 microseconds a row."""


class Transcripts:
    """Reads threads whole."""

    def __init__(
        self, rows: Rows, writer: Writer, files: Files, delete_step: Callable[[str, str], Awaitable[None]]
    ) -> None:
        """Take the parts reading touches.

        Args:
            rows: Where threads are.
            writer: This process's pending writes, which are waited for.
            files: Signs URLs.
            delete_step: Deletes a step of a thread: what is left of a deleted turn.
        """
        self._rows = rows
        self._writer = writer
        self._files = files
        self._delete_step = delete_step
        self._chores: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Leave deleted turns to whoever reads next."""
        chores = list(self._chores)
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)

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
        found = await self._rows.partition(pk)
        transcript = await self._assembled(found)
        if transcript is None:
            return None
        if transcript.ghosts:
            self._lay_to_rest(thread_id, transcript.ghosts)
        else:
            self._rows.tidy(found)
        elements = await self._files.with_urls(transcript.elements)
        return {**transcript.thread, "steps": transcript.steps, "elements": elements}

    async def _assembled(self, found: Partition) -> Transcript | None:
        if len(found.rows) < _MANY_ROWS:
            return assemble(found.rows, found.buried)
        return await asyncio.to_thread(assemble, found.rows, found.buried)

    def _lay_to_rest(self, thread_id: str, ghosts: Iterable[str]) -> None:
        """Delete, by and by, the steps that are left of a deleted one."""
        task = asyncio.create_task(self._delete_steps(thread_id, ghosts))
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def _delete_steps(self, thread_id: str, step_ids: Iterable[str]) -> None:
        try:
            for step_id in step_ids:
                await self._delete_step(thread_id, step_id)
        except ChainlitDynamoDBError as exc:
            logger.debug("Steps of a deleted turn are left to the next reader: %s", exc)
