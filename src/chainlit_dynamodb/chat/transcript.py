"""Reading a thread whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final

from chainlit_dynamodb.chat.assembly import Transcript, assemble
from chainlit_dynamodb.chat.files import Files
from chainlit_dynamodb.chat.presentation import ThreadView
from chainlit_dynamodb.chat.sweep import Sweep
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.errors import ChainlitDynamoDBError
from chainlit_dynamodb.rows.burial import Partition
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import DELETED_AT, SK, THREAD_SK, thread_pk

logger = logging.getLogger("chainlit.DynamoDB")

_MANY_ROWS: Final = 1_000
"""So many are put together in a thread: it takes 10 microseconds a row."""


class Transcripts:
    """Reads threads whole."""

    def __init__(
        self,
        rows: Rows,
        writer: Writer,
        files: Files,
        sweep: Sweep,
        delete_step: Callable[[str, str], Awaitable[None]],
    ) -> None:
        """Take the parts reading touches.

        Args:
            rows: Where threads are.
            writer: This process's pending writes, which are waited for.
            files: Signs URLs.
            sweep: Deletes what interrupted writes have left.
            delete_step: Deletes a step of a thread: what is left of a deleted turn.
        """
        self._rows = rows
        self._writer = writer
        self._files = files
        self._sweep = sweep
        self._delete_step = delete_step
        self._chores: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Leave tidying to whoever reads next."""
        chores = list(self._chores)
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)

    async def get(self, thread_id: str) -> ThreadView | None:
        """Read a thread whole, with fresh URLs. It waits up to 5 s for writes of its rows that are under way.

        The row of an element with a file is written after its upload, which nobody waits for.

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
        if transcript is not None and transcript.ghosts:
            self._by_and_by(self._delete_steps(thread_id, transcript.ghosts))
        elif _has_slipped_in(found):
            self._by_and_by(self._sweep.thread(thread_id))
        elif found.leavings:
            self._by_and_by(self._sweep.rows(found.leavings))
        if transcript is None:
            return None
        elements = await self._files.with_urls(transcript.elements)
        return {**transcript.thread, "steps": transcript.steps, "elements": elements}

    async def _assembled(self, found: Partition) -> Transcript | None:
        if len(found.rows) < _MANY_ROWS:
            return assemble(found.rows, found.buried)
        return await asyncio.to_thread(assemble, found.rows, found.buried)

    def _by_and_by(self, chore: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(_tried(chore))
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def _delete_steps(self, thread_id: str, step_ids: Iterable[str]) -> None:
        for step_id in step_ids:
            await self._delete_step(thread_id, step_id)


def _has_slipped_in(found: Partition) -> bool:
    """Return whether a deleted thread holds something."""
    is_deleted = any(row[SK] == THREAD_SK and row.get(DELETED_AT) is not None for row in found.rows)
    return is_deleted and (len(found.rows) > 1 or bool(found.buried or found.leavings))


async def _tried(chore: Awaitable[object]) -> None:
    try:
        await chore
    except ChainlitDynamoDBError as exc:
        logger.debug("Tidying is left to the next reader: %s", exc)
