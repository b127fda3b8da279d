"""Planted bugs, and how many schedules the simulation takes to find each: `python -m tests.simulation.mutants`.

A mutant is found by a schedule that breaks an invariant with it and does not break it without.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from chainlit_dynamodb.chat import changes, feedback, feedback_markers, files, presentation, writer
from chainlit_dynamodb.chat.changes import ElementChange, StepChange, ThreadChange
from chainlit_dynamodb.chat.deletion import ThreadDeletion
from chainlit_dynamodb.chat.elements import Elements
from chainlit_dynamodb.chat.favorites import Favorites
from chainlit_dynamodb.chat.recent_writes import RecentWrites
from chainlit_dynamodb.chat.steps import Steps
from chainlit_dynamodb.chat.threads import Threads
from chainlit_dynamodb.chat.tombstones import Tombstones
from chainlit_dynamodb.dynamodb.expressions import Update, any_of, exists, missing
from chainlit_dynamodb.dynamodb.table import Table
from chainlit_dynamodb.rows import large_values
from chainlit_dynamodb.rows.large_values import LargeValues
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.rows.transactions import Write
from chainlit_dynamodb.schema import feedback_key
from chainlit_dynamodb.testing.simulation.campaign import one

MAX_SCHEDULES = 2000
ANYTHING = any_of(exists("PK"), missing("PK"))


@dataclass(frozen=True)
class Mutant:
    """A planted bug: what stands in place of what."""

    name: str
    target: Any
    attribute: str
    replacement: Any

    @contextmanager
    def planted(self) -> Iterator[None]:
        with patch.object(self.target, self.attribute, self.replacement):
            yield


@dataclass(frozen=True)
class Hunt:
    """How a mutant was found: by which seed, breaking what; or not at all."""

    name: str
    schedules: int
    invariants: tuple[str, ...]


def hunt(mutant: Mutant, max_schedules: int = MAX_SCHEDULES) -> Hunt:
    """Let stories happen until one finds the mutant."""
    for seed in range(max_schedules):
        with mutant.planted():
            broken = one(seed).invariants
        found = tuple(sorted(broken.keys() - one(seed).invariants.keys())) if broken else ()
        if found:
            return Hunt(mutant.name, seed + 1, found)
        if seed % 20 == 0:
            gc.collect()
    return Hunt(mutant.name, max_schedules, ())


async def nothing(*_: Any, **__: Any) -> None:
    """Do nothing, and say that it is done."""


async def no(*_: Any, **__: Any) -> bool:
    return False


def then_backwards(self: Any, later: Any) -> Any:
    if self.deletes or later.deletes:
        return StepChange(deletes=True)
    return StepChange({**self.default, **later.default}, {**later.assign, **self.assign})


def then_undeleted(self: Any, later: Any) -> Any:
    return StepChange({**later.default, **self.default}, {**self.assign, **later.assign}, later.deletes)


def create_overwrites(self: Any) -> Update:
    return Update(assign={**{k: v for k, v in self.default.items() if v is not None}, **self.assign})


def update_fills_gaps(self: Any) -> Update:
    return Update(default={**self.default, **self.assign})


def elements_backwards(self: Any, later: Any) -> Any:
    return ElementChange({**later.assign, **self.assign}, self.file or later.file, self.deletes or later.deletes)


def threads_backwards(self: Any, later: Any) -> Any:
    metadata = {**(later.metadata or {}), **(self.metadata or {})} or None
    activity = max(self.activity or "", later.activity or "") or None
    return ThreadChange({**later.assign, **self.assign}, metadata, activity, self.creates or later.creates)


def threads_forget_metadata(self: Any, later: Any) -> Any:
    activity = max(self.activity or "", later.activity or "") or None
    return ThreadChange({**self.assign, **later.assign}, later.metadata, activity, self.creates or later.creates)


async def early(self: Any, key: Any, change: Any, apply: Any) -> None:
    self._enter(key, change, apply)


async def without_order(self: Any, key: Any, change: Any, apply: Any) -> None:
    await apply(key, change)


def unconditioned(thread_id: str, change: Any, row: Any, moment: str) -> Any:
    update, _ = changes.thread_update(thread_id, change, row, moment)
    return update, ANYTHING


_merged, _fit, _setting = changes._merged, LargeValues._fit, feedback._writes_to_set


def replaced(_: Any, patch_: Any) -> Any:
    return _merged({}, patch_)


async def one_part_short(self: Any, *arguments: Any) -> Any:
    fitted, parts = await _fit(self, *arguments)
    return fitted, parts[:-1]


async def new_token_each_time(self: Any, writes: Any) -> None:
    async def send() -> None:
        parts = [{"Update": self._update(w)} if w.update else {"Delete": self._delete(w)} for w in writes]
        await self._call("TransactWriteItems", {"TransactItems": parts, "ClientRequestToken": str(uuid4())})

    await self._retries.run(self.retry.write, send)


def marker_kept(*arguments: Any) -> Any:
    return _setting(*arguments)[:2]


def marker_forgotten(thread_id: str, value: int, thread: Any, step_id: str) -> Any:
    return Write(feedback_key(thread_id, value), Update(assign={"_x": 1}))


async def half_a_batch(self: Any, waiting: Any, attributes: Any, items: Any) -> None:
    from chainlit_dynamodb.dynamodb.codec import decode_item
    from chainlit_dynamodb.dynamodb.table import _projected

    asked = {"Keys": waiting, "ConsistentRead": True, **_projected(attributes)}
    response = await self._call("BatchGetItem", {"RequestItems": {self.name: asked}})
    items.extend(decode_item(item) for item in response.get("Responses", {}).get(self.name, ()))


async def half_a_deletion(self: Any, waiting: Any) -> None:
    await self._call("BatchWriteItem", {"RequestItems": {self.name: waiting}})


async def first_page(self: Any, query: Any) -> Any:
    yield (await self.query_page(query)).items


async def star_for_ever(self: Any, user_id: str, step: Any, **_: bool) -> bool:
    return await _set_favorite(self, user_id, step, favorite=True)


async def discard_all(self: Any, key: Any, change: Any) -> bool:
    return True


_set_favorite = Favorites.set
_silent: Callable[..., None] = lambda *_, **__: None  # noqa: E731

MUTANTS = (
    Mutant("writes do not ask whether the thread is deleted", Tombstones, "check", no),
    Mutant("deletions of rows are forgotten at once", Tombstones, "covers", lambda *_: False),
    Mutant("a deleted thread gets no tombstone", ThreadDeletion, "_bury", no),
    Mutant("a deleted thread is not swept", ThreadDeletion, "sweep", no),
    Mutant("merged steps: the older wins", StepChange, "then", then_backwards),
    Mutant("merged steps: a deletion is overtaken", StepChange, "then", then_undeleted),
    Mutant("create_step overwrites", StepChange, "update", create_overwrites),
    Mutant("update_step only fills gaps", StepChange, "update", update_fills_gaps),
    Mutant("merged elements: the older wins", ElementChange, "then", elements_backwards),
    Mutant("merged threads: the older wins", ThreadChange, "then", threads_backwards),
    Mutant("merged threads: metadata is forgotten", ThreadChange, "then", threads_forget_metadata),
    Mutant("acknowledged before it is written", writer.Writer, "write", early),
    Mutant("no order per row", writer.Writer, "write", without_order),
    Mutant("memory is not bounded", writer.Writer, "_fits", lambda *_: True),
    Mutant("a loss is not logged", writer.logger, "error", _silent),
    Mutant(
        "threads are written without a condition", sys.modules[Threads.__module__], "thread_update", unconditioned
    ),
    Mutant("metadata is merged without its version", changes, "_unchanged_since", lambda _: ANYTHING),
    Mutant("metadata is replaced", changes, "_merged", replaced),
    Mutant("a refused metadata merge is given up", Threads, "_is_hopeless", discard_all),
    Mutant("replaced parts stay", LargeValues, "tidy", nothing),
    Mutant("a repeated write deletes its own parts", large_values, "_is_own_first_try", lambda *_: False),
    Mutant("the last part is not written", LargeValues, "_fit", one_part_short),
    Mutant("parts of deleted rows stay", LargeValues, "delete_parts", nothing),
    Mutant("parts of refused writes stay", LargeValues, "discard", nothing),
    Mutant("a reader does not look again", large_values, "_READ_TRIES", 0),
    Mutant("a repeated transaction has a new token", Table, "transact", new_token_each_time),
    Mutant("feedback leaves its old marker", feedback, "_writes_to_set", marker_kept),
    Mutant("feedback gets no marker", feedback, "addition", marker_forgotten),
    Mutant("a deleted step stays in its marker", feedback_markers.FeedbackMarkers, "forget", nothing),
    Mutant("the process forgets what it has just listed", RecentWrites, "touch", _silent),
    Mutant("files of elements stay", files.Files, "delete", nothing),
    Mutant("files of threads stay", files.Files, "delete_all", nothing),
    Mutant("elements of deleted steps stay", Elements, "delete_of_step", nothing),
    Mutant("keys that were not read are dropped", Table, "_batch_get", half_a_batch),
    Mutant("items that were not deleted are dropped", Table, "_batch_delete", half_a_deletion),
    Mutant("only the first page is read", Table, "query_pages", first_page),
    Mutant("a favourite is one for ever", Favorites, "set", star_for_ever),
    Mutant("internal attributes are shown", presentation, "is_own_attribute", lambda _: False),
    Mutant("rows are not deleted", Rows, "delete", nothing),
    Mutant("a step is deleted in memory only", Steps, "_remove", nothing),
)


def main() -> int:
    """Hunt all mutants and report."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--schedules", type=int, default=MAX_SCHEDULES)
    parser.add_argument("--processes", type=int)
    options = parser.parse_args()
    jobs = [(number, options.schedules) for number in range(len(MUTANTS))]
    alive = 0
    with multiprocessing.get_context("fork").Pool(options.processes) as pool:
        for found in pool.imap(_hunt, jobs, chunksize=1):
            alive += not found.invariants
            how = ", ".join(found.invariants) or "NOT FOUND"
            sys.stdout.write(f"{found.schedules:5} {found.name}: {how}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(MUTANTS) - alive} of {len(MUTANTS)} found\n")
    return 1 if alive else 0


def _hunt(job: tuple[int, int]) -> Hunt:
    gc.freeze()
    return hunt(MUTANTS[job[0]], job[1])


if __name__ == "__main__":
    sys.exit(main())
