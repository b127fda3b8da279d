"""A row as Chainlit sees it, and a thread put together from its rows. Pure: no I/O.

Chainlit's UI builds the tree of steps in one pass and drops a step whose parent comes later or never, so parents go
before children and orphans become roots. No attribute of the table's own ever leaves through here.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, TypedDict, cast

from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.rows.burial import is_announcement
from chainlit_dynamodb.schema import (
    CHAINLIT_KEY,
    COMMENT,
    CREATED_AT,
    DELETED_AT,
    END,
    FAVORITE,
    FEEDBACK,
    FEEDBACK_COMMENT,
    FEEDBACK_VALUES,
    FULL_NAME,
    ID,
    INDEX_PK,
    INDEX_SK,
    LISTED_METADATA,
    METADATA,
    NAME,
    ORDER,
    OUTPUT,
    PARENT_ID,
    PK,
    SK,
    START,
    TAGS,
    THREAD_SK,
    TYPE,
    USER_ID,
    USER_IDENTIFIER,
    VALUE,
    is_element_sk,
    is_own_attribute,
    is_step_sk,
    parse_activity_sk,
    parse_element_sk,
    parse_step_sk,
    parse_thread_pk,
)

logger = logging.getLogger("chainlit.DynamoDB")

_TIMES: Final = (CREATED_AT, START, END)
NOTHING_BURIED: Final[Mapping[str, bool]] = MappingProxyType({})


class UserView(TypedDict):
    """A user, as Chainlit's `PersistedUser` takes it."""

    id: str
    identifier: str
    createdAt: str
    metadata: dict[str, Any]


class FeedbackView(TypedDict):
    """The feedback on a step, as Chainlit's UI reads it; `value` is 0 or 1."""

    forId: str
    id: str
    value: int
    comment: str | None


class StepView(TypedDict, total=False):
    """A step: what Chainlit relies on, and whatever else was stored."""

    id: str
    createdAt: str
    type: str
    name: str
    output: str
    parentId: str | None
    metadata: dict[str, Any]
    feedback: FeedbackView


class ElementView(TypedDict, total=False):
    """An element: what Chainlit relies on, and whatever else was stored."""

    id: str
    type: str
    name: str
    url: str | None
    objectKey: str | None
    chainlitKey: str | None
    forId: str | None


class ThreadView(TypedDict):
    """A thread with all keys Chainlit relies on; times are ISO 8601 in UTC."""

    id: str
    createdAt: str
    name: str | None
    userId: str | None
    userIdentifier: str | None
    tags: list[str] | None
    metadata: dict[str, Any]
    steps: list[StepView]
    elements: list[ElementView]


def public_user(identifier: str, row: Item) -> UserView:
    """Return a fresh copy of a user's row as Chainlit knows it."""
    metadata = row.get(METADATA)
    return {
        "id": user_id_of(identifier, row),
        "identifier": identifier,
        "createdAt": clock.normalized(row.get(CREATED_AT)) or str(row.get(CREATED_AT) or ""),
        "metadata": copy.deepcopy(metadata) if isinstance(metadata, dict) else {},
    }


def user_id_of(identifier: str, row: Item) -> str:
    """Return the id of a user's row; where it has none, the identifier, as in this layout they are equal."""
    return _text_or_none(row.get(ID)) or identifier


def public_thread(row: Item) -> ThreadView:
    """Return a thread's row as Chainlit knows it, with every key it relies on, without steps and elements."""
    metadata, tags = row.get(METADATA), row.get(TAGS)
    user_id = row.get(USER_ID)
    return {
        "id": parse_thread_pk(row[PK]),
        "createdAt": clock.normalized(row.get(CREATED_AT)) or last_activity(row) or clock.EPOCH,
        "name": _text_or_none(row.get(FULL_NAME)) or _text_or_none(row.get(NAME)),
        "userId": _text_or_none(user_id),
        "userIdentifier": _text_or_none(row.get(USER_IDENTIFIER) or user_id),
        "tags": tags if isinstance(tags, list) else None,
        "metadata": metadata if isinstance(metadata, dict) else {},
        "steps": [],
        "elements": [],
    }


def listed_thread(row: Item) -> ThreadView:
    """Return a thread's row as Chainlit lists it: `createdAt` is the last activity; of much metadata, a part."""
    listed = {**row, METADATA: row[LISTED_METADATA]} if LISTED_METADATA in row else row
    thread = public_thread(listed)
    return {**thread, "createdAt": last_activity(row) or thread["createdAt"]}


def last_activity(row: Item) -> str | None:
    """Return the time of a thread's last activity, or `None` if its row has none."""
    index_sk = row.get(INDEX_SK)
    if not isinstance(index_sk, str):
        return None
    return clock.normalized(parse_activity_sk(index_sk)) or parse_activity_sk(index_sk)


def public_step(row: Item) -> StepView | None:
    """Return the fields of a step's row as Chainlit knows them, or `None` if the row is no step."""
    created_at = clock.normalized(row.get(CREATED_AT))
    if created_at is None or not isinstance(row.get(TYPE), str):
        return None
    step = {
        name: value
        for name, value in row.items()
        if value is not None and name != FEEDBACK and not is_own_attribute(name)
    }
    step |= {name: clock.normalized(step[name]) for name in _TIMES if name in step}
    step |= {
        ID: parse_step_sk(row[SK]),
        NAME: _text(step.get(NAME)),
        OUTPUT: _text(step.get(OUTPUT)),
        PARENT_ID: _text_or_none(step.get(PARENT_ID)),
        METADATA: _metadata(step.get(METADATA), is_favorite=row.get(INDEX_PK) is not None),
    }
    feedback = public_feedback(row, step[ID])
    return cast("StepView", {**step, FEEDBACK: feedback} if feedback else step)


def public_feedback(step: Item, step_id: str) -> FeedbackView | None:
    """Return the feedback on a step's row as Chainlit's UI reads it, or `None` if there is none."""
    feedback = step.get(FEEDBACK)
    value = feedback_value(feedback)
    if not isinstance(feedback, dict) or value is None:
        return None
    comment = step.get(FEEDBACK_COMMENT) or feedback.get(COMMENT)
    return {
        "forId": step_id,
        "id": str(feedback.get(ID) or ""),
        "value": value,
        "comment": _text_or_none(comment),
    }


def feedback_value(feedback: Any) -> int | None:
    """Return the value of stored feedback, or `None` if it is none."""
    value = feedback.get(VALUE) if isinstance(feedback, dict) else None
    return int(value) if value in FEEDBACK_VALUES else None


def public_element(row: Item) -> ElementView:
    """Return the fields of an element's row that Chainlit knows."""
    element = {name: value for name, value in row.items() if not is_own_attribute(name)}
    element[ID] = parse_element_sk(row[SK])
    # The key of a session's file means nothing after the session.
    element[CHAINLIT_KEY] = None
    return cast("ElementView", element)


@dataclass(frozen=True)
class Transcript:
    """A thread as Chainlit knows it; its elements still need their URLs.

    Attributes:
        thread: Its own row.
        steps: Its steps, in order.
        elements: Its elements, in order.
        ghosts: Ids of what is left of deleted steps: steps that were below one, deleted ones that still have
            elements, and runs that an edit has replaced. None is shown.
    """

    thread: ThreadView
    steps: list[StepView]
    elements: list[ElementView]
    ghosts: frozenset[str] = frozenset()


def assemble(rows: Iterable[Item], buried: Mapping[str, bool] = NOTHING_BURIED) -> Transcript | None:
    """Put a thread together.

    Args:
        rows: All rows of its partition.
        buried: The sort keys of its steps that were deleted, and whether they had been there: one that never was
            takes its elements along, but not the steps below it.

    Returns:
        The thread, or `None` if it has no row of its own or is deleted. Rows that make no sense are left out.
    """
    thread: Item | None = None
    steps: list[StepView] = []
    elements: list[tuple[str, ElementView]] = []
    skipped = 0
    for row in rows:
        sk = row[SK]
        if sk == THREAD_SK:
            thread = row
        elif is_step_sk(sk):
            step = public_step(row)
            skipped += step is None
            steps += [step] if step else []
        elif is_element_sk(sk) and not is_announcement(row):
            element = public_element(row)
            skipped += not _is_sound_element(element)
            elements += [(str(row.get(ORDER, "")), element)] if _is_sound_element(element) else []
    if thread is None or thread.get(DELETED_AT) is not None:
        return None
    shown = public_thread(thread)
    if skipped:
        logger.warning("Thread %s: %d malformed rows are not shown", shown["id"], skipped)
    elements.sort(key=itemgetter(0))
    deleted = {parse_step_sk(sk): was_there for sk, was_there in buried.items() if is_step_sk(sk)}
    replaced = _replaced(steps)
    below = replaced | _below({step_id for step_id, was_there in deleted.items() if was_there} | replaced, steps)
    owners = {owner for _, element in elements if isinstance(owner := element.get("forId"), str)}
    ghosts = below | (deleted.keys() & owners)
    return Transcript(
        shown,
        in_order([step for step in steps if step["id"] not in below]),
        [element for _, element in elements if not _is_for(element, ghosts)],
        ghosts,
    )


def _is_for(element: ElementView, step_ids: Collection[str]) -> bool:
    owner = element.get("forId")
    return isinstance(owner, str) and owner in step_ids


def _replaced(steps: list[StepView]) -> frozenset[str]:
    """Return the ids of runs that an edit of their message has replaced, of which no message is left.

    Chainlit deletes the messages that were answered, not the run (`socket.edit_message`), and begins another one
    below the same message (`callbacks.on_message`).
    """
    runs: dict[str, list[StepView]] = {}
    for step in steps:
        if (step["type"], step.get("name")) == ("run", "on_message") and step["parentId"]:
            runs.setdefault(step["parentId"], []).append(step)
    older = {run["id"] for of_message in runs.values() for run in sorted(of_message, key=_created_at)[:-1]}
    return frozenset(older - _above_messages(steps)) if older else frozenset()


def _above_messages(steps: list[StepView]) -> set[str]:
    """Return the ids of steps that have a message below them."""
    parents = {step["id"]: step["parentId"] for step in steps}
    found: set[str] = set()
    for step in steps:
        above = step["parentId"] if "message" in str(step["type"]) else None
        while above is not None and above not in found:
            found.add(above)
            above = parents.get(above)
    return found


def _below(ids: set[str], steps: list[StepView]) -> frozenset[str]:
    """Return the ids of steps below some: Chainlit deletes a message, and not its runs and tools."""
    if not ids:
        return frozenset()
    children: dict[str | None, list[str]] = {}
    for step in steps:
        children.setdefault(step["parentId"], []).append(step["id"])
    found: set[str] = set()
    waiting = list(ids)
    while waiting:
        below = set(children.pop(waiting.pop(), ())) - found
        found |= below
        waiting += below
    return frozenset(found)


def in_order(steps: list[StepView]) -> list[StepView]:
    """Sort steps by time, parents before children; steps whose parent is missing become roots."""
    ordered = sorted(steps, key=_created_at)
    ids = {step["id"] for step in ordered}
    placed: set[str] = set()
    waiting: dict[str, list[StepView]] = {}
    result: list[StepView] = []
    for step in ordered:
        parent = step["parentId"]
        if parent not in ids or parent == step["id"]:
            parent = step["parentId"] = None
        if parent is None or parent in placed:
            _place(step, waiting, placed, result)
        else:
            waiting.setdefault(parent, []).append(step)
    in_cycles = sorted((step for children in waiting.values() for step in children), key=_created_at)
    return result + [{**step, "parentId": None} for step in in_cycles]


def _created_at(step: StepView) -> str:
    return step["createdAt"]


def _place(step: StepView, waiting: dict[str, list[StepView]], placed: set[str], result: list[StepView]) -> None:
    stack = [step]
    while stack:
        current = stack.pop()
        result.append(current)
        placed.add(current["id"])
        stack += reversed(waiting.pop(current["id"], []))


def _is_sound_element(element: ElementView) -> bool:
    return isinstance(element.get("type"), str) and isinstance(element.get("name"), str)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value)


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _metadata(value: Any, *, is_favorite: bool) -> dict[str, Any]:
    metadata = value if isinstance(value, dict) else {}
    return {**metadata, FAVORITE: True} if is_favorite else metadata
