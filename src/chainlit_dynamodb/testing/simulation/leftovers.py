"""Invariants of what is left in the end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.packing import Split
from chainlit_dynamodb.patience import AWAITED_SECONDS
from chainlit_dynamodb.rows.burial import TOMBSTONE_SECONDS, is_announcement
from chainlit_dynamodb.schema import (
    ANNOUNCED_AT,
    BURIED_AT,
    FEEDBACK,
    OBJECT_KEY,
    STEP_IDS,
    STEP_LOOKUP_SK,
    THREAD_ID,
    THREAD_SK,
    USER_ID,
    VALUE,
    feedback_key,
    is_element_sk,
    is_part_sk,
    is_step_sk,
    parse_step_sk,
    step_key,
    step_lookup_key,
    thread_key,
    thread_pk,
)
from chainlit_dynamodb.testing.simulation.endings import Ending

LARGEST_CHANGE_BYTES: Final = 12_000


def nothing_is_pending(ending: Ending) -> Iterator[str]:
    """When all is well again and some time has passed, everything is written."""
    yield from (f"{name} has {count} changes" for name, count in ending.pending.items() if count)


def memory_stays_in_bounds(ending: Ending) -> Iterator[str]:
    """What waits to be written holds no more memory than is allowed, one large change excepted."""
    if ending.most_pending_bytes > ending.max_pending_bytes + LARGEST_CHANGE_BYTES:
        yield f"{ending.most_pending_bytes} bytes, allowed are {ending.max_pending_bytes}"


def parts_have_owners(ending: Ending) -> Iterator[str]:
    """Every part of a large value belongs to a row that names it, and no row misses one."""
    yield from _parts_in_disorder(ending.rows)


def parts_go_at_once(ending: Ending) -> Iterator[str]:
    """Where all servers live and hear what was done, parts go with their value, not hours later."""
    yield from _parts_in_disorder(ending.calm_rows)


def nothing_outdated_is_left(ending: Ending) -> Iterator[str]:
    """Whoever reads a chat takes away what has served its time: old tombstones, and files that never came."""
    for (pk, sk), row in ending.rows.items():
        since = row.get(BURIED_AT, row.get(ANNOUNCED_AT) if is_announcement(row) else None)
        if since is not None and since < ending.tidied_at - TOMBSTONE_SECONDS:
            yield f"{sk} of {pk}"


def lookups_lead_to_steps(ending: Ending) -> Iterator[str]:
    """A lookup row leads to a step that is there, if its chat is."""
    yield from _lost_lookups(ending, ending.rows)
    yield from _lost_lookups(ending, ending.calm_rows)


def nothing_is_left_of_deleted_threads(ending: Ending) -> Iterator[str]:
    """Of a deleted thread nothing is left but its tombstone, and no file; unless its deletion was killed.

    That there are lookup rows is known only to the servers that made them, and forgotten when they end.
    """
    for chat in ending.chats:
        if not _was_cleared(ending, chat):
            continue
        left = [sk for pk, sk in ending.rows if pk == thread_pk(chat) and sk != THREAD_SK]
        left += [USER_ID] if USER_ID in ending.calm_rows.get(thread_key(chat), {}) else []
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
        yield from _wrong_markers(ending.rows, chat)
        yield from _wrong_markers(ending.calm_rows, chat)


def _parts_in_disorder(rows: Mapping[tuple[str, str], Item]) -> Iterator[str]:
    named = set()
    for (pk, sk), row in rows.items():
        for name, value in row.items():
            if isinstance(value, Split):
                named.add((pk, sk, name[:32], value.generation))
    there = {(pk, *sk.split("\x1f")[:3]) for pk, sk in rows if is_part_sk(sk)}
    yield from (f"parts without a row: {owner}" for owner in sorted(there - named))
    yield from (f"a row without its parts: {owner}" for owner in sorted(named - there))


def _wrong_markers(rows: Mapping[tuple[str, str], Item], chat: str) -> Iterator[str]:
    for value in (0, 1):
        marker = rows.get(feedback_key(chat, value), {}).get(STEP_IDS, ())
        steps = {step_id for step_id in _stored_steps(rows, chat) if _value(rows[step_key(chat, step_id)]) == value}
        if set(marker) != steps:
            yield f"{chat} {value}: {sorted(marker)} is not {sorted(steps)}"


def _lost_lookups(ending: Ending, rows: Mapping[tuple[str, str], Item]) -> Iterator[str]:
    for (pk, sk), row in rows.items():
        chat = str(row.get(THREAD_ID))
        is_asked = sk == STEP_LOOKUP_SK and not ending.histories.may_be_over(math.inf, ("thread", chat))
        if is_asked and not any(step_lookup_key(step_id).pk == pk for step_id in _stored_steps(rows, chat)):
            yield f"{pk} of {chat}"


def _stored_steps(rows: Mapping[tuple[str, str], Item], chat: str) -> Iterator[str]:
    for (pk, sk), row in rows.items():
        if pk == thread_pk(chat) and is_step_sk(sk) and not is_part_sk(sk) and BURIED_AT not in row:
            yield parse_step_sk(sk)


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
