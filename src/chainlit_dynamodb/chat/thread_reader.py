"""Reading threads: one whole, or a page of a user's list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

from chainlit_dynamodb.chat.cursors import Position, decode_cursor, encode_cursor
from chainlit_dynamodb.chat.elements import Elements
from chainlit_dynamodb.chat.large_values import LargeValues
from chainlit_dynamodb.chat.recent import Recent
from chainlit_dynamodb.chat.schema import (
    DELETED_AT,
    FULL_NAME,
    INDEX_NAME,
    INDEX_PK,
    INDEX_SK,
    LISTED_METADATA,
    PK,
    SK,
    STEP_IDS,
    feedback_key,
    parse_thread_pk,
    thread_key,
    thread_pk,
    user_feedback_pk,
    user_threads_pk,
)
from chainlit_dynamodb.chat.threads import (
    CREATED_AT,
    INDEXED_NAME_CHARS,
    METADATA,
    NAME,
    TAGS,
    USER_ID,
    USER_IDENTIFIER,
    last_activity,
    public_thread,
)
from chainlit_dynamodb.chat.transcript import assemble
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.expressions import equals
from chainlit_dynamodb.dynamodb.packing import Split
from chainlit_dynamodb.dynamodb.table import Query, Table
from chainlit_dynamodb.errors import InvalidIdError

MAX_PAGE: Final = 200
_MANY_ROWS: Final = 1_000
"""So many are put together in a thread: it takes 10 microseconds a row."""
_LISTED: Final = (
    PK,
    SK,
    NAME,
    FULL_NAME,
    CREATED_AT,
    USER_ID,
    USER_IDENTIFIER,
    TAGS,
    METADATA,
    LISTED_METADATA,
    INDEX_PK,
    INDEX_SK,
    DELETED_AT,
)


@dataclass(frozen=True)
class ThreadFilter:
    """Which of a user's threads to list.

    Attributes:
        search: Text in the name, in any case.
        feedback: 0 or 1: threads with a step of this feedback value.
    """

    search: str | None = None
    feedback: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether every thread passes."""
        return not self.search and self.feedback is None


@dataclass(frozen=True)
class ThreadPage:
    """Threads of one page, and the cursors of its first and last; the last is `None` if nothing follows."""

    threads: list[dict[str, Any]]
    start_cursor: str | None
    end_cursor: str | None
    has_next: bool


@dataclass(frozen=True)
class _Candidate:
    """A thread the index, or this process's memory, says the user has."""

    thread_id: str
    index_sk: str
    name: str | None = None


class ThreadReader:
    """Reads threads."""

    def __init__(
        self,
        table: Table,
        values: LargeValues,
        writer: Writer,
        elements: Elements,
        recent: Recent,
        *,
        page_items: int,
    ) -> None:
        """Take the parts reading touches.

        Args:
            table: Where threads are.
            values: Puts together what is large.
            writer: This process's pending writes, which are waited for.
            elements: Signs URLs.
            recent: What the index may not show yet.
            page_items: How many threads one request to the index reads.
        """
        self._table = table
        self._values = values
        self._writer = writer
        self._elements = elements
        self._recent = recent
        self._page_items = page_items

    async def get(self, thread_id: str) -> dict[str, Any] | None:
        """Read a thread whole, with all writes this process has begun and fresh URLs.

        Returns:
            The thread with `steps` and `elements`, or `None` if there is none.

        Raises:
            InvalidIdError: The id cannot be part of a key.

        Cost: 1 read unit per 4 KB of the whole thread.
        """
        pk = thread_pk(thread_id)
        await self._writer.flush(pk)
        rows: list[Item] = []
        async for page in self._table.query_pages(Query(equals(PK, pk), consistent=True)):
            rows += page
        complete = await self._values.complete(rows)
        transcript = assemble(complete) if len(rows) < _MANY_ROWS else await asyncio.to_thread(assemble, complete)
        if transcript is None:
            return None
        elements = await self._elements.with_urls(transcript.elements)
        return {**transcript.thread, "steps": transcript.steps, "elements": elements}

    async def page(self, user_id: str, first: int, cursor: str | None, thread_filter: ThreadFilter) -> ThreadPage:
        """Read a page of a user's threads, newest activity first; `createdAt` is the last activity.

        The page is full unless the list ends. The index only proposes: each thread shown was read from the table.

        Args:
            user_id: Whose.
            first: How many, 1 to 200; anything else is brought there.
            cursor: The end cursor of an earlier page of the same listing, or `None`.
            thread_filter: Which.

        Raises:
            CursorError: The cursor was not issued for this listing.

        Cost: 1 read unit per thread shown (its row, if under 4 KB) and half a unit per 4 KB of index read, about 30
        threads. With a filter the index is read until the page is full, at most once.
        """
        scope = f"{user_id}\0{thread_filter.feedback}\0{thread_filter.search or ''}"
        after = decode_cursor(cursor, scope) if cursor else None
        try:
            user_threads_pk(user_id)
        except InvalidIdError:
            return ThreadPage([], None, None, has_next=False)
        wanted = max(1, min(first, MAX_PAGE))
        found = await self._find(user_id, after, thread_filter, wanted + 1)
        shown = found[:wanted]
        cursors = [encode_cursor(Position(c.index_sk, c.thread_id), scope) for c, _ in shown]
        threads = [listed for _, listed in shown]
        threads.sort(key=lambda thread: thread[CREATED_AT], reverse=True)
        has_next = len(found) > wanted
        return ThreadPage(threads, cursors[0] if cursors else None, cursors[-1] if has_next else None, has_next)

    async def _find(
        self, user_id: str, after: Position | None, thread_filter: ThreadFilter, wanted: int
    ) -> list[tuple[_Candidate, dict[str, Any]]]:
        marked = await self._marked(user_id, thread_filter.feedback)
        passes = _passes(thread_filter, marked)
        found: list[tuple[_Candidate, dict[str, Any]]] = []
        batch: list[_Candidate] = []
        async for candidate in self._candidates(user_id, after, is_open=thread_filter.is_open):
            if not passes(candidate):
                continue
            batch.append(candidate)
            if len(batch) == wanted - len(found):
                found += await self._verified(user_id, batch, thread_filter)
                batch = []
                if len(found) == wanted:
                    return found
        return found + await self._verified(user_id, batch, thread_filter)

    async def _marked(self, user_id: str, feedback: int | None) -> frozenset[str] | None:
        if feedback is None:
            return None
        partition = user_feedback_pk(user_id, feedback)
        marked = set(self._recent.of(partition))
        query = Query(equals(INDEX_PK, partition), index=INDEX_NAME)
        async for rows in self._table.query_pages(query):
            marked.update(parse_thread_pk(row[PK]) for row in rows)
        return frozenset(marked)

    async def _candidates(self, user_id: str, after: Position | None, *, is_open: bool) -> AsyncIterator[_Candidate]:
        """Merge what the index shows and what this process knows better, newest first."""
        partition = user_threads_pk(user_id)
        known = self._recent.of(partition)
        recent = [_Candidate(*entry) for entry in sorted(known.items(), key=lambda e: e[1])]
        if after is not None:
            recent = [candidate for candidate in recent if candidate.index_sk < after.index_sk]
        async for rows in self._table.query_pages(self._index_query(partition, after, is_open=is_open)):
            for shown in filter(None, map(_indexed, rows)):
                while recent and recent[-1].index_sk > shown.index_sk:
                    yield recent.pop()
                if shown.index_sk < known.get(shown.thread_id, ""):
                    continue  # the index has not seen it move; it has been, or will be, shown where it is now
                recent = [candidate for candidate in recent if candidate.thread_id != shown.thread_id]
                yield shown
        for candidate in reversed(recent):
            yield candidate

    def _index_query(self, partition: str, after: Position | None, *, is_open: bool) -> Query:
        start_key: Item | None = None
        if after is not None:
            place = {INDEX_PK: partition, INDEX_SK: after.index_sk}
            start_key = {**thread_key(after.thread_id).attributes(), **place}
        return Query(
            equals(INDEX_PK, partition),
            index=INDEX_NAME,
            forward=False,
            page_items=self._page_items if is_open else None,
            start_key=start_key,
        )

    async def _verified(
        self, user_id: str, candidates: list[_Candidate], thread_filter: ThreadFilter
    ) -> list[tuple[_Candidate, dict[str, Any]]]:
        """Read the candidates' rows and keep those that are what the index said."""
        keys = [thread_key(candidate.thread_id).attributes() for candidate in candidates]
        if thread_filter.feedback is not None:
            keys += [feedback_key(c.thread_id, thread_filter.feedback).attributes() for c in candidates]
        found_rows = await self._table.batch_get(keys, attributes=[*_LISTED, STEP_IDS])
        rows = await self._values.complete([_without_bulk(r, names=not thread_filter.search) for r in found_rows])
        threads = {row[PK]: row for row in rows if STEP_IDS not in row}
        marked = {row[PK] for row in rows if STEP_IDS in row}
        found = []
        for candidate in candidates:
            row = threads.get(thread_pk(candidate.thread_id))
            if row is None or row.get(INDEX_PK) != user_threads_pk(user_id) or row.get(DELETED_AT):
                continue
            if thread_filter.feedback is not None and row[PK] not in marked:
                continue
            listed = listed_thread(row)
            if _contains(listed[NAME], thread_filter.search):
                found.append((candidate, listed))
        return found


def listed_thread(row: Item) -> dict[str, Any]:
    """Give a thread's row as Chainlit lists it: `createdAt` is the last activity there."""
    thread = public_thread(row)
    return {**thread, CREATED_AT: last_activity(row) or thread[CREATED_AT], "steps": [], "elements": []}


def _without_bulk(row: Item, *, names: bool) -> Item:
    """Leave what is kept beside the row where it is: lists show the small entries, and the beginning of a name."""
    small = dict(row)
    if LISTED_METADATA in row:
        small[METADATA] = small.pop(LISTED_METADATA)
    if names and isinstance(row.get(FULL_NAME), Split):
        del small[FULL_NAME]
    return small


def _indexed(row: Item) -> _Candidate | None:
    """Give the thread of an entry of the index, or `None` if it is an entry of something else."""
    try:
        thread_id = parse_thread_pk(row[PK])
        if thread_key(thread_id) != (row[PK], row[SK]):
            return None
    except InvalidIdError:
        return None
    name = row.get(NAME)
    return _Candidate(thread_id, row[INDEX_SK], name if isinstance(name, str) else None)


def _passes(thread_filter: ThreadFilter, marked: frozenset[str] | None) -> Callable[[_Candidate], bool]:
    def passes(candidate: _Candidate) -> bool:
        if marked is not None and candidate.thread_id not in marked:
            return False
        unsure = candidate.name is None or len(candidate.name) >= INDEXED_NAME_CHARS
        return unsure or _contains(candidate.name, thread_filter.search)

    return passes


def _contains(name: str | None, search: str | None) -> bool:
    return not search or search.casefold() in (name or "").casefold()
