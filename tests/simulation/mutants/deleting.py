"""Bugs of deletions: tombstones and sweeps."""

from __future__ import annotations

from chainlit_dynamodb.chat.deletion import ThreadDeletion
from chainlit_dynamodb.chat.feedback_markers import FeedbackMarkers
from chainlit_dynamodb.chat.step_lookup import StepLookup
from chainlit_dynamodb.chat.steps import Steps
from chainlit_dynamodb.chat.sweep import Sweep
from chainlit_dynamodb.chat.tombstones import Tombstones
from chainlit_dynamodb.chat.transcript import Transcripts
from chainlit_dynamodb.rows import burial
from chainlit_dynamodb.rows.rows import Rows
from tests.simulation.mutants.mutant import Mutant

_TOMBSTONE = "self._rows.put(key, {DELETED_AT: clock.now(), **owner})"

DELETING = (
    Mutant("the process forgets what it deleted", Tombstones.mark_row, "self._deleted_rows[key] = True", "pass"),
    Mutant("a deleted thread gets no tombstone", ThreadDeletion._bury, _TOMBSTONE, "self._rows.delete(key)"),
    Mutant(
        "a deletion is answered before its tombstone is written",
        ThreadDeletion._bury,
        f"await {_TOMBSTONE}",
        f"asyncio.create_task({_TOMBSTONE})",
    ),
    Mutant(
        "a finished deletion keeps the owner",
        ThreadDeletion._clear,
        "await self._rows.put(key, {DELETED_AT: clock.now()})",
        "pass",
    ),
    Mutant(
        "a deleted thread is not cleared",
        ThreadDeletion._begin,
        "self._clear(thread_id, is_known=is_known)",
        "asyncio.sleep(0)",
    ),
    Mutant(
        "a deleted thread is not swept again",
        Tombstones.sweep_again,
        "if thread_id not in self._sweeps:",
        "if False:",
    ),
    Mutant(
        "files of deleted threads stay",
        Sweep._delete_outside,
        "await self._files.delete_all(files, may_be_missing=may_be_missing)",
        "pass",
    ),
    Mutant(
        "lookups of deleted threads stay", StepLookup.forget_again, "await self.forget(step_id, thread_id)", "pass"
    ),
    Mutant("lookups of deleted steps stay", Steps._forget_outside, "if row.get(HAS_LOOKUP):", "if False:"),
    Mutant("deleted steps stay in their markers", FeedbackMarkers.forget, "if value is None:", "if True:"),
    Mutant(
        "elements of deleted steps stay",
        Steps.delete,
        "await self._elements.delete_of_step(thread_id, step_id)",
        "pass",
    ),
    Mutant(
        "steps are deleted in memory only",
        Steps._remove,
        "await self._rows.bury(key, row) if leaves_tombstone else await self._rows.delete(key)",
        "{}",
    ),
    Mutant(
        "rows are not deleted", Rows.delete, "await self._table.delete(key.attributes(), condition=condition)", "None"
    ),
    Mutant(
        "deleted steps leave no tombstone",
        Steps._apply,
        "leaves_tombstone=not is_thread_gone",
        "leaves_tombstone=False",
    ),
    Mutant(
        "there is no tombstone where there was no row",
        Rows.bury,
        "both(missing(BURIED_AT), keeps_the_same(row))",
        "equals(PK, key.pk)",
    ),
    Mutant(
        "a tombstone does not mind what comes before it",
        Rows.bury,
        "both(missing(BURIED_AT), keeps_the_same(row))",
        "missing(BURIED_AT)",
    ),
    Mutant("tombstones keep nothing", burial._kept_of, "{name: row[name] for name in _KEPT if name in row}", "{}"),
    Mutant(
        "what a deleted turn has left is not tidied",
        Transcripts.get,
        "if transcript is not None and transcript.ghosts:",
        "if False:",
    ),
)
