"""Steps: messages, tool calls and runs, one row each in their thread's partition."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.chat.changes import StepChange
from chainlit_dynamodb.chat.elements import Elements
from chainlit_dynamodb.chat.feedback_markers import FeedbackMarkers
from chainlit_dynamodb.chat.owners import Asker
from chainlit_dynamodb.chat.step_lookup import StepLookup
from chainlit_dynamodb.chat.tombstones import Tombstones
from chainlit_dynamodb.chat.writer import Writer, outcome
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.errors import ConditionFailedError
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import (
    CREATED_AT,
    EDITED_AT,
    END,
    FEEDBACK,
    HAS_LOOKUP,
    MESSAGE,
    TYPE,
    USER_MESSAGE,
    Key,
    is_own_attribute,
    parse_step_sk,
    parse_thread_pk,
    step_key,
)


class Steps:
    """Writes steps. They are read with their thread, see `transcript`."""

    def __init__(
        self,
        rows: Rows,
        writer: Writer,
        tombstones: Tombstones,
        lookup: StepLookup,
        elements: Elements,
        markers: FeedbackMarkers,
    ) -> None:
        """Take the parts a step touches."""
        self._rows = rows
        self._writer = writer
        self._tombstones = tombstones
        self._lookup = lookup
        self._elements = elements
        self._markers = markers

    def create(
        self,
        thread_id: str,
        step_id: str,
        fields: Item,
        *,
        stamp: str | None = None,
        findable: bool = False,
        asker: Asker | None = None,
    ) -> Coroutine[Any, Any, bool]:
        """Store a step without overwriting what is there already. It is taken over at once, and stored when awaited.

        What begins just now in a browser's chat, a run or a tool, is held for a second, see `Writer.enter`: as a rule
        it has ended by then. Not so what Chainlit's queue held back: each of that waits for the one before.

        Args:
            thread_id: Its thread; the thread's row may come later.
            step_id: Its id, unique in the thread.
            fields: Its plain fields; those that are `None` are not stored.
            stamp: When it was asked for; `None` for now.
            findable: Keep a row by which the step is found without its thread.
            asker: Who asks. Nothing is written to another one's thread.

        Returns:
            Whether the step is stored; not if it, or its thread, is deleted.

        Raises:
            InvalidIdError: An id cannot be part of a key.

        Cost: 1 write unit per KB; 1 more if findable; see `Tombstones.check`.
        """
        default = {CREATED_AT: clock.now(), **_own(fields)}
        if findable:
            default[HAS_LOOKUP] = True
        change = StepChange(default=default, asker=asker)
        is_held = stamp is None and asker is not None and _has_just_begun(fields)
        taken = self._enter(thread_id, step_id, change, stamp, is_held=is_held)
        return self._created(taken, thread_id, step_id, findable=findable)

    def update(
        self,
        thread_id: str,
        step_id: str,
        fields: Item,
        *,
        stamp: str | None = None,
        asker: Asker | None = None,
    ) -> Coroutine[Any, Any, bool]:
        """Change the fields given, `None` clearing one; make the step if it is missing. Taken over as by `create`.

        A user's message notes when it was changed: what ran for it before is replaced then, see `assembly`.

        Args:
            thread_id: Its thread.
            step_id: Its id.
            fields: The plain fields to change.
            stamp: When it was asked for; `None` for now.
            asker: Who asks. Nothing is written to another one's thread.

        Raises:
            InvalidIdError: An id cannot be part of a key.

        Cost: 1 write unit per KB of the row, however many updates were merged; see `Tombstones.check`.
        """
        assign = _own(fields)
        if fields.get(TYPE) == USER_MESSAGE:
            assign[EDITED_AT] = clock.now()
        return outcome(self._enter(thread_id, step_id, StepChange(assign=assign, asker=asker), stamp))

    async def delete(self, thread_id: str, step_id: str, *, asker: Asker | None = None) -> None:
        """Delete a step with its feedback, its elements and their files. Later writes to it do nothing.

        Args:
            thread_id: Its thread.
            step_id: Its id.
            asker: Who asks. Nothing is deleted of another one's thread.

        Raises:
            InvalidIdError: An id cannot be part of a key.

        Cost: 1 read unit per 4 KB, 1 write unit per KB, and a read of the thread's elements; see `Tombstones.admits`.
        """
        key = step_key(thread_id, step_id)
        with self._writer.operation():
            if await self._writer.write(key, StepChange(deletes=True, asker=asker), self._apply):
                await self._elements.delete_of_step(thread_id, step_id)

    async def delete_by_id(self, step_id: str, *, near: str, asker: Asker | None = None) -> None:
        """Delete a step as `delete` does, in the thread `near`, unless this process wrote it only elsewhere.

        A browser chooses the ids of its messages, and may choose those of a stranger's: they hide nobody else's.

        Args:
            step_id: Its id.
            near: Where it is, if that is not known better.
            asker: Who asks.

        Raises:
            InvalidIdError: An id cannot be part of a key.

        Cost: as of `delete`.
        """
        known = self._lookup.recall(step_id, near=near) or near
        is_elsewhere = known != near and await self._tombstones.admits(known, asker)
        await self.delete(known if is_elsewhere else near, step_id, asker=asker)

    def _enter(
        self, thread_id: str, step_id: str, change: StepChange, stamp: str | None, *, is_held: bool = False
    ) -> asyncio.Future[bool] | None:
        key = step_key(thread_id, step_id)
        if self._tombstones.covers(key):
            return None
        self._lookup.remember(step_id, thread_id)
        change = replace(change, stamp=stamp or self._rows.stamps.next())
        return self._writer.enter(key, change, self._apply, is_held=is_held)

    async def _created(
        self, taken: asyncio.Future[bool] | None, thread_id: str, step_id: str, *, findable: bool
    ) -> bool:
        key = step_key(thread_id, step_id)
        with self._writer.operation():
            is_there = await outcome(taken) and not self._tombstones.covers(key)
            if findable and is_there:
                await self._lookup.record(step_id, thread_id)
                if self._tombstones.covers(key):  # it was deleted meanwhile
                    await self._lookup.forget(step_id, thread_id)
            return is_there and not self._tombstones.covers(key)

    async def _apply(self, key: Key, change: StepChange) -> bool:
        thread_id = parse_thread_pk(key.pk)
        is_thread_gone = await self._tombstones.check(thread_id)
        if not is_thread_gone and not await self._tombstones.admits(thread_id, change.asker):
            return False
        if change.deletes:
            self._tombstones.mark_row(key)
            await self._remove(key, leaves_tombstone=not is_thread_gone)
            return True
        return not is_thread_gone and await self._store(key, change)

    async def _store(self, key: Key, change: StepChange) -> bool:
        try:
            await self._rows.update(key, change.update(), stamp=change.stamp)
        except ConditionFailedError:  # another server deleted the step
            self._tombstones.mark_row(key)
            return False
        if await self._tombstones.check(parse_thread_pk(key.pk)):  # the thread was deleted meanwhile
            await self._remove(key, leaves_tombstone=False)
            return False
        return True

    async def _remove(self, key: Key, *, leaves_tombstone: bool) -> None:
        """Delete a step now, then what there is of it elsewhere. Its tombstone tells of that: it can be repeated."""
        row = await self._rows.get(key, attributes=[FEEDBACK, HAS_LOOKUP], policy=self._rows.retry.write) or {}
        old = await self._rows.bury(key, row) if leaves_tombstone else await self._rows.delete(key)
        await self._forget_outside(key, {**row, **(old or {})})

    async def _forget_outside(self, key: Key, row: Item) -> None:
        thread_id, step_id = parse_thread_pk(key.pk), parse_step_sk(key.sk)
        await self._markers.forget(thread_id, step_id, row.get(FEEDBACK))
        if row.get(HAS_LOOKUP):
            await self._lookup.forget(step_id, thread_id)


def _has_just_begun(fields: Item) -> bool:
    return not fields.get(END) and MESSAGE not in str(fields.get(TYPE))


def _own(fields: Item) -> Item:
    """Leave out what the layer itself keeps on the row, so that no caller can set it, and a creation at no time."""
    own = {name: value for name, value in fields.items() if name != FEEDBACK and not is_own_attribute(name)}
    if clock.normalized(own.get(CREATED_AT)) is None:
        own.pop(CREATED_AT, None)
    return own
