"""Users: one row each."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any, Final

from cachetools import TTLCache

from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.chat.presentation import UserView, public_user, user_id_of
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.dynamodb.codec import Item, weight_bytes
from chainlit_dynamodb.dynamodb.expressions import Update
from chainlit_dynamodb.errors import TransientError
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import CREATED_AT, ID, IDENTIFIER, METADATA, Key, user_key
from chainlit_dynamodb.unheard import leave_unheard

CACHE_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 1.0
"""How long a request waits for a table that does not answer, if its user was known before."""
_CACHED_USERS: Final = 10_000
_KNOWN_USERS_BYTES: Final = 16 * 1024 * 1024


class Users:
    """Reads and writes users. Chainlit reads the user at every HTTP request, so reads are shared and kept briefly."""

    def __init__(self, rows: Rows, writer: Writer, *, cache_seconds: float = CACHE_SECONDS) -> None:
        """Take the rows.

        Args:
            rows: Where users are.
            writer: Tries on what nobody waits for any more.
            cache_seconds: How long a user may be served without asking again; 0 asks every time.
        """
        self._rows = rows
        self._writer = writer
        self._cache: TTLCache[str, Item] = TTLCache(_CACHED_USERS, cache_seconds)
        self._known: TTLCache[str, Item] = TTLCache(_KNOWN_USERS_BYTES, 24 * 3600, getsizeof=weight_bytes)
        self._making: dict[str, Item] = {}
        self._reads: dict[str, asyncio.Task[Item | None]] = {}
        self._identifiers: TTLCache[str, str] = TTLCache(_CACHED_USERS, 24 * 3600)

    async def get(self, identifier: str) -> UserView | None:
        """Read a user. While the table does not answer, a user who was known before is as last seen.

        Args:
            identifier: Their name at login.

        Returns:
            A fresh dict of `id`, `identifier`, `createdAt` and `metadata`, or `None` for unknown users. One who is
            being made is known: Chainlit would ask for it again, and wait, at every request.

        Raises:
            InvalidIdError: The identifier cannot be part of a key.

        Cost: 1 read unit per 4 KB; nothing within `cache_seconds` of the last read.
        """
        key = user_key(identifier)
        row = self._cache.get(identifier)
        if row is None:
            row = await self._read_or_recall(identifier, key) or self._making.get(identifier)
        return None if row is None else public_user(identifier, row)

    async def upsert(self, identifier: str, metadata: dict[str, Any]) -> UserView:
        """Make a user, or refresh the metadata of one, keeping `id` and `createdAt`. It is tried on alone.

        Returns:
            A fresh dict as from `get`.

        Raises:
            InvalidIdError: The identifier cannot be a key.
            BacklogFullError: Too many changes wait already.

        Cost: 1 write unit per KB.
        """
        update = Update({IDENTIFIER: identifier, METADATA: metadata}, {ID: identifier, CREATED_AT: clock.now()})
        storing = partial(self._store, identifier, user_key(identifier), update, self._rows.stamps.next())
        return await self._writer.errands.run(f"user {identifier}", storing, size_bytes=weight_bytes(metadata))

    async def _store(self, identifier: str, key: Key, update: Update, stamp: str) -> UserView:
        self._making[identifier] = {**update.default, **update.assign}
        try:
            old = await self._rows.update(key, update, stamp=stamp)
        finally:
            self._making.pop(identifier, None)
        row = {**update.default, **old, **update.assign}
        self._reads.pop(identifier, None)  # a read that is under way may bring back what was before
        self._remember(identifier, row)
        return public_user(identifier, row)

    def identifier_of(self, user_id: str | None) -> str | None:
        """Return the identifier of a user id. In this layout they are equal, but for users that were migrated."""
        return self._identifiers.get(user_id, user_id) if user_id else None

    async def _read_or_recall(self, identifier: str, key: Key) -> Item | None:
        task, known = self._shared_read(identifier, key), self._known.get(identifier)
        if known is None:
            return await asyncio.shield(task)
        await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        try:
            return task.result() if task.done() else known
        except TransientError:
            return known

    def _shared_read(self, identifier: str, key: Key) -> asyncio.Task[Item | None]:
        task = self._reads.get(identifier)
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            task = self._reads[identifier] = asyncio.create_task(self._read(identifier, key))
            task.add_done_callback(leave_unheard)
        return task

    async def _read(self, identifier: str, key: Key) -> Item | None:
        try:
            row = await self._rows.get(key)
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
        with suppress(ValueError):  # raised for a user larger than the whole cache
            self._known[identifier] = row
        self._identifiers[user_id_of(identifier, row)] = identifier
