"""Invariants of lists, and of everything that leaves the layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from chainlit_dynamodb.schema import (
    DELETED_AT,
    INTERNAL_PREFIX,
    KEY_ATTRIBUTES,
)
from chainlit_dynamodb.testing.simulation.endings import Ending
from chainlit_dynamodb.testing.simulation.records import ABSENT, Call

INDEX_GRACE_SECONDS: Final = 60.0
_INTERNAL: Final = (INTERNAL_PREFIX, *sorted(KEY_ATTRIBUTES), DELETED_AT)


def lists_are_complete(ending: Ending) -> Iterator[str]:
    """A list holds every acknowledged chat: of this process at once, of others once the index has followed."""
    for call in ending.answered("list_threads"):
        listed = {thread["id"] for page in call.answer for thread in page}
        for chat in sorted(set(ending.chats) - listed):
            if _must_be_listed(ending, chat, call) and not _moves(ending, chat, call):
                yield f"{chat} is missing [{call.serial}]"


def lists_hold_only_what_is_there(ending: Ending) -> Iterator[str]:
    """A list holds no deleted chat and no one else's."""
    for call in ending.answered("list_threads"):
        for page in call.answer:
            for thread in page:
                if ending.histories.is_over(call.started, ("thread", thread["id"])):
                    yield f"{thread['id']} is listed though deleted [{call.serial}]"
                if thread["userId"] != call.detail:
                    yield f"{thread['id']} of {thread['userId']} is listed for {call.detail} [{call.serial}]"


def no_chat_is_listed_twice(ending: Ending) -> Iterator[str]:
    """No chat is in a list twice, not on two pages either: chats only move up, away from where the reader goes."""
    for call in ending.answered("list_threads"):
        yield from _twice([thread["id"] for page in call.answer for thread in page], f"in a list [{call.serial}]")


def pages_are_in_order(ending: Ending) -> Iterator[str]:
    """Chats are listed newest activity first."""
    for call in ending.answered("list_threads"):
        for page in call.answer:
            times = [thread["createdAt"] for thread in page]
            if times != sorted(times, reverse=True):
                yield f"{times} [{call.serial}]"


def favorites_are_listed(ending: Ending) -> Iterator[str]:
    """In the end the favourites of a user are listed, and no others."""
    for call in ending.answered("get_favorite_steps"):
        listed = {step["id"] for step in call.answer} if call.is_final else set()
        for register in ending.histories.registers("step") if call.is_final else ():
            if register[3] != "favorite" or call.detail not in ending.histories.values(register):
                continue
            is_listed, places = register[2] in listed, (register[:3], ("thread", register[1]))
            if is_listed and ending.histories.is_over(call.started, *places):
                yield f"{register[2]} is listed though deleted [{call.serial}]"
            elif not ending.histories.may_be_over(call.started, *places) and not ending.histories.explain(
                register, call.detail if is_listed else ABSENT, call.started, call.ended or 0.0
            ):
                yield f"{register[2]} is {'' if is_listed else 'not '}listed [{call.serial}]"


def nothing_internal_leaks(ending: Ending) -> Iterator[str]:
    """No attribute of the table's own is in an answer."""
    for call in ending.calls:
        if call.method in ("get_thread", "list_threads", "get_favorite_steps"):
            yield from (f"{key} [{call.serial}]" for key in _internal_keys(call.answer))


def _must_be_listed(ending: Ending, chat: str, call: Call) -> bool:
    register = ("thread", chat, "owner")
    if call.detail not in ending.histories.values(register):
        return False
    if ending.histories.may_be_over(call.ended or 0.0, ("thread", chat)):
        return False
    mine = [c for c in ending.calls if any(w.register == register for w in c.writes) and c.is_acknowledged]
    return any(
        (c.stored or 0.0) + (0.0 if c.process == call.process else INDEX_GRACE_SECONDS) <= call.started for c in mine
    )


def _moves(ending: Ending, chat: str, reader: Call) -> bool:
    """Return whether a chat may have moved while a list was walked; a process knows where it has moved one itself."""
    for call in ending.calls:
        since = reader.started - (0.0 if call.process == reader.process else INDEX_GRACE_SECONDS)
        is_over = call.stored is not None and call.stored < since and not call.error
        is_under_way = call.started <= (reader.ended or 0.0) and not is_over
        is_move = call.method in ("create_step", "update_thread") and bool(call.writes)
        if is_under_way and is_move and call.writes[0].register[1] == chat:
            return True
    return False


def _twice(ids: list[str], where: str) -> Iterator[str]:
    yield from (f"{name} {where} {count} times" for name, count in Counter(ids).items() if count > 1)


def _internal_keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (key for key in value if key.startswith(_INTERNAL))
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _internal_keys(inner)
