"""Feedback: on the step it is about, and in a marker per thread and value that the index lists."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar
from uuid import uuid4

from chainlit_dynamodb.chat.feedback_markers import FeedbackMarkers, addition, marker_index, removal
from chainlit_dynamodb.chat.owners import Asker, is_admitted, owner_of
from chainlit_dynamodb.chat.presentation import feedback_value
from chainlit_dynamodb.chat.recent_writes import RecentWrites
from chainlit_dynamodb.chat.step_lookup import StepLookup
from chainlit_dynamodb.chat.tombstones import Tombstones
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.dynamodb.codec import Item, weight_bytes
from chainlit_dynamodb.dynamodb.expressions import Condition, Update, all_of, any_of, equals_in, exists, missing
from chainlit_dynamodb.errors import TransactionCancelledError
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.rows.transactions import Write
from chainlit_dynamodb.schema import (
    COMMENT,
    FEEDBACK,
    FEEDBACK_COMMENT,
    FEEDBACK_VALUES,
    FOR_ID,
    ID,
    INDEX_PK,
    INDEX_SK,
    OWNER,
    PK,
    SK,
    STEP_IDS,
    VALUE,
    feedback_key,
    parse_legacy_feedback_id,
    step_key,
    thread_key,
)

INLINE_COMMENT_CHARS: Final = 1_000
_TRIES: Final = 5

T = TypeVar("T")


@dataclass(frozen=True)
class _State:
    """The rows that a change of feedback depends on: the step, its thread and the markers, by value."""

    step: Item
    thread: Item
    markers: dict[int, Item]

    @property
    def feedback(self) -> Item | None:
        found = self.step.get(FEEDBACK)
        return found if isinstance(found, dict) else None

    def marker_of(self, step_id: str) -> tuple[int, Item] | None:
        """Return the marker that holds a step, and its value."""
        value = feedback_value(self.feedback)
        if value is None or step_id not in self.markers[value].get(STEP_IDS, ()):
            return None
        return value, self.markers[value]


class Feedback:
    """Sets and deletes feedback. Step and markers change together or not at all."""

    def __init__(
        self,
        rows: Rows,
        writer: Writer,
        tombstones: Tombstones,
        lookup: StepLookup,
        recent: RecentWrites,
        markers: FeedbackMarkers,
    ) -> None:
        """Take the parts feedback touches."""
        self._rows = rows
        self._writer = writer
        self._tombstones = tombstones
        self._lookup = lookup
        self._recent = recent
        self._markers = markers

    async def upsert(
        self,
        step_id: str,
        thread_id: str | None,
        value: int,
        comment: str | None,
        *,
        asker: Asker | None = None,
    ) -> str | None:
        """Set the feedback of a step, replacing an earlier one. This is tried on though nobody waits for it any more.

        Args:
            step_id: The step.
            thread_id: Its thread; `None` looks it up.
            value: 0 or 1.
            comment: What the user wrote.
            asker: Who asks.

        Returns:
            The feedback's id, the same as long as the feedback is not deleted; `None` for an unknown step or another
            one's thread, which changes nothing.

        Raises:
            InvalidIdError: An id cannot be part of a key.
            BacklogFullError: Too many changes wait already.

        Cost: about 4 read units, then 2 write units per KB of the step and of one or two markers.
        """
        size_bytes = weight_bytes(comment or "")
        change = partial(self._upsert, step_id, thread_id, value, comment, asker)
        return await self._run(step_id, change, size_bytes)

    async def _upsert(
        self, step_id: str, thread_id: str | None, value: int, comment: str | None, asker: Asker | None
    ) -> str | None:
        thread_id = thread_id or await self._lookup.find(step_id)
        if not thread_id:
            return None
        for _ in range(_TRIES):
            state = await self._read_state(thread_id, step_id)
            if state is None or not self._is_admitted(asker, state, thread_id):
                return None
            feedback_id = str((state.feedback or {}).get(ID) or new_feedback_id(thread_id, step_id))
            feedback = {ID: feedback_id, FOR_ID: step_id, VALUE: value, COMMENT: comment}
            if await self._transact(_writes_to_set(thread_id, step_id, feedback, state)):
                self._note_marker(state, thread_id, value)
                return feedback_id
        raise TransactionCancelledError("TransactWriteItems", ["TransactionConflict"])

    async def delete(self, feedback_id: str, *, asker: Asker | None = None) -> bool:
        """Delete feedback by the id that `upsert` returned, if the step holds the same one. This is tried on, too.

        Args:
            feedback_id: The id.
            asker: Who asks.

        Returns:
            Whether there was such feedback, and not in another one's thread. Garbage is no error.

        Raises:
            InvalidIdError: The id names what cannot be part of a key.

        Cost: about 4 read units, then 2 write units per KB of the step and of a marker.
        """
        place = parse_feedback_id(feedback_id)
        if place is None:
            return False
        return await self._run(place[1], partial(self._delete, place, feedback_id, asker))

    async def _delete(self, place: tuple[str, str], feedback_id: str, asker: Asker | None) -> bool:
        for _ in range(_TRIES):
            state = await self._read_state(*place)
            if state is None or state.feedback is None or state.feedback.get(ID) != feedback_id:
                return False
            if not self._is_admitted(asker, state, place[0]):
                return False
            if await self._transact(_writes_to_clear(*place, state)):
                return True
        raise TransactionCancelledError("TransactWriteItems", ["TransactionConflict"])

    async def _run(self, step_id: str, change: Callable[[], Coroutine[Any, Any, T]], size_bytes: int = 0) -> T:
        return await self._writer.errands.run(f"feedback on step {step_id}", change, size_bytes=size_bytes)

    async def _read_state(self, thread_id: str, step_id: str) -> _State | None:
        step, thread = step_key(thread_id, step_id), thread_key(thread_id)
        await self._writer.settle(step, thread)  # what is told of a message may be told before it is stored
        markers = {value: feedback_key(thread_id, value) for value in FEEDBACK_VALUES}
        found = await self._rows.get_many(
            [step, thread, *markers.values()],
            attributes=[FEEDBACK, FEEDBACK_COMMENT, *OWNER, INDEX_PK, INDEX_SK, STEP_IDS],
            leave_large=[FEEDBACK_COMMENT],
            policy=self._rows.retry.write,
        )
        by_sk = {row[SK]: row for row in found}
        if step.sk not in by_sk:
            return None
        marked = {value: by_sk.get(key.sk, {}) for value, key in markers.items()}
        return _State(by_sk[step.sk], by_sk.get(thread.sk, {}), marked)

    def _is_admitted(self, asker: Asker | None, state: _State, thread_id: str) -> bool:
        return is_admitted(self._tombstones.as_giver(thread_id, asker), owner_of(state.thread), thread_id)

    async def _transact(self, writes: list[Write]) -> bool:
        try:
            await self._rows.transact(writes)
        except TransactionCancelledError:
            return False
        return True

    def _note_marker(self, state: _State, thread_id: str, value: int) -> None:
        index = marker_index(state.thread, value)
        if index:
            self._recent.touch(index[INDEX_PK], thread_id, index[INDEX_SK])
        else:
            self._markers.note_unlisted(thread_id)


def _writes_to_set(thread_id: str, step_id: str, feedback: Item, state: _State) -> list[Write]:
    condition = all_of(exists(PK), _unchanged(state))
    value = feedback[VALUE]
    writes = [
        Write(step_key(thread_id, step_id), _update_of(feedback), condition, before=state.step),
        addition(thread_id, value, state.thread, step_id),
    ]
    old = state.marker_of(step_id)
    if old is not None and old[0] != value:
        writes.append(removal(thread_id, *old, step_id))
    return writes


def _update_of(feedback: Item) -> Update:
    """Return the update that puts feedback on its step, a long comment beside it."""
    comment = feedback[COMMENT]
    if comment is None or len(comment) <= INLINE_COMMENT_CHARS:
        return Update(assign={FEEDBACK: feedback}, remove=[FEEDBACK_COMMENT])
    beginning = {**feedback, COMMENT: comment[:INLINE_COMMENT_CHARS]}
    return Update(assign={FEEDBACK: beginning, FEEDBACK_COMMENT: comment})


def _writes_to_clear(thread_id: str, step_id: str, state: _State) -> list[Write]:
    update = Update(remove=[FEEDBACK, FEEDBACK_COMMENT])
    clear = Write(step_key(thread_id, step_id), update, _unchanged(state), before=state.step)
    old = state.marker_of(step_id)
    return [clear] if old is None else [clear, removal(thread_id, *old, step_id)]


def _unchanged(state: _State) -> Condition:
    """Hold as long as nothing has changed of what markers and ids depend on."""
    stored = state.step.get(FEEDBACK)
    same = equals_in(FEEDBACK, stored, [ID, VALUE])
    return any_of(missing(FEEDBACK), same) if stored is None else same


def new_feedback_id(thread_id: str, step_id: str) -> str:
    """Return a new id that says where the feedback is and cannot be guessed."""
    content = json.dumps([thread_id, step_id, uuid4().hex], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def parse_feedback_id(feedback_id: str) -> tuple[str, str] | None:
    """Return thread and step of an id made by `new_feedback_id` or by Chainlit's built-in layer, else `None`."""
    if legacy := parse_legacy_feedback_id(feedback_id):
        return legacy
    try:
        content = json.loads(base64.urlsafe_b64decode(feedback_id + "=" * (-len(feedback_id) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(content, list) or len(content) != 3 or not all(isinstance(p, str) for p in content):
        return None
    return content[0], content[1]
