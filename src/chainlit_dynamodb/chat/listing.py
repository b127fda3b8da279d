"""Listing and searching a user's threads, page by page.

The index only proposes: each thread shown was read from the table.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from chainlit_dynamodb.chat.cursors import Position, decode_cursor, encode_cursor
from chainlit_dynamodb.chat.presentation import ThreadView, listed_thread
from chainlit_dynamodb.chat.recent_writes import RecentWrites
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.errors import InvalidIdError
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import (
    CREATED_AT,
    DELETED_AT,
    FULL_NAME,
    INDEX_PK,
    INDEX_SK,
    INDEXED_NAME_CHARS,
    LISTED_METADATA,
    METADATA,
    NAME,
    PK,
    SK,
    STEP_IDS,
    TAGS,
    USER_ID,
    USER_IDENTIFIER,
    feedback_key,
    parse_thread_pk,
    thread_key,
    thread_pk,
    user_feedback_pk,
    user_threads_pk,
)

MAX_PAGE: Final = 200
_LISTED: Final = (
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
    STEP_IDS,
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

    @cached_property
    def folded(self) -> str:
        """What is searched for, without regard to case."""
        return (self.search or "").casefold()

    @property
    def is_open(self) -> bool:
        """Whether every thread passes."""
        return not self.search and self.feedback is None


@dataclass(frozen=True)
class ThreadPage:
    """Threads of one page, and the cursors of its first and last; the last is `None` if nothing follows."""

    threads: list[ThreadView]
    start_cursor: str | None
    end_cursor: str | None
    has_next: bool


@dataclass(frozen=True)
class _Candidate:
    """A thread the index, or this process's memory, says the user has."""

    thread_id: str
    index_sk: str
    name: str | None = None


class Listing:
    """Lists threads."""

    def __init__(self, rows: Rows, recent: RecentWrites, *, page_items: int) -> None:
        """Take the parts listing touches.

        Args:
            rows: Where threads are.
            recent: What the index may not show yet.
            page_items: How many threads one request to the index reads.
        """
        self._rows = rows
        self._recent = recent
        self._page_items = page_items

    async def page(self, user_id: str, first: int, cursor: str | None, thread_filter: ThreadFilter) -> ThreadPage:
        """Read a page of a user's threads, newest activity first; `createdAt` is the last activity.

        The page is full unless the list ends.

        Args:
            user_id: The user.
            first: How many, 1 to 200; anything else is brought there.
            cursor: The end cursor of an earlier page of the same listing, or `None`.
            thread_filter: Which threads to list.

        Raises:
            CursorError: The cursor was not issued for this listing.
            InvalidIdError: The user id cannot be part of a key.

        Cost: 1 read unit per thread shown (its row, if under 4 KB) and half a unit per 4 KB of index read, about 30
        threads. With a filter the index is read until the page is full, at most once.
        """
        scope = f"{user_id}\0{thread_filter.feedback}\0{thread_filter.search or ''}"
        after = decode_cursor(cursor, scope) if cursor else None
        wanted = max(1, min(first, MAX_PAGE))
        found = await self._find(user_id, after, thread_filter, wanted + 1)
        # Some have moved, and the index lags. Those of the same instant stay in its order.
        found.sort(key=lambda place_and_thread: place_and_thread[0].index_sk, reverse=True)
        shown = found[:wanted]
        cursors = [encode_cursor(place, scope) for place, _ in shown]
        threads = [listed for _, listed in shown]
        has_next = len(found) > wanted
        return ThreadPage(threads, cursors[0] if cursors else None, cursors[-1] if has_next else None, has_next)

    async def _find(
        self, user_id: str, after: Position | None, thread_filter: ThreadFilter, wanted: int
    ) -> list[tuple[Position, ThreadView]]:
        passes = _passes(thread_filter, await self._marked(user_id, thread_filter.feedback))
        found: list[tuple[Position, ThreadView]] = []
        batch: list[_Candidate] = []
        async for candidate in self._candidates(user_id, after, is_open=thread_filter.is_open):
            if not passes(candidate):
                continue
            batch.append(candidate)
            if len(batch) == wanted - len(found):
                found += await self._verified(user_id, batch, thread_filter, after)
                batch = []
                if len(found) == wanted:
                    return found
        return found + await self._verified(user_id, batch, thread_filter, after)

    async def _marked(self, user_id: str, feedback: int | None) -> frozenset[str] | None:
        if feedback is None:
            return None
        partition = user_feedback_pk(user_id, feedback)
        marked = set(self._recent.of(partition))
        async for entries in self._rows.index(partition):
            marked.update(parse_thread_pk(entry[PK]) for entry in entries)
        return frozenset(marked)

    async def _candidates(self, user_id: str, after: Position | None, *, is_open: bool) -> AsyncIterator[_Candidate]:
        """Merge what the index shows and what this process knows better, newest first."""
        partition = user_threads_pk(user_id)
        known, seen = self._recent.of(partition), set[str]()
        recent = [_Candidate(*entry) for entry in sorted(known.items(), key=lambda e: e[1])]
        if after is not None:
            recent = [candidate for candidate in recent if candidate.index_sk < after.index_sk]
        entries_per_page = self._page_items if is_open else None
        pages = self._rows.index(
            partition, newest_first=True, page_items=entries_per_page, start_key=_start_key(partition, after)
        )
        async for entries in pages:
            for shown in filter(None, map(_indexed, entries)):
                if shown.thread_id in seen:
                    continue  # while it moves, the index may show it at both places
                seen.add(shown.thread_id)
                while recent and recent[-1].index_sk > shown.index_sk:
                    yield recent.pop()
                if shown.index_sk < known.get(shown.thread_id, ""):
                    continue  # the index has not seen it move; it has been, or will be, shown where it is now
                recent = [candidate for candidate in recent if candidate.thread_id != shown.thread_id]
                yield shown
        for candidate in reversed(recent):
            yield candidate

    async def _verified(
        self, user_id: str, candidates: list[_Candidate], thread_filter: ThreadFilter, after: Position | None
    ) -> list[tuple[Position, ThreadView]]:
        """Read the candidates' rows and keep those that are what the index said."""
        keys = [thread_key(candidate.thread_id) for candidate in candidates]
        if thread_filter.feedback is not None:
            keys += [feedback_key(c.thread_id, thread_filter.feedback) for c in candidates]
        # Lists show the small entries of metadata, and only a search looks at the whole of a long name.
        large = [METADATA] if thread_filter.search else [METADATA, FULL_NAME]
        rows = await self._rows.get_many(keys, attributes=_LISTED, leave_large=large)
        threads = {row[PK]: row for row in rows if STEP_IDS not in row}
        marked = {row[PK] for row in rows if STEP_IDS in row}
        found = []
        for candidate in candidates:
            row = threads.get(thread_pk(candidate.thread_id))
            if row is None or row.get(INDEX_PK) != user_threads_pk(user_id) or row.get(DELETED_AT):
                continue
            if thread_filter.feedback is not None and row[PK] not in marked:
                continue
            if after is not None and _is_further_up(candidate.thread_id, row, after):
                continue  # another server has moved it meanwhile: it is, or will be, on an earlier page
            listed = listed_thread(row)
            if _contains(listed["name"], thread_filter.folded):
                found.append((Position(row.get(INDEX_SK, ""), candidate.thread_id), listed))
        return found


def _is_further_up(thread_id: str, row: Item, after: Position) -> bool:
    """Return whether a thread's place is not behind a position; the index may show it at an older place too."""
    return thread_id == after.thread_id or bool(row.get(INDEX_SK, "") > after.index_sk)


def _start_key(partition: str, after: Position | None) -> Item | None:
    if after is None:
        return None
    place = {INDEX_PK: partition, INDEX_SK: after.index_sk}
    return {**thread_key(after.thread_id).attributes(), **place}


def _indexed(entry: Item) -> _Candidate | None:
    """Return the thread of an entry of the index, or `None` if it is an entry of something else."""
    try:
        thread_id = parse_thread_pk(entry[PK])
        if thread_key(thread_id) != (entry[PK], entry[SK]):
            return None
    except InvalidIdError:
        return None
    name = entry.get(NAME)
    return _Candidate(thread_id, entry[INDEX_SK], name if isinstance(name, str) else None)


def _passes(thread_filter: ThreadFilter, marked: frozenset[str] | None) -> Callable[[_Candidate], bool]:
    def passes(candidate: _Candidate) -> bool:
        if marked is not None and candidate.thread_id not in marked:
            return False
        unsure = candidate.name is None or len(candidate.name) >= INDEXED_NAME_CHARS
        return unsure or _contains(candidate.name, thread_filter.folded)

    return passes


def _contains(name: str | None, folded: str) -> bool:
    return folded in (name or "").casefold()
