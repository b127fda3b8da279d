"""Deletes what deleted threads, steps and elements have left, with their files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from cachetools import LRUCache

from chainlit_dynamodb.chat.feedback_markers import FeedbackMarkers
from chainlit_dynamodb.chat.files import Files
from chainlit_dynamodb.chat.step_lookup import StepLookup
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.rows.burial import may_lack_its_file, may_still_arrive
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import (
    ANNOUNCED_AT,
    FEEDBACK,
    HAS_LOOKUP,
    OBJECT_KEY,
    PK,
    SK,
    THREAD_SK,
    TYPE,
    is_element_sk,
    is_step_sk,
    parse_step_sk,
    parse_thread_pk,
    thread_pk,
)

_REMEMBERED: Final = 10_000
_LEAD_OUTSIDE: Final = (OBJECT_KEY, HAS_LOOKUP, ANNOUNCED_AT, TYPE)
"""What tells of something elsewhere that belongs to a row."""


class Swept(NamedTuple):
    """What came of a sweep.

    Attributes:
        found_any: Whether there was something to delete.
        is_finished: Whether nothing is left.
    """

    found_any: bool
    is_finished: bool


class Sweep:
    """Deletes rows, what belongs to them elsewhere first."""

    def __init__(self, rows: Rows, files: Files, lookup: StepLookup, markers: FeedbackMarkers) -> None:
        """Take the parts a sweep touches."""
        self._rows = rows
        self._files = files
        self._lookup = lookup
        self._markers = markers
        self._files_swept: LRUCache[str, str] = LRUCache(_REMEMBERED)

    async def thread(self, thread_id: str) -> Swept:
        """Delete all rows of a thread but its own, files first, until none is left.

        A second sweep also repeats what this process did beside the thread's rows: a file or a write may have been on
        its way. What announces a file that may be on its way stays for two hours.

        Raises:
            StorageError: A file could not be deleted; its row stays.

        Cost: a read of the whole thread twice, and 1 write unit per KB of each row.
        """
        pk, found_any, is_finished = thread_pk(thread_id), False, True
        swept = [name for name, swept_pk in self._files_swept.items() if swept_pk == pk]
        await self._files.delete_all(swept, may_be_missing=True)
        await self._lookup.forget_again(thread_id)
        async for doomed, spared in self._rows.clear(pk, spares=_stays, attributes=_LEAD_OUTSIDE):
            await self._delete_outside(doomed)
            found_any = found_any or bool(doomed)
            is_finished = is_finished and not any(may_still_arrive(row) for row in spared)
        return Swept(found_any, is_finished)

    async def rows(self, rows: Sequence[Item]) -> None:
        """Delete some rows of a thread, what belongs to them elsewhere first.

        Raises:
            StorageError: A file could not be deleted; the rows stay.

        Cost: 1 write unit per KB of what is deleted.
        """
        await self._delete_outside(rows)
        for row in rows:
            if row.get(FEEDBACK) and is_step_sk(row[SK]):
                await self._markers.forget(parse_thread_pk(row[PK]), parse_step_sk(row[SK]), row[FEEDBACK])
        await self._rows.delete_many(rows)

    async def _delete_outside(self, rows: Sequence[Item]) -> None:
        """Delete files and lookup rows."""
        # Elements alone have files of their own: in a step, a browser may have put the key of any file.
        with_files = [row for row in rows if row.get(OBJECT_KEY) and is_element_sk(row[SK])]
        for may_be_missing in (False, True):
            files = [row[OBJECT_KEY] for row in with_files if may_lack_its_file(row) is may_be_missing]
            await self._files.delete_all(files, may_be_missing=may_be_missing)
        self._files_swept.update({row[OBJECT_KEY]: row[PK] for row in with_files})
        for row in rows:
            if row.get(HAS_LOOKUP) and is_step_sk(row[SK]):
                await self._lookup.forget(parse_step_sk(row[SK]), parse_thread_pk(row[PK]))


def _stays(row: Item) -> bool:
    return row[SK] == THREAD_SK or may_still_arrive(row)
