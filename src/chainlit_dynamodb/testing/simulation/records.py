"""What was asked of the layers and what they answered, with times: all that the checker knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from chainlit_dynamodb.patience import A_MOMENT_SECONDS

ANSWERED_EARLY: Final = frozenset({"update_thread", "delete_element", "set_step_favorite"})
"""Answered after a moment though it is not stored yet: the process goes on trying."""
TRIED_ON: Final = ANSWERED_EARLY | {"upsert_feedback", "delete_feedback", "create_user", "delete_thread"}
"""What the process goes on trying, whatever was answered."""
_EARLY_SECONDS: Final = A_MOMENT_SECONDS - 0.001
ABSENT: Final = "(nothing)"
"""The value of a register that is not there."""

Register = tuple[str, ...]
"""What can have one value at a time, from the outside in: kind, chat or user, step or element, field."""


@dataclass
class Write:
    """What a call writes to one register.

    Attributes:
        register: Where.
        value: What; `ABSENT` if it goes away.
        is_weak: It only fills a gap.
        is_end: Nothing comes after it: a deletion.
        needs: What it changes nothing without, though nobody is told.
        is_void: It was asked for after a deletion, and so does nothing.
    """

    register: Register
    value: Any
    is_weak: bool = False
    is_end: bool = False
    needs: Register | None = None
    is_void: bool = False
    call: Call = field(init=False)


@dataclass
class Call:
    """A call of a layer.

    Attributes:
        serial: Calls of one process are in this order.
        slot: The place of the process.
        process: The process.
        method: The layer's method.
        detail: What for, in the story.
        writes: What it writes.
        started: When, in seconds.
        ended: When it was answered; `None` if it never was.
        stored: Since when its caller may rely on it, if it has not failed.
        error: Why it failed; "" if it did not.
        answer: What it gave.
        is_final: It saw what is left in the end.
        queue: The session and the method of the queue in which Chainlit held it back, if it did.
    """

    serial: int
    slot: str
    process: str
    method: str
    detail: str
    writes: tuple[Write, ...]
    started: float
    ended: float | None = None
    stored: float | None = None
    error: str = ""
    answer: Any = None
    is_final: bool = False
    queue: str = ""

    @property
    def is_acknowledged(self) -> bool:
        """Whether the caller may rely on it."""
        return self.stored is not None and not self.error


class Records:
    """All calls of a story, and its lines."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Start empty."""
        self.calls: list[Call] = []
        self.lines: list[tuple[float, str, str]] = []
        self.losses: list[tuple[float, str, str]] = []
        self.deaths: dict[str, float] = {}
        self.most_pending_bytes = 0
        self.on_begin: Callable[[str, str], None] = lambda *_: None
        self._now = now
        self._closing: set[str] = set()

    def note(self, who: str, what: str) -> None:
        """Add a line to the story."""
        self.lines.append((self._now(), who, what))

    def note_log(self, who: str, level: str, message: str) -> None:
        """Add a line of the log; those that tell of losses are known to the checker."""
        self.note(who, f"  log {level}: {message}")
        if level == "ERROR":
            self.losses.append((self._now(), who, message))

    def begin(self, process: Any, method: str, detail: str, writes: tuple[Write, ...]) -> Call:
        """Note that a call begins."""
        call = Call(len(self.calls), process.slot, process.name, method, detail, writes, self._now())
        for write in writes:
            write.call = call
        self.calls.append(call)
        if method == "close":
            self._closing.add(process.name)
        self.on_begin(process.slot, method)
        self.most_pending_bytes = max(self.most_pending_bytes, process.layer.backlog.size_bytes)
        self.note(process.name, f"{method} {detail} [{call.serial}]")
        return call

    def note_all_stored(self, process: str) -> None:
        """Note that a process has stored all that it had taken over."""
        for call in self.calls:
            if call.process == process and call.ended is not None and call.stored is None:
                call.stored = self._now()

    def end(self, call: Call, answer: Any = None, error: str = "") -> None:
        """Note that a call was answered."""
        call.ended, call.answer, call.error = self._now(), answer, error
        may_be_early = call.ended - call.started >= _EARLY_SECONDS or call.process in self._closing
        if call.method not in ANSWERED_EARLY or not may_be_early:
            call.stored = call.ended
        self.note(call.process, f"{call.method} {call.detail} [{call.serial}] -> {error or 'done'}")
