"""Invariants of how long things take, and of what is given up."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

from chainlit_dynamodb.data_layer import RETRY
from chainlit_dynamodb.patience import AFTER_READS_SECONDS, AWAITED_SECONDS
from chainlit_dynamodb.testing.simulation.endings import Ending
from chainlit_dynamodb.testing.simulation.processes import CLOSE_SECONDS
from chainlit_dynamodb.testing.simulation.records import Call

READ_SECONDS: Final = 45.0
PATIENCE_SECONDS: Final = 45.0
CLOSE_GRACE_SECONDS: Final = 3.0
_READS: Final = frozenset({"get_thread", "list_threads", "get_user", "get_favorite_steps"})
_AWAITED: Final = frozenset(
    {
        "update_thread",
        "upsert_feedback",
        "delete_feedback",
        "set_step_favorite",
        "create_user",
        "delete_thread",
        "delete_element",
    }
)
_TRIED_LONG: Final = (_READS | _AWAITED) - {"get_user"}
"""Who logs in may share a read with somebody who began earlier."""
_BACKGROUND: Final = frozenset({"create_step", "update_step", "delete_step", "create_element"})
"""What is taken over at once, and answered when it is done."""
_A_MOMENT_SECONDS: Final = 0.001
_OF_THE_TABLE: Final = re.compile(r"^Not stored: .*: (\w+Items?|Query): ")
_CONTENTION: Final = "Contention"
_NO_ANSWER: Final = ("UnansweredError", "TransientError")


def reads_do_not_fail_for_good(ending: Ending) -> Iterator[str]:
    """A read fails only because DynamoDB cannot be reached."""
    for call in ending.calls:
        if call.method in _READS and call.error and not call.error.startswith((*_NO_ANSWER, "cancelled")):
            yield f"{call.method} {call.detail}: {call.error} [{call.serial}]"


def nobody_waits_long_to_read(ending: Ending) -> Iterator[str]:
    """A read is answered, or fails, in time."""
    yield from _late(ending, _READS, READ_SECONDS)


def nobody_waits_long_to_write(ending: Ending) -> Iterator[str]:
    """What a person or Chainlit awaits is answered, or fails, in time."""
    yield from _late(ending, _AWAITED, PATIENCE_SECONDS)


def closing_ends_in_time(ending: Ending) -> Iterator[str]:
    """Closing takes its time and no more, and never fails."""
    yield from _late(ending, frozenset({"close"}), CLOSE_SECONDS + CLOSE_GRACE_SECONDS)
    for call in ending.calls:
        if call.method == "close" and call.error:
            yield f"{call.error} [{call.serial}]"


def nobody_gives_up_early(ending: Ending) -> Iterator[str]:
    """What somebody awaits fails for want of an answer after as long as somebody waits, or as the server stops."""
    stopped = {call.process: call.started for call in ending.calls if call.method == "close"}
    for call in ending.calls:
        is_away = call.error.startswith(_NO_ANSWER) and _CONTENTION not in call.error
        is_cut_short = (call.ended or 0.0) >= stopped.get(call.process, math.inf)
        patience = AFTER_READS_SECONDS if call.method == "update_thread" else AWAITED_SECONDS
        has_waited = is_cut_short or _seconds(call) >= patience - _A_MOMENT_SECONDS
        if is_away and call.method in _TRIED_LONG and not has_waited:
            yield f"{call.method} {call.detail} failed after {_seconds(call):.1f} s: {call.error} [{call.serial}]"


def nothing_is_lost_early(ending: Ending) -> Iterator[str]:
    """A write is given up only after minutes, whoever else writes the row."""
    for moment, process, text in ending.losses:
        if moment < RETRY.write.give_up_after_seconds and _OF_THE_TABLE.search(text):
            yield f"{process} after {moment:.1f} s: {text}"


def only_closing_gives_up(ending: Ending) -> Iterator[str]:
    """What a server has taken over ends only with it; one that closes uses its time before it leaves something."""
    closings = {call.process: call for call in ending.calls if call.method == "close"}
    for call in ending.calls:
        closing = closings.get(call.process)
        is_left = closing is not None and _is_left(call, closing)
        if (call.error == "cancelled" or is_left) and not _has_waited(closing, call):
            yield f"{call.method} {call.detail} [{call.serial}]"


def _is_left(call: Call, closing: Call) -> bool:
    is_begun = call.method in _BACKGROUND and call.started <= closing.started and not call.queue
    return is_begun and call.ended is None and closing.ended is not None


def _has_waited(closing: Call | None, call: Call) -> bool:
    """Return whether a server that closes waited for a call as long as it may; it may be killed after that."""
    if closing is None:
        return False
    given_up = closing.ended if call.ended is None else call.ended
    return (given_up or 0.0) - closing.started >= CLOSE_SECONDS - _A_MOMENT_SECONDS


def _seconds(call: Call) -> float:
    return (call.ended or 0.0) - call.started


def _late(ending: Ending, methods: frozenset[str], limit_seconds: float) -> Iterator[str]:
    for call in ending.calls:
        limit = limit_seconds * (len(ending.chats) + 1 if call.method == "list_threads" else 1)  # page by page
        if call.method in methods and call.ended is not None and call.ended - call.started > limit:
            yield f"{call.method} {call.detail} took {call.ended - call.started:.1f} s [{call.serial}]"
