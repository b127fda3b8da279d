"""Which values of a register have an explanation, given all writes to it and when they were asked and answered."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from chainlit_dynamodb.testing.simulation.network import ATTEMPT_SECONDS, LATE_SECONDS
from chainlit_dynamodb.testing.simulation.records import ABSENT, TRIED_ON, Call, Records, Register, Write

LATEST_SECONDS: Final = ATTEMPT_SECONDS + LATE_SECONDS
"""So long after its caller gave up, a write may still take effect."""
_THING: Final = re.compile(r"\b\w+-[se]?\d+\b")


class Histories:
    """The writes to all registers."""

    def __init__(self, records: Records) -> None:
        """Sort all writes."""
        _note_losses(records)
        self._deaths = records.deaths
        self._writes: defaultdict[Register, list[Write]] = defaultdict(list)
        self._ends: defaultdict[Register, list[Write]] = defaultdict(list)
        for call in records.calls:
            for write in call.writes:
                (self._ends if write.is_end else self._writes)[write.register].append(write)
        for call in records.calls:
            self._check_needs(call)
        self._void_what_came_after_ends()

    def registers(self, *outer: str) -> list[Register]:
        """Return the registers inside of another."""
        return [register for register in self._writes if register[: len(outer)] == outer]

    def things(self, kind: str, chat: str) -> list[str]:
        """Return the ids of the steps or elements of a chat that were ever written."""
        return list(dict.fromkeys(register[2] for register in self.registers(kind, chat)))

    def values(self, register: Register) -> list[Any]:
        """Return all values that were ever to be written."""
        return [write.value for write in self._writes.get(register, ())]

    def is_over(self, moment: float, *registers: Register) -> bool:
        """Return whether a deletion was acknowledged before a moment."""
        return any(_is_done(write, moment) for register in registers for write in self._ends.get(register, ()))

    def may_be_over(self, moment: float, *registers: Register) -> bool:
        """Return whether a deletion was asked for before a moment."""
        return any(write.call.started <= moment for register in registers for write in self._ends.get(register, ()))

    def is_ending(self, started: float, ended: float, register: Register) -> bool:
        """Return whether a deletion was under way meanwhile, or had not failed."""
        return any(
            write.call.started <= ended and not (_is_given_up(write.call) and (write.call.ended or 0.0) < started)
            for write in self._ends.get(register, ())
        )

    def is_there(self, register: Register, moment: float) -> bool:
        """Return whether something was surely stored before a moment."""
        return any(_is_done(write, moment) for write in self._writes.get(register, ()))

    def explain(self, register: Register, value: Any, started: float, ended: float) -> bool:
        """Return whether a reader may have seen a value.

        Args:
            register: What was read.
            value: What was seen.
            started: When the reader began.
            ended: When it was answered.
        """
        writes = self._writes.get(register, [])
        for write in writes:
            is_seen = write.value == value and write.call.started <= ended
            if is_seen and not any(self._replaces(later, write, started) for later in writes):
                return True
        return value == ABSENT and not any(_is_done(write, started) for write in writes)

    def _check_needs(self, call: Call) -> None:
        for write in call.writes:
            if write.is_end and not self._was_asked_for(write):
                call.error = "there was nothing to delete"
            if write.needs is not None and call.is_acknowledged:
                since = self._stored_since(write.needs, call)
                call.stored, call.error = (
                    since,
                    "" if since is not None else "what it changes may not have been there",
                )

    def _stored_since(self, needs: Register, call: Call) -> float | None:
        """Return when a call took effect, if it did.

        A process keeps what is early for a thread until it makes that itself, and waits for a step it was told of.
        """
        if self.is_there(needs, call.started):
            return call.stored
        writes = [write for write in self._writes.get(needs, ()) if _is_done(write, math.inf)]
        makers = [write.call for write in writes if write.call.process == call.process]
        if needs[0] == "step":
            makers = [maker for maker in makers if maker.serial < call.serial and not maker.queue]
        made = [maker.stored or 0.0 for maker in makers]
        return max(call.stored or 0.0, min(made)) if made else None

    def _void_what_came_after_ends(self) -> None:
        """A process that was told of a deletion does nothing with what it is told later, done or not.

        The same goes for an element of a step, whoever deletes the step.
        """
        for place, ends in self._ends.items():
            for register in self.registers(*place):
                for write in self._writes[register]:
                    write.is_void = write.is_void or any(_comes_after(write.call, end) for end in ends)
        for register in [register for register in self._writes if register[0] == "element" and register[3] == "for"]:
            for write in self._writes[register]:
                if self.may_be_over(self._last_effect(write.call), ("step", register[1], write.value)):
                    for other in write.call.writes:
                        other.is_void = True

    def _was_asked_for(self, end: Write) -> bool:
        inside = self.registers(*end.register)
        return any(write.call.started < end.call.started for register in inside for write in self._writes[register])

    def _replaces(self, later: Write, write: Write, moment: float) -> bool:
        """Return whether a write was surely there before a moment and surely came after another."""
        if later is write or later.is_weak or not _is_done(later, moment):
            return False
        if write.is_weak:
            return True
        if write.call.process == later.call.process:
            return write.call.serial < later.call.serial
        return self._last_effect(write.call) < later.call.started

    def _last_effect(self, call: Call) -> float:
        if call.is_acknowledged:
            return call.stored or 0.0
        goes_on = call.ended is None or call.method in TRIED_ON
        ended = self._deaths.get(call.process, math.inf) if goes_on else call.ended or 0.0
        return ended + LATEST_SECONDS


def _is_given_up(call: Call) -> bool:
    return bool(call.error) and call.method not in TRIED_ON


def _comes_after(call: Call, end: Write) -> bool:
    if call.process != end.call.process:
        return False
    return call.serial > end.call.serial or (call.queue != "" and (call.ended or math.inf) > end.call.started)


def _is_done(write: Write, moment: float) -> bool:
    call = write.call
    return call.is_acknowledged and call.stored is not None and call.stored <= moment and not write.is_void


def _note_losses(records: Records) -> None:
    """Take back the acknowledgement of calls whose loss the log has told: nobody awaits them, so nobody else is."""
    for moment, process, message in records.losses:
        for call in records.calls:
            is_meant = call.process == process and call.started <= moment
            if (
                is_meant
                and call.is_acknowledged
                and (call.stored or 0.0) >= moment
                and _speaks_of(message, call.writes)
            ):
                call.error = "its loss was logged"


def _speaks_of(message: str, writes: Iterable[Write]) -> bool:
    return any(_is_about(message, write.register) for write in writes)


def _is_about(message: str, register: Register) -> bool:
    if register[0] in ("step", "element"):
        return _word(register[2]).search(message) is not None
    return _word(register[1]).search(message) is not None and _THING.search(message) is None


@lru_cache(maxsize=4096)
def _word(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(text)}(?![\w-])")
