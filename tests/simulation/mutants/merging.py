"""Bugs of what a change does, alone and merged with others, and of threads."""

from __future__ import annotations

from chainlit_dynamodb.chat import changes, threads
from chainlit_dynamodb.chat.changes import StepChange, ThreadChange
from chainlit_dynamodb.chat.threads import Threads
from tests.simulation.mutants.mutant import Mutant

_IN_ORDER = "if self.stamp <= later.stamp else"

MERGING = (
    Mutant("merged steps: the older wins", StepChange.then, _IN_ORDER, "if self.stamp > later.stamp else"),
    Mutant("merged steps: stamps are ignored", StepChange.then, _IN_ORDER, "if True else"),
    Mutant("merged steps: a deletion is overtaken", StepChange.then, "older.deletes or newer", "newer"),
    Mutant(
        "create_step overwrites",
        StepChange.update,
        "        return Update(",
        "        given = {k: v for k, v in self.default.items() if v is not None}\n"
        "        return Update(assign={**given, **self.assign})\n"
        "        return Update(",
    ),
    Mutant(
        "update_step only fills gaps",
        StepChange.update,
        "        return Update(",
        "        return Update(default={**self.default, **self.assign})\n        return Update(",
    ),
    Mutant(
        "merged threads: the older wins",
        ThreadChange.then,
        "{**self.assign, **later.assign}",
        "{**later.assign, **self.assign}",
    ),
    Mutant(
        "merged threads: metadata is forgotten",
        ThreadChange.then,
        "{**(self.metadata or {}), **later.metadata}",
        "later.metadata",
    ),
    Mutant("merged threads: none is made", ThreadChange.then, "self.creates or later.creates", "later.creates"),
    Mutant(
        "threads are written without a condition",
        changes.thread_update,
        "all_of(*conditions)",
        "any_of(exists(PK), missing(PK))",
    ),
    Mutant("a deleted thread is written", changes.thread_update, "[missing(DELETED_AT)]", "[missing(ORDER)]"),
    Mutant(
        "metadata is merged without its version",
        changes.thread_update,
        "conditions.append(_unchanged_since(row))",
        "pass",
    ),
    Mutant(
        "metadata is replaced", changes._merged, "{**(old if isinstance(old, dict) else {}), **patch}", "dict(patch)"
    ),
    Mutant(
        "a refused merge is given up", Threads._is_hopeless, "return not row and not change.creates", "return True"
    ),
    Mutant("early metadata is lost", Threads._keep_early, "self._early[thread_id] = ", "_ = "),
    Mutant("early metadata wins", threads._with_early, "told.then(change)", "change.then(told)"),
)
