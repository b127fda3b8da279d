"""Invariants of how long things take, and of what is left in the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.packing import Split
from chainlit_dynamodb.patience import AWAITED_SECONDS
from chainlit_dynamodb.schema import (
    FEEDBACK,
    OBJECT_KEY,
    STEP_IDS,
    STEP_LOOKUP_SK,
    THREAD_ID,
    THREAD_SK,
    VALUE,
    feedback_key,
    is_element_sk,
    is_part_sk,
    is_step_sk,
    parse_step_sk,
    step_lookup_key,
    thread_pk,
)
from chainlit_dynamodb.testing.simulation.endings import Ending
from chainlit_dynamodb.testing.simulation.processes import CLOSE_SECONDS

READ_SECONDS: Final = 45.0
PATIENCE_SECONDS: Final = 45.0
CLOSE_GRACE_SECONDS: Final = 3.0
LARGEST_CHANGE_BYTES: Final = 12_000
_NO_ANSWER: Final = ("UnansweredError", "TransientError", "cancelled")
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


def reads_do_not_fail_for_good(ending: Ending) -> Iterator[str]:
    """A read fails only because DynamoDB cannot be reached."""
    for call in ending.calls:
        if call.method in _READS and call.error and not call.error.startswith(_NO_ANSWER):
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


def nothing_is_pending(ending: Ending) -> Iterator[str]:
    """When all is well again and some time has passed, everything is written."""
    yield from (f"{name} has {count} changes" for name, count in ending.pending.items() if count)


def memory_stays_in_bounds(ending: Ending) -> Iterator[str]:
    """What waits to be written holds no more memory than is allowed, one large change excepted."""
    if ending.most_pending_bytes > ending.max_pending_bytes + LARGEST_CHANGE_BYTES:
        yield f"{ending.most_pending_bytes} bytes, allowed are {ending.max_pending_bytes}"


def parts_have_owners(ending: Ending) -> Iterator[str]:
    """Every part of a large value belongs to a row that names it, and no row misses one."""
    named = set()
    for (pk, sk), row in ending.rows.items():
        for name, value in row.items():
            if isinstance(value, Split):
                named.add((pk, sk, name[:32], value.generation))
    there = {(pk, *sk.split("\x1f")[:3]) for pk, sk in ending.rows if is_part_sk(sk)}
    yield from (f"parts without a row: {owner}" for owner in sorted(there - named))
    yield from (f"a row without its parts: {owner}" for owner in sorted(named - there))


def nothing_is_left_of_deleted_threads(ending: Ending) -> Iterator[str]:
    """Of a deleted thread nothing is left but its tombstone, and no file; unless its deletion was killed.

    That there are lookup rows is known only to the servers that made them, and forgotten when they end.
    """
    for chat in ending.chats:
        if not _was_cleared(ending, chat):
            continue
        left = [sk for pk, sk in ending.rows if pk == thread_pk(chat) and sk != THREAD_SK]
        left += [key for key in ending.files if f"/{chat}/" in key]
        left += [pk for pk in _lookups(ending, chat) if _is_remembered(ending, pk)]
        yield from (f"{sk!r} of {chat}" for sk in left)


def no_file_is_without_row(ending: Ending) -> Iterator[str]:
    """Every file belongs to an element."""
    named = {row.get(OBJECT_KEY) for (_, sk), row in ending.rows.items() if is_element_sk(sk)}
    yield from (key for key in ending.files if key not in named)


def markers_are_right(ending: Ending) -> Iterator[str]:
    """A feedback marker names the steps that have this feedback, and no other."""
    for chat in ending.chats:
        pk = thread_pk(chat)
        for value in (0, 1):
            marker = ending.rows.get(feedback_key(chat, value), {}).get(STEP_IDS, ())
            steps = {
                parse_step_sk(sk)
                for (other, sk), row in ending.rows.items()
                if other == pk and is_step_sk(sk) and not is_part_sk(sk) and _value(row) == value
            }
            if set(marker) != steps:
                yield f"{chat} {value}: {sorted(marker)} is not {sorted(steps)}"


def _late(ending: Ending, methods: frozenset[str], limit_seconds: float) -> Iterator[str]:
    for call in ending.calls:
        limit = limit_seconds * (len(ending.chats) + 1 if call.method == "list_threads" else 1)  # page by page
        if call.method in methods and call.ended is not None and call.ended - call.started > limit:
            yield f"{call.method} {call.detail} took {call.ended - call.started:.1f} s [{call.serial}]"


def _was_cleared(ending: Ending, chat: str) -> bool:
    """Return whether a deletion was answered with everything done: a long one goes on, and goes with its process."""
    return any(
        call.method == "delete_thread"
        and call.detail == chat
        and call.is_acknowledged
        and (call.ended or 0.0) - call.started < AWAITED_SECONDS
        for call in ending.calls
    )


def _lookups(ending: Ending, chat: str) -> list[str]:
    return [pk for (pk, sk), row in ending.rows.items() if sk == STEP_LOOKUP_SK and row.get(THREAD_ID) == chat]


def _is_remembered(ending: Ending, lookup_pk: str) -> bool:
    makers = (
        c for c in ending.calls if c.method == "create_step" and step_lookup_key(c.detail.split()[0]).pk == lookup_pk
    )
    return any(call.process in ending.pending for call in makers)


def _value(row: Item) -> Any:
    feedback = row.get(FEEDBACK)
    return feedback.get(VALUE) if isinstance(feedback, dict) else None
