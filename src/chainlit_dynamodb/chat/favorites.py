"""Favourite steps: a step is one while it carries the index attributes that list it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.chat.owners import Asker
from chainlit_dynamodb.chat.presentation import StepView, public_step
from chainlit_dynamodb.chat.recent_writes import RecentWrites
from chainlit_dynamodb.chat.tombstones import Tombstones
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.dynamodb.codec import Item, weight_bytes
from chainlit_dynamodb.dynamodb.expressions import Update, all_of, any_of, at_most, exists, missing
from chainlit_dynamodb.errors import ConditionFailedError, InvalidIdError, TransientError
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import (
    FAVORITE,
    FAVORITE_STAMP,
    INDEX_PK,
    INDEX_SK,
    METADATA,
    PK,
    SK,
    Key,
    favorite_sk,
    parse_thread_pk,
    step_key,
    user_favorites_pk,
)

_STAMP_TRIES: Final = 20


class Favorites:
    """Sets and lists favourites."""

    def __init__(self, rows: Rows, writer: Writer, tombstones: Tombstones, recent: RecentWrites) -> None:
        """Take the parts favourites touch."""
        self._rows = rows
        self._tombstones = tombstones
        self._writer = writer
        self._recent = recent

    async def set(self, user_id: str, step: Item, *, favorite: bool, asker: Asker | None = None) -> bool:
        """Make a step a favourite of a user, or no favourite. It is so when this returns; it is tried on alone.

        Args:
            user_id: The user.
            step: The step's plain fields; of these its metadata is stored, with the flag.
            favorite: `False` takes it away.
            asker: Who asks: whoever has a favourite reads it.

        Returns:
            Whether there is such a step, in a thread they may touch; an unknown one is not made.

        Raises:
            BacklogFullError: Too many changes wait already.

        Cost: 1 write unit per KB of the step, and 1 for the index entry; see `Tombstones.admits`.
        """
        created_at, metadata = str(step.get("createdAt") or ""), step.get("metadata") or {}
        try:
            key, partition = step_key(step["threadId"], step["id"]), user_favorites_pk(user_id)
            index_sk = favorite_sk(clock.normalized(created_at) or created_at, step["id"])
        except InvalidIdError:
            return False
        assign = {METADATA: {**metadata, FAVORITE: favorite}}
        if favorite:
            update = Update(assign={**assign, INDEX_PK: partition, INDEX_SK: index_sk})
        else:
            update = Update(assign=assign, remove=[INDEX_PK, INDEX_SK])
        setting = partial(self._set_in_turn, key, update, self._rows.stamps.next(), asker)
        name = f"favourite {key.sk} of {key.pk}"
        return await self._writer.errands.run(name, setting, size_bytes=weight_bytes(metadata))

    async def _set_in_turn(self, key: Key, update: Update, stamp: str, asker: Asker | None) -> bool:
        """Change a step as an errand, after what is pending for it; return whether it is there and may be changed."""
        await self._writer.settle(key)  # what is told of a message may be told before it is stored
        if not await self._tombstones.admits(parse_thread_pk(key.pk), asker):
            return False
        is_there = await self._store(key, update, stamp)
        if is_there and (partition := update.assign.get(INDEX_PK)):
            self._recent.touch(partition, "\0".join(key), update.assign[INDEX_SK])
        return is_there

    async def _store(self, key: Key, update: Update, stamp: str) -> bool:
        """Change a step unless this process was asked for another star later; return whether there is such a step."""
        for _ in range(_STAMP_TRIES):
            newest = any_of(missing(FAVORITE_STAMP), at_most(FAVORITE_STAMP, stamp))
            marked = replace(update, assign={**update.assign, FAVORITE_STAMP: stamp})
            try:
                await self._rows.update(key, marked, condition=all_of(exists(PK), newest))
                self._rows.stamps.note_written((key, FAVORITE_STAMP), stamp)
                return True
            except ConditionFailedError as exc:
                newer = exc.item.get(FAVORITE_STAMP)
            if not isinstance(newer, str):
                return False
            if self._rows.stamps.is_overtaken((key, FAVORITE_STAMP), stamp, newer):
                return True
            stamp = self._rows.stamps.later_than(newer, stamp)
        raise TransientError("UpdateItem", "Contention", "other processes keep changing this favourite")

    async def of_user(self, user_id: str) -> list[StepView]:
        """Read the favourite steps of a user, newest first.

        Raises:
            InvalidIdError: The user id cannot be part of a key.

        Cost: half a read unit per 4 KB of index, about 30 favourites, however many threads there are, and 1 per 4 KB
        of each favourite.
        """
        partition = user_favorites_pk(user_id)
        keys = {Key(*entry.split("\0")) for entry in self._recent.of(partition)}
        async for entries in self._rows.index(partition):
            keys.update(Key(entry[PK], entry[SK]) for entry in entries)
        found = await self._rows.get_many(keys)
        steps = [public_step(row) for row in found if row.get(INDEX_PK) == partition]
        return sorted((step for step in steps if step), key=lambda step: step["createdAt"], reverse=True)
