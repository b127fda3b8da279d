"""Bugs of the write path: order, memory, the disk, stamps, closing, patience with callers."""

from __future__ import annotations

from chainlit_dynamodb.chat import writer
from chainlit_dynamodb.chat.steps import Steps
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.closing import Closing
from chainlit_dynamodb.patience import Patience
from chainlit_dynamodb.rows import large_values, stamps
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.rows.stamps import Stamps
from tests.simulation.mutants.mutant import Mutant

_LANE = "self._partitions.setdefault(key.pk, {}).setdefault(key.sk, _Lane())"

WRITING = (
    Mutant("acknowledged before it is written", writer.outcome, "await asyncio.shield(taken)", "taken.done()"),
    Mutant("a cancelled caller cancels the write", writer.outcome, "asyncio.shield(taken)", "taken"),
    Mutant(
        "no order per row",
        Writer._enqueue,
        f"lane = {_LANE}",
        "lane = self._partitions.setdefault(key.pk, {})[key.sk] = _Lane()",
    ),
    Mutant("readers do not wait for what is under way", Writer.flush, "if pending:", "if False:"),
    Mutant("memory is not bounded", Writer._fits, "return ", "return True or "),
    Mutant("memory is never given back", Writer._finish, "self._pending_bytes -= entry.change.size_bytes", "pass"),
    Mutant("what waits on disk is never let in", Writer._finish, "self._let_in()", "pass"),
    Mutant(
        "what waits on disk is dropped",
        Writer._let_in,
        "entry = self._enqueue(",
        "_answer(first.done, None)\n            continue\n            entry = self._enqueue(",
    ),
    Mutant(
        "on disk a change replaces the one before it",
        Writer._join_outside,
        "waiting.then(change)",
        "change",
    ),
    Mutant(
        "on disk changes merge backwards",
        Writer._join_outside,
        "waiting.then(change)",
        "change.then(waiting)",
    ),
    Mutant(
        "a change overtakes the one on disk",
        Writer.enter,
        "(outside := self._overflow.get(key))",
        "(outside := None)",
    ),
    Mutant("close does not wait", Closing.close, "self._seconds_left()", "0"),
    Mutant(
        "close does not wait for what is more than one write",
        Writer._begun,
        ", *(operation.done for operation in self._operations)",
        "",
    ),
    Mutant(
        "what is held is held for ever",
        Writer._enqueue,
        "call_later(HOLD_SECONDS",
        "call_later(HOLD_SECONDS * 100_000",
    ),
    Mutant("close waits for ever", Writer.drain, "timeout=seconds_left", "timeout=None"),
    Mutant("who awaits waits for ever", Patience.wait, "timeout=seconds", "timeout=None"),
    Mutant("stamps are ignored", stamps.not_overtaken, "at_most(attribute, stamp)", 'at_most(attribute, "z")'),
    Mutant("late writes of this process win", Stamps.is_overtaken, "asked = ", "asked = 'z' or "),
    Mutant("a clock that is behind loses", Stamps.is_overtaken, "asked = ", "asked = '' and "),
    Mutant(
        "a write that was held back takes back what came after its successor",
        Stamps.note_written,
        "max(",
        "'' and max(",
    ),
    Mutant(
        "a new stamp forgets when the write was asked for",
        Stamps.later_than,
        "self._asked.get(stamp, stamp)",
        "later",
    ),
    Mutant(
        "stamps step back with the clock",
        Stamps.next,
        "max(self._clock_micros(), self._last_micros + 1)",
        "self._clock_micros()",
    ),
    Mutant("a queued write gets its stamp late", Steps._enter, "stamp=stamp or ", "stamp="),
    Mutant(
        "a lost answer is a refusal",
        large_values.has_happened,
        "return (stamp is not None and row.get(STAMP) == stamp) or _is_named(fitted, row)",
        "return False",
    ),
    Mutant("a stamp is not looked at again", Rows.update, "range(_STAMP_TRIES)", "range(1)"),
)
