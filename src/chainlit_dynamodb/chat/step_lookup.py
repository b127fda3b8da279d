"""Finds the thread of a step, for callers that know only the id of the step.

Chats in a browser never need more than memory. Feedback from Teams and Discord carries a step id alone and may come
after a restart, so for those chats a row is kept.
"""

from __future__ import annotations

import logging
from typing import Final

from cachetools import LRUCache

from chainlit_dynamodb.dynamodb.expressions import Update, any_of, equals, missing
from chainlit_dynamodb.errors import ChainlitDynamoDBError, ConditionFailedError, InvalidIdError
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import THREAD_ID, step_lookup_key

logger = logging.getLogger("chainlit.DynamoDB")

_REMEMBERED: Final = 50_000
_TOUCHED: Final = 10_000


class StepLookup:
    """Finds the thread of a step."""

    def __init__(self, rows: Rows) -> None:
        """Start with an empty memory."""
        self._rows = rows
        self._threads: LRUCache[str, str] = LRUCache(_REMEMBERED)
        self._places: LRUCache[tuple[str, str], bool] = LRUCache(_REMEMBERED)
        self._touched: LRUCache[str, str] = LRUCache(_TOUCHED)

    def remember(self, step_id: str, thread_id: str) -> None:
        """Note in memory where a step is."""
        self._threads.setdefault(step_id, thread_id)
        self._places[step_id, thread_id] = True

    def recall(self, step_id: str, *, near: str | None = None) -> str | None:
        """Return the thread of a step this process has written, or `None`.

        A browser chooses the ids of its messages and may choose one that is in use elsewhere. So the thread `near` is
        preferred, if the step was written there, and then the one that had the id first.

        Cost: none.
        """
        if near is not None and (step_id, near) in self._places:
            return near
        return self._threads.get(step_id)

    async def record(self, step_id: str, thread_id: str) -> None:
        """Keep in the table where a step is, unless another thread has the id already. Cost: 1 write unit."""
        self._touched[step_id] = thread_id
        update = Update(assign={THREAD_ID: thread_id})
        free = any_of(missing(THREAD_ID), equals(THREAD_ID, thread_id))
        try:
            await self._rows.update(step_lookup_key(step_id), update, condition=free)
        except ConditionFailedError:
            return
        except ChainlitDynamoDBError as exc:
            logger.error("Feedback on step %s will not find its thread %s: %s", step_id, thread_id, exc)
            raise

    async def find(self, step_id: str) -> str | None:
        """Return the thread of a step, or `None`.

        Cost: nothing from memory, else 1 read unit.
        """
        known = self._threads.get(step_id)
        if known is not None:
            return known
        try:
            row = await self._rows.get(step_lookup_key(step_id), policy=self._rows.retry.write)
        except InvalidIdError:
            return None
        thread_id = row.get(THREAD_ID) if row else None
        return thread_id if isinstance(thread_id, str) else None

    async def forget(self, step_id: str, thread_id: str) -> None:
        """Take away the row of a step that is gone. Cost: 1 write unit."""
        self._touched[step_id] = thread_id
        try:
            await self._rows.delete(step_lookup_key(step_id), condition=equals(THREAD_ID, thread_id))
        except ConditionFailedError:
            return

    async def forget_again(self, thread_id: str) -> None:
        """Take away the rows of a deleted thread that this process knows, once more: a write may have been late.

        Cost: 1 write unit for each.
        """
        for step_id in [step_id for step_id, owner in self._touched.items() if owner == thread_id]:
            await self.forget(step_id, thread_id)
