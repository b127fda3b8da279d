"""Steps: messages, tool calls and runs, one row each in their thread's partition."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.chat.elements import Elements
from chainlit_dynamodb.chat.feedback import FEEDBACK, FeedbackMarkers
from chainlit_dynamodb.chat.large_values import LargeValues
from chainlit_dynamodb.chat.lookup import StepLookup
from chainlit_dynamodb.chat.schema import (
    HAS_LOOKUP,
    Key,
    is_own_attribute,
    parse_step_sk,
    step_key,
)
from chainlit_dynamodb.chat.tombstones import Tombstones
from chainlit_dynamodb.chat.writer import Writer, weight_bytes
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.expressions import Update
from chainlit_dynamodb.dynamodb.table import Table

_CREATED_AT: Final = "createdAt"


@dataclass(frozen=True)
class Upsert:
    """Fields of a row that may exist already.

    Attributes:
        default: Fields that are only set where they are missing.
        assign: Fields that are set. `None` is stored, so that a `default` that comes later does not fill the gap.
    """

    default: dict[str, Any]
    assign: dict[str, Any]

    def then(self, later: Upsert) -> Upsert:
        """Give the one upsert that does what this and then a later one do."""
        known = {name: value for name, value in self.default.items() if value is not None}
        return Upsert({**later.default, **known}, {**self.assign, **later.assign})

    def update(self) -> Update:
        """Give it as an update."""
        return Update(
            assign=self.assign,
            default={k: v for k, v in self.default.items() if k not in self.assign and v is not None},
        )

    @cached_property
    def size_bytes(self) -> int:
        """Memory it holds, roughly."""
        return weight_bytes(self.default) + weight_bytes(self.assign)


@dataclass(frozen=True)
class _StepUpsert:
    steps: Steps
    thread_id: str
    key: Key
    fields: Upsert

    @property
    def size_bytes(self) -> int:
        return self.fields.size_bytes

    def then(self, later: _StepUpsert | _StepDeletion) -> _StepUpsert | _StepDeletion:
        if isinstance(later, _StepDeletion):
            return later
        return _StepUpsert(self.steps, self.thread_id, self.key, self.fields.then(later.fields))

    async def apply(self) -> None:
        await self.steps.store(self.thread_id, self.key, self.fields)


@dataclass(frozen=True)
class _StepDeletion:
    steps: Steps
    thread_id: str
    step_id: str
    size_bytes: int = 64

    def then(self, later: object) -> _StepDeletion:  # noqa: ARG002 - a deletion wins
        return self

    async def apply(self) -> None:
        await self.steps.remove(self.thread_id, self.step_id)


class Steps:
    """Writes steps. They are read with their thread, see `transcript`."""

    def __init__(
        self,
        table: Table,
        values: LargeValues,
        writer: Writer,
        tombstones: Tombstones,
        lookup: StepLookup,
        elements: Elements,
        markers: FeedbackMarkers,
    ) -> None:
        """Take the parts a step touches."""
        self._table = table
        self._values = values
        self._writer = writer
        self._tombstones = tombstones
        self._lookup = lookup
        self._elements = elements
        self._markers = markers

    async def create(self, thread_id: str, step_id: str, fields: Item, *, findable: bool = False) -> bool:
        """Store a step without overwriting what is there already.

        Args:
            thread_id: Its thread; the thread's row may come later.
            step_id: Its id, unique in the thread.
            fields: Its plain fields; those that are `None` are not stored.
            findable: Keep a row by which the step is found without its thread.

        Returns:
            Whether the step is stored; not if it, or its thread, is deleted.

        Raises:
            InvalidIdError: An id cannot be part of a key.

        Cost: 1 write unit per KB; 1 more if findable; see `Tombstones.check`.
        """
        default = {_CREATED_AT: clock.now(), **_own(fields)}
        if findable:
            default[HAS_LOOKUP] = True
        with self._writer.operation():
            await self._upsert(thread_id, step_id, Upsert(default=default, assign={}))
            if self._tombstones.covers(step_key(thread_id, step_id)):
                return False
            if findable:
                await self._lookup.record(step_id, thread_id)
            return True

    async def update(self, thread_id: str, step_id: str, fields: Item) -> None:
        """Change the fields given, `None` clearing one; make the step if it is missing.

        Args:
            thread_id: Its thread.
            step_id: Its id.
            fields: The plain fields to change.

        Raises:
            InvalidIdError: An id cannot be part of a key.

        Cost: 1 write unit per KB of the row, however many updates were merged; see `Tombstones.check`.
        """
        await self._upsert(thread_id, step_id, Upsert(default={}, assign=_own(fields)))

    async def delete(self, thread_id: str, step_id: str) -> None:
        """Delete a step with its feedback, its elements and their files. Later writes to it do nothing.

        Cost: 1 read unit per 4 KB, 1 write unit per KB, and a read of the thread's elements.
        """
        key = step_key(thread_id, step_id)
        self._tombstones.mark_row(key)
        with self._writer.operation():
            await self._writer.write(key, _StepDeletion(self, thread_id, step_id))
            await self._elements.delete_of_step(thread_id, step_id)

    async def _upsert(self, thread_id: str, step_id: str, fields: Upsert) -> None:
        key = step_key(thread_id, step_id)
        if self._tombstones.covers(key):
            return
        self._lookup.remember(step_id, thread_id)
        await self._writer.write(key, _StepUpsert(self, thread_id, key, fields))

    async def store(self, thread_id: str, key: Key, fields: Upsert) -> None:
        """Write a step now, unless its thread is deleted. Called by the write path."""
        if await self._tombstones.check(thread_id):
            return
        await self._values.update(key, fields.update())
        if self._tombstones.knows(thread_id):  # it was deleted meanwhile
            await self.remove(thread_id, parse_step_sk(key.sk))

    async def remove(self, thread_id: str, step_id: str) -> None:
        """Delete a step now, last of all its row, so that doing it again finishes it. Called by the write path."""
        key = step_key(thread_id, step_id)
        row = await self._table.get(key.attributes(), attributes=[FEEDBACK, HAS_LOOKUP], patient=True) or {}
        await self._markers.forget(thread_id, step_id, row.get(FEEDBACK))
        if row.get(HAS_LOOKUP):
            await self._lookup.forget(step_id, thread_id)
        old = await self._table.delete(key.attributes()) or {}
        await self._values.delete_parts(key)
        if old.get(FEEDBACK) != row.get(FEEDBACK):  # it was given meanwhile
            await self._markers.forget(thread_id, step_id, old.get(FEEDBACK))


def _own(fields: Item) -> Item:
    """Leave out what the layer itself keeps on the row, so that no caller can set it, and a time that is none."""
    own = {name: value for name, value in fields.items() if name != FEEDBACK and not is_own_attribute(name)}
    if clock.normalized(own.get(_CREATED_AT)) is None:
        own.pop(_CREATED_AT, None)
    return own
