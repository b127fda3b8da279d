"""What must hold, whatever goes wrong. Each invariant is one function that returns what contradicts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chainlit_dynamodb.dynamodb.codec import Item, decode_item
from chainlit_dynamodb.dynamodb.packing import Split
from chainlit_dynamodb.schema import (
    DELETED_AT,
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
    thread_pk,
)
from chainlit_dynamodb.testing.simulation.content import number_of
from chainlit_dynamodb.testing.simulation.histories import Histories
from chainlit_dynamodb.testing.simulation.processes import CLOSE_SECONDS
from chainlit_dynamodb.testing.simulation.records import ABSENT, Call
from chainlit_dynamodb.testing.simulation.visitors import CHECKED_ENTRIES

READ_SECONDS: Final = 45.0
AWAITED_SECONDS: Final = 45.0
CLOSE_GRACE_SECONDS: Final = 3.0
INDEX_GRACE_SECONDS: Final = 60.0
LARGEST_CHANGE_BYTES: Final = 12_000
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
_INTERNAL: Final = ("_", "PK", "SK", "UserThread", DELETED_AT)


@dataclass(frozen=True)
class Ending:
    """What is known when a story has ended.

    Attributes:
        calls: All calls.
        histories: The writes to every register.
        chats: All threads.
        rows: All items of the table, by their keys, decoded.
        files: All files.
        pending: What processes that lived to the end had not written.
        most_pending_bytes: The most that waited within the bound of one process.
        max_pending_bytes: That bound.
    """

    calls: list[Call]
    histories: Histories
    chats: list[str]
    rows: Mapping[tuple[str, str], Item]
    files: Mapping[str, bytes]
    pending: Mapping[str, int]
    most_pending_bytes: int
    max_pending_bytes: int

    def answered(self, method: str) -> Iterator[Call]:
        """Return the calls of a method that got an answer."""
        return (call for call in self.calls if call.method == method and call.is_acknowledged)


@dataclass(frozen=True)
class Finding:
    """Something that contradicts an invariant.

    Attributes:
        invariant: Its name.
        detail: What was seen.
    """

    invariant: str
    detail: str


Invariant = Callable[[Ending], Iterator[str]]


def decoded(rows: Mapping[tuple[str, str], Any]) -> dict[tuple[str, str], Item]:
    """Return raw items as plain ones."""
    return {place: decode_item(item) for place, item in rows.items()}


def threads_are_what_was_written(ending: Ending) -> Iterator[str]:
    """A thread that was acknowledged is there, with the newest name, owner and metadata."""
    for call in ending.answered("get_thread"):
        chat, (started, ended) = call.detail, _span(call)
        if call.answer is None:
            for field in ("name", "owner"):
                is_lost = ending.histories.is_there(("thread", chat, field), started)
                if is_lost and not ending.histories.may_be_over(ended, ("thread", chat)):
                    yield f"{chat} is lost [{call.serial}]"
                    break
            continue
        for register in ending.histories.registers("thread", chat):
            seen = _thread_field(call.answer, register[2])
            if not ending.histories.explain(register, seen, started, ended):
                yield f"{register[2]} of {chat} is {_short(seen)} [{call.serial}]"


def steps_are_what_was_written(ending: Ending) -> Iterator[str]:
    """A step that was acknowledged is there, whole, with the newest content."""
    for call in _threads_seen(ending):
        chat, (started, ended) = call.detail, _span(call)
        seen = {step["id"]: step for step in call.answer["steps"]}
        for step_id in ending.histories.things("step", chat):
            place = ("step", chat, step_id)
            if ending.histories.is_over(started, place):
                continue
            if step_id not in seen:
                is_lost = ending.histories.is_there((*place, "output"), started)
                if is_lost and not _may_be_gone(ending, call, place):
                    yield f"{step_id} is lost [{call.serial}]"
                continue
            for field in ("output", "input"):
                number = number_of(seen[step_id].get(field))
                if not ending.histories.explain((*place, field), number, started, ended):
                    yield f"{field} of {step_id} is {_short(seen[step_id].get(field))} [{call.serial}]"


def elements_are_what_was_written(ending: Ending) -> Iterator[str]:
    """An element that was acknowledged is there, with the newest name; at the end also with its file."""
    for call in _threads_seen(ending):
        chat, (started, ended) = call.detail, _span(call)
        seen = {element["id"]: element for element in call.answer["elements"]}
        for element_id in ending.histories.things("element", chat):
            place = ("element", chat, element_id)
            if ending.histories.is_over(started, place):
                continue
            if element_id not in seen:
                is_lost = ending.histories.is_there((*place, "name"), started)
                if is_lost and not _may_be_gone(ending, call, place, *_steps_of(ending, place)):
                    yield f"{element_id} is lost [{call.serial}]"
                continue
            element = seen[element_id]
            if not ending.histories.explain((*place, "name"), element.get("name"), started, ended):
                yield f"name of {element_id} is {element.get('name')} [{call.serial}]"
            content = ending.files.get(str(element.get("objectKey")))
            if call.is_final and not ending.histories.explain((*place, "content"), content, started, ended):
                yield f"content of {element_id} is {content!r} [{call.serial}]"


def feedback_is_what_was_written(ending: Ending) -> Iterator[str]:
    """Feedback and favourites that were acknowledged are there, the newest ones."""
    for call in _threads_seen(ending):
        chat, (started, ended) = call.detail, _span(call)
        for step in _living_steps(ending, call):
            place = ("step", chat, step["id"])
            found = step.get("feedback")
            feedback = (found["value"], found["comment"]) if found else ABSENT
            if not ending.histories.explain((*place, "feedback"), feedback, started, ended):
                yield f"feedback of {step['id']} is {_short(feedback)} [{call.serial}]"


def favorites_are_what_was_written(ending: Ending) -> Iterator[str]:
    """A favourite that was acknowledged is one, and is listed at the end."""
    for call in _threads_seen(ending):
        chat, (started, ended) = call.detail, _span(call)
        for step in _living_steps(ending, call):
            register = ("step", chat, step["id"], "favorite")
            is_one = bool(step["metadata"].get("favorite"))
            values = {value for value in ending.histories.values(register) if value != ABSENT} if is_one else {ABSENT}
            if not any(ending.histories.explain(register, value, started, ended) for value in values):
                yield f"favorite of {step['id']} is {is_one} [{call.serial}]"


def deleted_stays_deleted(ending: Ending) -> Iterator[str]:
    """What was deleted, and acknowledged as deleted, is never seen again."""
    for call in _threads_seen(ending):
        chat, (started, _) = call.detail, _span(call)
        if ending.histories.is_over(started, ("thread", chat)):
            yield f"{chat} is back [{call.serial}]"
        for step in call.answer["steps"]:
            if ending.histories.is_over(started, ("step", chat, step["id"])):
                yield f"{step['id']} is back [{call.serial}]"
        for element in call.answer["elements"]:
            if ending.histories.is_over(started, ("element", chat, element["id"])):
                yield f"{element['id']} is back [{call.serial}]"


def elements_go_with_their_step(ending: Ending) -> Iterator[str]:
    """At the end no element is left of a step that was deleted."""
    for call in _threads_seen(ending):
        for element in call.answer["elements"] if call.is_final else ():
            steps = _steps_of(ending, ("element", call.detail, element["id"]))
            if steps and all(ending.histories.is_over(call.started, step) for step in steps):
                yield f"{element['id']} of {element.get('forId')} [{call.serial}]"


def lists_are_complete(ending: Ending) -> Iterator[str]:
    """A list holds every chat that was acknowledged, of this process at once, of others when the index has followed."""
    for call in ending.answered("list_threads"):
        listed = {thread["id"] for page in call.answer for thread in page}
        for chat in set(ending.chats) - listed:
            if _must_be_listed(ending, chat, call) and not _moves(ending, chat, call.started, call.ended or 0.0):
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
    """No chat is on a page twice, nor on two pages: chats only move up, so one that was shown lies behind the reader."""
    for call in ending.answered("list_threads"):
        yield from _twice([thread["id"] for page in call.answer for thread in page], f"in a list [{call.serial}]")


def pages_are_in_order(ending: Ending) -> Iterator[str]:
    """Chats are listed newest activity first."""
    for call in ending.answered("list_threads"):
        for page in call.answer:
            times = [thread["createdAt"] for thread in page]
            if times != sorted(times, reverse=True):
                yield f"{times} [{call.serial}]"


def reads_do_not_fail_for_good(ending: Ending) -> Iterator[str]:
    """A read fails only because DynamoDB cannot be reached."""
    for call in ending.calls:
        if call.method in _READS and call.error and not call.error.startswith(("TransientError", "cancelled")):
            yield f"{call.method} {call.detail}: {call.error} [{call.serial}]"


def nobody_waits_long_to_read(ending: Ending) -> Iterator[str]:
    """A read is answered, or fails, in time."""
    yield from _late(ending, _READS, READ_SECONDS)


def nobody_waits_long_to_write(ending: Ending) -> Iterator[str]:
    """What a person or Chainlit awaits is answered, or fails, in time."""
    yield from _late(ending, _AWAITED, AWAITED_SECONDS)


def closing_ends_in_time(ending: Ending) -> Iterator[str]:
    """Closing takes its time and no more, and never fails."""
    yield from _late(ending, frozenset({"close"}), CLOSE_SECONDS + CLOSE_GRACE_SECONDS)
    for call in ending.calls:
        if call.method == "close" and call.error:
            yield f"{call.error} [{call.serial}]"


def nothing_internal_leaks(ending: Ending) -> Iterator[str]:
    """No attribute of the table's own is in an answer."""
    for call in ending.calls:
        if call.method in ("get_thread", "list_threads", "get_favorite_steps"):
            yield from (f"{key} [{call.serial}]" for key in _internal_keys(call.answer))


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
    """Of a deleted thread nothing is left but its tombstone, and no file."""
    for chat in ending.chats:
        if not ending.histories.is_over(float("inf"), ("thread", chat)):
            continue
        left = [sk for pk, sk in ending.rows if pk == thread_pk(chat) and sk != THREAD_SK]
        left += [key for key in ending.files if f"/{chat}/" in key]
        left += [pk for (pk, sk), row in ending.rows.items() if sk == STEP_LOOKUP_SK and row.get(THREAD_ID) == chat]
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
            marker = ending.rows.get(tuple(feedback_key(chat, value)), {}).get(STEP_IDS, ())
            steps = {
                parse_step_sk(sk)
                for (other, sk), row in ending.rows.items()
                if other == pk and is_step_sk(sk) and not is_part_sk(sk) and _value(row) == value
            }
            if set(marker) != steps:
                yield f"{chat} {value}: {sorted(marker)} is not {sorted(steps)}"


INVARIANTS: Final[tuple[Invariant, ...]] = (
    threads_are_what_was_written,
    steps_are_what_was_written,
    elements_are_what_was_written,
    feedback_is_what_was_written,
    favorites_are_what_was_written,
    deleted_stays_deleted,
    elements_go_with_their_step,
    lists_are_complete,
    lists_hold_only_what_is_there,
    no_chat_is_listed_twice,
    pages_are_in_order,
    reads_do_not_fail_for_good,
    nobody_waits_long_to_read,
    nobody_waits_long_to_write,
    closing_ends_in_time,
    nothing_internal_leaks,
    nothing_is_pending,
    memory_stays_in_bounds,
    parts_have_owners,
    nothing_is_left_of_deleted_threads,
    no_file_is_without_row,
    markers_are_right,
)


def check(ending: Ending, invariants: tuple[Invariant, ...] = INVARIANTS) -> list[Finding]:
    """Return all that contradicts an invariant."""
    return [Finding(holds.__name__, detail) for holds in invariants for detail in dict.fromkeys(holds(ending))]


def _threads_seen(ending: Ending) -> Iterator[Call]:
    return (call for call in ending.answered("get_thread") if call.answer is not None)


def _may_be_gone(ending: Ending, call: Call, *places: tuple[str, ...]) -> bool:
    started, ended = _span(call)
    return ending.histories.may_be_over(ended, *places) or ending.histories.is_ending(
        started, ended, ("thread", call.detail)
    )


def _living_steps(ending: Ending, call: Call) -> Iterator[Any]:
    """Return the steps that were seen and may be."""
    for step in call.answer["steps"]:
        if not ending.histories.is_over(call.started, ("step", call.detail, step["id"]), ("thread", call.detail)):
            yield step


def _span(call: Call) -> tuple[float, float]:
    return call.started, call.ended or 0.0


def _thread_field(thread: Any, field: str) -> Any:
    if field == "name":
        return thread["name"] or ABSENT
    if field == "owner":
        return thread["userId"] or ABSENT
    return thread["metadata"].get(field, ABSENT) if field.startswith(CHECKED_ENTRIES) else ABSENT


def _steps_of(ending: Ending, element: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [("step", element[1], step) for step in dict.fromkeys(ending.histories.values((*element, "for")))]


def _must_be_listed(ending: Ending, chat: str, call: Call) -> bool:
    register = ("thread", chat, "owner")
    if call.detail not in ending.histories.values(register):
        return False
    if ending.histories.may_be_over(call.ended or 0.0, ("thread", chat)):
        return False
    mine = [c for c in ending.calls if any(w.register == register for w in c.writes) and c.is_acknowledged]
    return any(
        (c.ended or 0.0) + (0.0 if c.process == call.process else INDEX_GRACE_SECONDS) <= call.started for c in mine
    )


def _moves(ending: Ending, chat: str, started: float, ended: float) -> bool:
    """Return whether a chat may have moved while a list was walked."""
    for call in ending.calls:
        is_under_way = call.started <= ended and (call.ended is None or call.ended >= started or bool(call.error))
        if is_under_way and call.method in ("create_step", "update_thread") and call.writes:
            if call.writes[0].register[1] == chat:
                return True
    return False


def _late(ending: Ending, methods: frozenset[str], limit_seconds: float) -> Iterator[str]:
    for call in ending.calls:
        if call.method in methods and call.ended is not None and call.ended - call.started > limit_seconds:
            yield f"{call.method} {call.detail} took {call.ended - call.started:.1f} s [{call.serial}]"


def _twice(ids: list[str], where: str) -> Iterator[str]:
    yield from (f"{name} {where} {count} times" for name, count in Counter(ids).items() if count > 1)


def _internal_keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (key for key in value if key.startswith(_INTERNAL))
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _internal_keys(inner)


def _value(row: Item) -> Any:
    feedback = row.get(FEEDBACK)
    return feedback.get(VALUE) if isinstance(feedback, dict) else None


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
