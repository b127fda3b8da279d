"""Users: one row each."""

from __future__ import annotations

import asyncio
import copy
from contextlib import suppress
from typing import Any, Final

from cachetools import TTLCache

from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.chat.large_values import LargeValues
from chainlit_dynamodb.chat.schema import user_key
from chainlit_dynamodb.chat.writer import weight_bytes
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.expressions import Update
from chainlit_dynamodb.dynamodb.table import Table
from chainlit_dynamodb.errors import InvalidIdError, TransientError

CACHE_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 1.0
"""How long a request waits for a table that does not answer, if its user was known before."""
_CACHED_USERS: Final = 10_000
_KNOWN_USERS_BYTES: Final = 16 * 1024 * 1024


class Users:
    """Reads and writes users. Chainlit reads the user at every HTTP request, so reads are shared and kept briefly."""

    def __init__(self, table: Table, values: LargeValues, *, cache_seconds: float = CACHE_SECONDS) -> None:
        """Take the table.

        Args:
            table: Where users are.
            values: Keeps what is large.
            cache_seconds: How long a user may be served without asking again; 0 asks every time.
        """
        self._table = table
        self._values = values
        self._cache: TTLCache[str, Item] = TTLCache(_CACHED_USERS, cache_seconds)
        self._known: TTLCache[str, Item] = TTLCache(_KNOWN_USERS_BYTES, 24 * 3600, getsizeof=weight_bytes)
        self._reads: dict[str, asyncio.Task[Item | None]] = {}
        self._identifiers: TTLCache[str, str] = TTLCache(_CACHED_USERS, 24 * 3600)

    async def get(self, identifier: str) -> dict[str, Any] | None:
        """Read a user. While the table does not answer, a user who was known before is as last seen.

        Args:
            identifier: Who.

        Returns:
            A fresh dict of `id`, `identifier`, `createdAt` and `metadata`, or `None` for unknown users and for
            identifiers that cannot be keys.

        Cost: 1 read unit per 4 KB; nothing within `cache_seconds` of the last read.
        """
        try:
            user_key(identifier)
        except InvalidIdError:
            return None
        row = self._cache.get(identifier)
        if row is None:
            row = await self._read_or_recall(identifier)
        return None if row is None else _user(identifier, row)

    async def upsert(self, identifier: str, metadata: dict[str, Any]) -> dict[str, Any]:
        """Make a user, or refresh the metadata of one, keeping `id` and `createdAt`.

        Returns:
            A fresh dict as from `get`.

        Raises:
            InvalidIdError: The identifier cannot be a key.

        Cost: 1 write unit per KB.
        """
        assign = {"identifier": identifier, "metadata": metadata}
        default = {"id": identifier, "createdAt": clock.now()}
        old = await self._values.update(user_key(identifier), Update(assign, default))
        row = {**default, **old, **assign}
        self._reads.pop(identifier, None)  # a read that is under way may bring back what was before
        self._remember(identifier, row)
        return _user(identifier, row)

    def identifier_of(self, user_id: str) -> str:
        """Give the identifier of a user id. In this layout they are equal, but for users that were migrated."""
        return self._identifiers.get(user_id, user_id)

    async def _read_or_recall(self, identifier: str) -> Item | None:
        task, known = self._shared_read(identifier), self._known.get(identifier)
        if known is None:
            return await asyncio.shield(task)
        await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        try:
            return task.result() if task.done() else known
        except TransientError:
            return known

    def _shared_read(self, identifier: str) -> asyncio.Task[Item | None]:
        task = self._reads.get(identifier)
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            task = self._reads[identifier] = asyncio.create_task(self._read(identifier))
            task.add_done_callback(_consume)
        return task

    async def _read(self, identifier: str) -> Item | None:
        key = user_key(identifier)
        try:
            found = await self._table.get(key.attributes())
            rows = await self._values.complete([found] if found else [])
            row = rows[0] if rows else None
        finally:
            is_newest = self._reads.get(identifier) is asyncio.current_task()
            if is_newest:
                del self._reads[identifier]
        if is_newest and row is None:
            self._known.pop(identifier, None)
        elif is_newest and row is not None:
            self._remember(identifier, row)
        return row

    def _remember(self, identifier: str, row: Item) -> None:
        self._cache[identifier] = row
        self._known.pop(identifier, None)
        with suppress(ValueError):  # one user is larger than all may be
            self._known[identifier] = row
        self._identifiers[_user_id(identifier, row)] = identifier


def _consume(task: asyncio.Task[Any]) -> None:
    """Keep asyncio quiet about a failure that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def _user(identifier: str, row: Item) -> dict[str, Any]:
    metadata = row.get("metadata")
    return {
        "id": _user_id(identifier, row),
        "identifier": identifier,
        "createdAt": clock.normalized(row.get("createdAt")) or str(row.get("createdAt") or ""),
        "metadata": copy.deepcopy(metadata) if isinstance(metadata, dict) else {},
    }


def _user_id(identifier: str, row: Item) -> str:
    user_id = row.get("id")
    return user_id if isinstance(user_id, str) and user_id else identifier
