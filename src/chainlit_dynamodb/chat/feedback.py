"""Feedback: on the step it is about, and in a marker per thread and value that the index lists."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from cachetools import LRUCache

from chainlit_dynamodb.chat.large_values import LargeValues
from chainlit_dynamodb.chat.lookup import StepLookup
from chainlit_dynamodb.chat.recent import Recent
from chainlit_dynamodb.chat.schema import (
    FEEDBACK_COMMENT,
    INDEX_PK,
    INDEX_SK,
    PK,
    SK,
    STEP_IDS,
    feedback_key,
    parse_legacy_feedback_id,
    step_key,
    thread_key,
    user_feedback_pk,
)
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.expressions import (
    Condition,
    Update,
    all_of,
    any_of,
    equals,
    equals_set,
    exists,
    missing,
)
from chainlit_dynamodb.dynamodb.table import Table, Write
from chainlit_dynamodb.errors import ConditionFailedError, InvalidIdError, TransactionCancelledError

FEEDBACK: Final = "feedback"
VALUES: Final = (0, 1)
_USER_ID: Final = "userId"
INLINE_COMMENT_CHARS: Final = 1_000
_TRIES: Final = 5
_REMEMBERED: Final = 10_000


@dataclass(frozen=True)
class _Around:
    """What a change of feedback has to know: the step's row, its thread's row and the markers."""

    step: Item
    thread: Item
    markers: dict[int, Item]

    @property
    def feedback(self) -> dict[str, Any] | None:
        found = self.step.get(FEEDBACK)
        return found if isinstance(found, dict) else None


class FeedbackMarkers:
    """Keeps, per thread and value, the set of steps with that value."""

    def __init__(self, table: Table) -> None:
        """Take the table."""
        self._table = table
        self._unlisted: LRUCache[str, bool] = LRUCache(_REMEMBERED)

    def note_unlisted(self, thread_id: str) -> None:
        """Note that a thread has a marker, but no owner yet under whom it could be listed."""
        self._unlisted[thread_id] = True

    def waits_for_owner(self, thread_id: str) -> bool:
        """Tell whether a thread has a marker that no list shows. Cost: none."""
        return thread_id in self._unlisted

    async def forget(self, thread_id: str, step_id: str, feedback: Any) -> None:
        """Take a step that is gone out of its marker. Cost: 1 read unit and 1 write unit, if it had feedback."""
        value = feedback_value(feedback)
        if value is None:
            return
        for _ in range(_TRIES):
            marker = await self._table.get(feedback_key(thread_id, value).attributes(), patient=True)
            if marker is None or step_id not in marker.get(STEP_IDS, ()):
                return
            write = removal(thread_id, value, marker, step_id)
            try:
                if write.update is None:
                    await self._table.delete(write.key, condition=write.condition)
                else:
                    await self._table.update(write.key, write.update, condition=write.condition)
            except ConditionFailedError:
                continue
            return

    async def change_owner(self, thread_id: str, user_id: str) -> None:
        """List the markers of a thread under its new owner. Cost: 2 write units."""
        self._unlisted.pop(thread_id, None)
        row = await self._table.get(thread_key(thread_id).attributes(), attributes=[INDEX_SK], patient=True)
        index_sk = (row or {}).get(INDEX_SK)
        if index_sk is None:
            return
        for value in VALUES:
            update = Update(assign={INDEX_PK: user_feedback_pk(user_id, value), INDEX_SK: index_sk})
            try:
                await self._table.update(
                    feedback_key(thread_id, value).attributes(), update, condition=exists(STEP_IDS)
                )
            except ConditionFailedError:
                continue


class Feedback:
    """Sets and deletes feedback. Step and markers change together or not at all."""

    def __init__(
        self,
        table: Table,
        values: LargeValues,
        writer: Writer,
        lookup: StepLookup,
        recent: Recent,
        markers: FeedbackMarkers,
    ) -> None:
        """Take the parts feedback touches."""
        self._table = table
        self._values = values
        self._writer = writer
        self._lookup = lookup
        self._recent = recent
        self._markers = markers

    async def upsert(self, step_id: str, thread_id: str | None, value: int, comment: str | None) -> str | None:
        """Set the feedback of a step, replacing an earlier one.

        Args:
            step_id: The step.
            thread_id: Its thread; `None` looks it up.
            value: 0 or 1.
            comment: What the user wrote.

        Returns:
            The feedback's id, the same as long as the feedback is not deleted; `None` for an unknown step, which
            changes nothing.

        Raises:
            InvalidIdError: An id cannot be part of a key.

        Cost: about 4 read units, then 2 write units per KB of the step and of one or two markers.
        """
        thread_id = thread_id or await self._lookup.find(step_id)
        if not thread_id:
            return None
        for _ in range(_TRIES):
            around = await self._read_around(thread_id, step_id)
            if around is None:
                return None
            feedback_id = str((around.feedback or {}).get("id") or new_feedback_id(thread_id, step_id))
            feedback = {"id": feedback_id, "forId": step_id, "value": value, "comment": comment}
            if await self._set(thread_id, step_id, feedback, around):
                self._note(around, thread_id, value)
                return feedback_id
        raise TransactionCancelledError("TransactWriteItems", ["TransactionConflict"])

    async def delete(self, feedback_id: str) -> bool:
        """Delete feedback by the id that `upsert` gave. The id alone does not do: the step must hold the same one.

        Returns:
            Whether there was such feedback. Garbage is no error.

        Cost: about 4 read units, then 2 write units per KB of the step and of a marker.
        """
        place = parse_feedback_id(feedback_id)
        if place is None:
            return False
        for _ in range(_TRIES):
            try:
                around = await self._read_around(*place)
            except InvalidIdError:
                return False
            if around is None or around.feedback is None or around.feedback.get("id") != feedback_id:
                return False
            if await self._transact(self._clearing(*place, around)):
                await self._values.drop(step_key(*place), FEEDBACK_COMMENT, around.step.get(FEEDBACK_COMMENT))
                return True
        return False

    async def _read_around(self, thread_id: str, step_id: str) -> _Around | None:
        step, thread = step_key(thread_id, step_id), thread_key(thread_id)
        await self._writer.flush(step.pk)
        markers = {value: feedback_key(thread_id, value) for value in VALUES}
        keys = [step, thread, *markers.values()]
        wanted = [PK, SK, FEEDBACK, FEEDBACK_COMMENT, _USER_ID, INDEX_PK, INDEX_SK, STEP_IDS]
        rows = await self._table.batch_get([key.attributes() for key in keys], attributes=wanted)
        by_sk = {row[SK]: row for row in rows}
        if step.sk not in by_sk:
            return None
        found = {value: by_sk.get(key.sk, {}) for value, key in markers.items()}
        return _Around(by_sk[step.sk], by_sk.get(thread.sk, {}), found)

    async def _set(self, thread_id: str, step_id: str, feedback: Item, around: _Around) -> bool:
        key, comment = step_key(thread_id, step_id), feedback["comment"]
        update = Update(assign={FEEDBACK: feedback}, remove=[FEEDBACK_COMMENT])
        staged = None
        if comment is not None and len(comment) > INLINE_COMMENT_CHARS:
            staged = await self._values.stage(key, comment, FEEDBACK_COMMENT)
            inline = {**feedback, "comment": comment[:INLINE_COMMENT_CHARS]}
            update = Update(assign={FEEDBACK: inline, FEEDBACK_COMMENT: staged})
        done = await self._transact(self._setting(thread_id, step_id, update, feedback["value"], around))
        await self._values.drop(key, FEEDBACK_COMMENT, around.step.get(FEEDBACK_COMMENT) if done else staged)
        return done

    def _setting(self, thread_id: str, step_id: str, update: Update, value: int, around: _Around) -> list[Write]:
        set_feedback = all_of(exists(PK), _unchanged(around))
        marker = Update(assign=_marker_index(around.thread, value), add_members={STEP_IDS: [step_id]})
        writes = [
            Write(step_key(thread_id, step_id).attributes(), update, set_feedback),
            Write(feedback_key(thread_id, value).attributes(), marker),
        ]
        old = feedback_value(around.feedback)
        if old is not None and old != value and step_id in around.markers[old].get(STEP_IDS, ()):
            writes.append(removal(thread_id, old, around.markers[old], step_id))
        return writes

    def _clearing(self, thread_id: str, step_id: str, around: _Around) -> list[Write]:
        clear = Write(
            step_key(thread_id, step_id).attributes(), Update(remove=[FEEDBACK, FEEDBACK_COMMENT]), _unchanged(around)
        )
        old = feedback_value(around.feedback)
        if old is None or step_id not in around.markers[old].get(STEP_IDS, ()):
            return [clear]
        return [clear, removal(thread_id, old, around.markers[old], step_id)]

    async def _transact(self, writes: list[Write]) -> bool:
        try:
            await self._table.transact(writes)
        except TransactionCancelledError:
            return False
        return True

    def _note(self, around: _Around, thread_id: str, value: int) -> None:
        index = _marker_index(around.thread, value)
        if index:
            self._recent.touch(index[INDEX_PK], thread_id, index[INDEX_SK])
        else:
            self._markers.note_unlisted(thread_id)


def _unchanged(around: _Around) -> Condition:
    stored = around.step.get(FEEDBACK)
    same = equals(FEEDBACK, stored)
    return any_of(missing(FEEDBACK), same) if stored is None else same


def _marker_index(thread: Item, value: int) -> dict[str, str]:
    user_id, index_sk = thread.get(_USER_ID), thread.get(INDEX_SK)
    if not isinstance(user_id, str) or not isinstance(index_sk, str):
        return {}
    return {INDEX_PK: user_feedback_pk(user_id, value), INDEX_SK: index_sk}


def removal(thread_id: str, value: int, marker: Item, step_id: str) -> Write:
    """Take a step out of a marker; the last one takes the marker with it."""
    key = feedback_key(thread_id, value).attributes()
    members = set(marker.get(STEP_IDS, ()))
    update = Update(delete_members={STEP_IDS: [step_id]}) if members != {step_id} else None
    return Write(key, update, equals_set(STEP_IDS, members))


def feedback_value(feedback: Any) -> int | None:
    """Give the value of stored feedback, or `None` if it is none."""
    value = feedback.get("value") if isinstance(feedback, dict) else None
    return int(value) if value in VALUES else None


def public_feedback(step: Item, step_id: str) -> dict[str, Any] | None:
    """Give the feedback on a step's row as Chainlit's UI reads it, or `None` if there is none."""
    feedback = step.get(FEEDBACK)
    value = feedback_value(feedback)
    if not isinstance(feedback, dict) or value is None:
        return None
    comment = step.get(FEEDBACK_COMMENT) or feedback.get("comment")
    return {
        "forId": step_id,
        "id": str(feedback.get("id") or ""),
        "value": value,
        "comment": comment if isinstance(comment, str) else None,
    }


def new_feedback_id(thread_id: str, step_id: str) -> str:
    """Make an id that says where the feedback is and cannot be guessed."""
    content = json.dumps([thread_id, step_id, uuid4().hex], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def parse_feedback_id(feedback_id: object) -> tuple[str, str] | None:
    """Give thread and step of an id made by `new_feedback_id` or by Chainlit's built-in layer, else `None`."""
    if not isinstance(feedback_id, str):
        return None
    if legacy := parse_legacy_feedback_id(feedback_id):
        return legacy
    try:
        content = json.loads(base64.urlsafe_b64decode(feedback_id + "=" * (-len(feedback_id) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(content, list) or len(content) != 3 or not all(isinstance(p, str) for p in content):
        return None
    return content[0], content[1]
