"""Invariants of what readers saw: it was written, it is the newest, and what was deleted is gone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from chainlit_dynamodb.chat.writer import FLUSH_SECONDS
from chainlit_dynamodb.testing.simulation.content import number_of
from chainlit_dynamodb.testing.simulation.endings import Ending, span
from chainlit_dynamodb.testing.simulation.records import ABSENT, Call
from chainlit_dynamodb.testing.simulation.visitors import CHECKED_ENTRIES


def threads_are_what_was_written(ending: Ending) -> Iterator[str]:
    """A thread that was acknowledged is there, with the newest name, owner and metadata."""
    for call in ending.answered("get_thread"):
        chat, (started, ended) = call.detail, span(call)
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


def authors_are_what_was_written(ending: Ending) -> Iterator[str]:
    """Whose a thread is, is told as it was acknowledged."""
    for call in ending.answered("get_thread_author"):
        (started, ended), owner = span(call), call.answer or ABSENT
        is_explained = ending.histories.explain(("thread", call.detail, "owner"), owner, started, ended)
        if not is_explained and not ending.histories.may_be_over(ended, ("thread", call.detail)):
            yield f"owner of {call.detail} is {owner} [{call.serial}]"


def steps_are_what_was_written(ending: Ending) -> Iterator[str]:
    """A step that was acknowledged is there, whole, with the newest content."""
    for call in _threads_seen(ending):
        chat, (started, ended) = call.detail, span(call)
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
                number = number_of(seen[step_id][field]) if field in seen[step_id] else ABSENT
                if not ending.histories.explain((*place, field), number, started, ended):
                    yield f"{field} of {step_id} is {_short(seen[step_id].get(field))} [{call.serial}]"


def elements_are_what_was_written(ending: Ending) -> Iterator[str]:
    """An element that was acknowledged is there, with the newest name; at the end also with its file."""
    for call in _threads_seen(ending):
        chat, (started, ended) = call.detail, span(call)
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
            if content is None and _may_be_gone(ending, call, place, *_steps_of(ending, place)):
                continue  # its file goes first
            if call.is_final and not ending.histories.explain((*place, "content"), content, started, ended):
                yield f"content of {element_id} is {content!r} [{call.serial}]"


def feedback_is_what_was_written(ending: Ending) -> Iterator[str]:
    """Feedback and favourites that were acknowledged are there, the newest ones."""
    for call in _threads_seen(ending):
        chat, (started, ended) = call.detail, span(call)
        for step in _living_steps(ending, call):
            place = ("step", chat, step["id"])
            found = step.get("feedback")
            feedback = (found["value"], found["comment"]) if found else ABSENT
            if not ending.histories.explain((*place, "feedback"), feedback, started, ended):
                yield f"feedback of {step['id']} is {_short(feedback)} [{call.serial}]"


def favorites_are_what_was_written(ending: Ending) -> Iterator[str]:
    """A favourite that was acknowledged is one, and is listed at the end."""
    for call in _threads_seen(ending):
        chat, (started, ended) = call.detail, span(call)
        for step in _living_steps(ending, call):
            register = ("step", chat, step["id"], "favorite")
            is_one = bool(step["metadata"].get("favorite"))
            values = {value for value in ending.histories.values(register) if value != ABSENT} if is_one else {ABSENT}
            if not any(ending.histories.explain(register, value, started, ended) for value in values):
                yield f"favorite of {step['id']} is {is_one} [{call.serial}]"


def deleted_stays_deleted(ending: Ending) -> Iterator[str]:
    """What was deleted, and acknowledged as deleted, is never seen again."""
    for call in _threads_seen(ending):
        chat, (started, _) = call.detail, span(call)
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


def elements_keep_their_order(ending: Ending) -> Iterator[str]:
    """Elements of one server are in the order in which it was first asked for them."""
    asked: dict[tuple[str, str], list[Call]] = {}
    for call in ending.calls:
        if call.method == "create_element":
            _, chat, element_id, _ = call.writes[0].register
            asked.setdefault((chat, element_id), []).append(call)
    for call in _threads_seen(ending):
        firsts = [asked.get((call.detail, element["id"]), []) for element in call.answer["elements"]]
        for before, after in pairwise(firsts):
            both = [*before, *after]
            ways = {(other.process, other.queue) for other in both}
            is_known = len(ways) == 1 and all(_surely_stored(ending, other) for other in both)
            if is_known and before[0].serial > after[0].serial:
                yield f"{after[0].detail} is behind {before[0].detail} [{call.serial}]"


def _surely_stored(ending: Ending, call: Call) -> bool:
    """Return whether an element was kept: what is for a step that is deleted may be refused, without a word."""
    _, chat, _, _ = call.writes[0].register
    (step_id,) = (write.value for write in call.writes if write.register[-1] == "for")
    return call.is_acknowledged and not ending.histories.may_be_over(call.ended or 0.0, ("step", chat, step_id))


def servers_see_what_they_were_told(ending: Ending) -> Iterator[str]:
    """A reader waits for steps its own server was told to write, if they are stored within seconds."""
    told: dict[tuple[str, str], list[Call]] = {}
    for call in ending.calls:
        if call.method in ("create_step", "update_step") and call.is_acknowledged and not call.queue:
            told.setdefault((call.process, call.writes[0].register[1]), []).append(call)
    for call in _threads_seen(ending):
        started, ended = span(call)
        seen = {step["id"] for step in call.answer["steps"]}
        for other in told.get((call.process, call.detail), ()) if ended - started < FLUSH_SECONDS else ():
            _, chat, step_id, _ = other.writes[0].register
            is_missing = other.serial < call.serial and step_id not in seen
            if is_missing and not _may_be_gone(ending, call, ("step", chat, step_id)):
                yield f"{step_id} is not seen [{call.serial}]"


def _threads_seen(ending: Ending) -> Iterator[Call]:
    return (call for call in ending.answered("get_thread") if call.answer is not None)


def _may_be_gone(ending: Ending, call: Call, *places: tuple[str, ...]) -> bool:
    started, ended = span(call)
    return ending.histories.may_be_over(ended, *places) or ending.histories.is_ending(
        started, ended, ("thread", call.detail)
    )


def _living_steps(ending: Ending, call: Call) -> Iterator[Any]:
    """Return the steps that were seen and may be."""
    for step in call.answer["steps"]:
        if not ending.histories.is_over(call.started, ("step", call.detail, step["id"]), ("thread", call.detail)):
            yield step


def _thread_field(thread: Any, field: str) -> Any:
    if field == "name":
        return thread["name"] or ABSENT
    if field == "owner":
        return thread["userId"] or ABSENT
    return thread["metadata"].get(field, ABSENT) if field.startswith(CHECKED_ENTRIES) else ABSENT


def _steps_of(ending: Ending, element: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [("step", element[1], step) for step in dict.fromkeys(ending.histories.values((*element, "for")))]


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
