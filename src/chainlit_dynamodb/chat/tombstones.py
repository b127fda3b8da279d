"""What is deleted, so that late writes do nothing, and whose the rest is, so that strangers' do nothing either.

A deleted thread leaves a small row behind, which all processes find. A deleted step or element leaves one for two
hours, see `Rows.bury`; the process that deleted it remembers it besides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from cachetools import LRUCache, TTLCache

from chainlit_dynamodb.chat.owners import Asker, is_admitted, may_touch, owner_of
from chainlit_dynamodb.chat.sweep import Swept
from chainlit_dynamodb.errors import ChainlitDynamoDBError
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import DELETED_AT, OWNER, Key, parse_thread_pk, thread_key
from chainlit_dynamodb.unheard import leave_unheard

logger = logging.getLogger("chainlit.DynamoDB")

CHECK_EVERY_SECONDS: Final = 10.0
"""How long another process's deletion may go unseen by writes of this one.

What slips through is swept: at once when this process hears of the deletion, and once more by the process that
deleted the thread.
"""
SWEEP_AGAIN_SECONDS: Final = 60.0
"""By then other processes have heard of a deletion, and requests that were given up are executed or never will be."""
SWEEP_PAUSES_SECONDS: Final = (SWEEP_AGAIN_SECONDS, 300.0, 1800.0, 7200.0)
"""How long to wait before each try to sweep again."""
REFUSED_SECONDS: Final = 1.0
"""Who was just refused is so again without another look: a flood of theirs holds nobody up."""
_REMEMBERED: Final = 10_000
_REMEMBERED_ROWS: Final = 50_000


class Tombstones:
    """Knows deleted threads, and whose the others are: of this process at once, of others within seconds."""

    def __init__(self, rows: Rows, sweep: Callable[[str], Awaitable[Swept]]) -> None:
        """Start knowing nothing.

        Args:
            rows: Where tombstones are.
            sweep: Deletes what was written to a thread that turns out to be deleted.
        """
        self._rows = rows
        self._sweep = sweep
        self._checks: dict[str, asyncio.Task[bool]] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._sweeps: dict[str, asyncio.Task[None]] = {}
        self._deleted_threads: LRUCache[str, bool] = LRUCache(_REMEMBERED)
        self._deleted_rows: LRUCache[Key, bool] = LRUCache(_REMEMBERED_ROWS)
        self._alive: TTLCache[str, bool] = TTLCache(_REMEMBERED, CHECK_EVERY_SECONDS)
        self._owners: TTLCache[str, str] = TTLCache(_REMEMBERED, CHECK_EVERY_SECONDS)
        self._claims: dict[str, asyncio.Future[bool]] = {}
        self._gifts: LRUCache[tuple[str, Asker], str] = LRUCache(_REMEMBERED)
        self._refused: TTLCache[tuple[str, Asker], bool] = TTLCache(_REMEMBERED, REFUSED_SECONDS)

    def mark(self, thread_id: str) -> None:
        """Note that a thread is deleted."""
        self._deleted_threads[thread_id] = True
        self._alive.pop(thread_id, None)

    def forget(self, thread_id: str) -> None:
        """Note that there was no such thread: one may be made later."""
        self._deleted_threads.pop(thread_id, None)

    def mark_alive(self, thread_id: str) -> None:
        """Note that a thread was just seen not deleted."""
        if thread_id not in self._deleted_threads:
            self._alive[thread_id] = True

    def note_owner(self, thread_id: str, owner: str) -> None:
        """Note whose a thread is."""
        self._owners[thread_id] = owner

    def note_claim(self, thread_id: str, claim: asyncio.Future[bool]) -> None:
        """Note that a thread is about to get an owner, of which this process knows when that is done."""
        self._claims[thread_id] = claim
        claim.add_done_callback(partial(self._claimed, thread_id))

    def note_gift(self, thread_id: str, asker: Asker, owner: str) -> None:
        """Note that the app has given a thread to somebody else, in a session of who asked: they may go on in it."""
        self._gifts[thread_id, asker] = owner

    def as_giver(self, thread_id: str, asker: Asker | None) -> Asker | None:
        """Return who asks, as somebody to whom a thread belongs also where they have given it away. Cost: none."""
        owner = None if asker is None else self._gifts.get((thread_id, asker))
        return asker if asker is None or owner is None else replace(asker, names=asker.names | {owner})

    async def admits(self, thread_id: str, asker: Asker | None) -> bool:
        """Return whether who asks for a change may touch a thread. If not, it is said in the log.

        Cost: none if it was checked within seconds; else, and before it refuses, 1 read unit per 4 KB of its row.
        """
        if asker is None or self._remembers_to_admit(thread_id, asker):
            return True
        if (thread_id, asker) in self._refused:
            return False
        await self._look_once(thread_id)  # what is remembered may be outdated
        if not self._remembers_to_admit(thread_id, asker) and (claim := self._claims.get(thread_id)):
            await asyncio.wait({claim})  # it may be theirs, or given away by them
        if is_admitted(self.as_giver(thread_id, asker), self._owners.get(thread_id, ""), thread_id):
            return True
        self._refused[thread_id, asker] = True
        return False

    def _remembers_to_admit(self, thread_id: str, asker: Asker) -> bool:
        known = self._owners.get(thread_id)
        return known is not None and may_touch(self.as_giver(thread_id, asker), known)

    def _claimed(self, thread_id: str, claim: asyncio.Future[bool]) -> None:
        if self._claims.get(thread_id) is claim:
            del self._claims[thread_id]

    def knows(self, thread_id: str) -> bool:
        """Return whether this process knows that a thread is deleted. Cost: none."""
        return thread_id in self._deleted_threads

    def mark_row(self, key: Key) -> None:
        """Note that a step or an element is deleted."""
        self._deleted_rows[key] = True

    def covers(self, key: Key) -> bool:
        """Return whether this process deleted a step or an element, or knows that its thread is. Cost: none."""
        return key in self._deleted_rows or parse_thread_pk(key.pk) in self._deleted_threads

    async def check(self, thread_id: str) -> bool:
        """Return whether a thread is deleted. Who first hears of a deletion sweeps what was written meanwhile.

        What is written because the thread was alive some seconds ago is made up for by another look ten seconds on:
        whoever deleted the thread meanwhile may have been restarted, and not sweep it again.

        Cost: 1 read unit per 4 KB of the thread's row, at most every ten seconds for a thread, and once after them;
        concurrent checks share one read. A sweep, once, if it is deleted.
        """
        if thread_id in self._deleted_threads:
            return True
        if thread_id in self._alive:
            self._look_later(thread_id)
            return False
        return await self._look_once(thread_id)

    async def _look_once(self, thread_id: str) -> bool:
        check = self._checks.get(thread_id)
        if check is None or check.get_loop() is not asyncio.get_running_loop():
            check = self._checks[thread_id] = asyncio.create_task(self._look(thread_id))
            check.add_done_callback(partial(self._looked, thread_id))
        return await asyncio.shield(check)

    async def learn(self, thread_id: str) -> None:
        """Note that another process has deleted a thread, and sweep what this one has written meanwhile.

        Cost: a sweep, the first time.
        """
        if thread_id in self._deleted_threads:
            return
        self.mark(thread_id)
        logger.info("Thread %s was deleted elsewhere: what was written to it since goes too", thread_id)
        try:
            await self._sweep(thread_id)
        except ChainlitDynamoDBError as exc:
            logger.warning("A deleted thread is swept again later: %s: %s", thread_id, exc)
        self.sweep_again(thread_id)

    def sweep_again(self, thread_id: str) -> None:
        """Sweep a deleted thread once more, later: other processes may not have heard of it yet. Cost: a sweep."""
        if thread_id not in self._sweeps:
            task = self._sweeps[thread_id] = asyncio.create_task(self._sweep_later(thread_id))
            task.add_done_callback(lambda _: self._sweeps.pop(thread_id, None))

    async def close(self) -> None:
        """Do now, as far as there is time, the sweeps and looks that are due later."""
        due, to_look_at = list(self._sweeps), list(self._looks)
        waiting = [*self._sweeps.values(), *self._looks.values(), *self._checks.values()]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for thread_id in due:
            with suppress(ChainlitDynamoDBError):
                await self._sweep(thread_id)
        for thread_id in to_look_at:
            with suppress(ChainlitDynamoDBError):
                await self._look(thread_id)

    def _look_later(self, thread_id: str) -> None:
        if thread_id not in self._looks:
            task = self._looks[thread_id] = asyncio.create_task(self._look_again(thread_id))
            task.add_done_callback(lambda _: self._looks.pop(thread_id, None))

    async def _look_again(self, thread_id: str) -> None:
        await asyncio.sleep(CHECK_EVERY_SECONDS)
        with suppress(ChainlitDynamoDBError):  # whoever writes next looks anyway
            await self._look(thread_id)

    async def _look(self, thread_id: str) -> bool:
        policy = self._rows.retry.write
        row = await self._rows.get(thread_key(thread_id), attributes=[DELETED_AT, *OWNER], policy=policy) or {}
        if row.get(DELETED_AT) is not None:
            await self.learn(thread_id)
            return True
        self.note_owner(thread_id, owner_of(row))
        self.mark_alive(thread_id)
        return False

    def _looked(self, thread_id: str, check: asyncio.Task[bool]) -> None:
        if self._checks.get(thread_id) is check:
            del self._checks[thread_id]
        leave_unheard(check)  # whoever waited has it

    async def _sweep_later(self, thread_id: str) -> None:
        for pause_seconds in SWEEP_PAUSES_SECONDS:
            await asyncio.sleep(pause_seconds)
            try:
                swept = await self._sweep(thread_id)
            except ChainlitDynamoDBError as exc:
                logger.warning("Something may be left of a deleted thread: %s: %s", thread_id, exc)
                continue
            if swept.is_finished:
                return
