"""A thread put together from its rows. Pure: no I/O.

Chainlit's UI builds the tree of steps in one pass and drops a step whose parent comes later or never, so parents go
before children and orphans become roots. What deletions and edits have left is not shown.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from types import MappingProxyType
from typing import Final

from chainlit_dynamodb.chat.presentation import (
    ElementView,
    StepView,
    ThreadView,
    public_element,
    public_step,
    public_thread,
)
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.rows.burial import is_announcement
from chainlit_dynamodb.schema import (
    DELETED_AT,
    EDITED_AT,
    MESSAGE,
    ORDER,
    SK,
    THREAD_SK,
    is_element_sk,
    is_step_sk,
    parse_step_sk,
)

logger = logging.getLogger("chainlit.DynamoDB")

NOTHING_BURIED: Final[Mapping[str, bool]] = MappingProxyType({})


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
    found = _Sorted()
    for row in rows:
        found.take(row)
    if found.thread is None or found.thread.get(DELETED_AT) is not None:
        return None
    shown = public_thread(found.thread)
    if found.skipped:
        logger.warning("Thread %s: %d malformed rows are not shown", shown["id"], found.skipped)
    deleted = {parse_step_sk(sk): was_there for sk, was_there in buried.items() if is_step_sk(sk)}
    replaced = _replaced(found.steps, found.edits)
    below = replaced | _below(
        {step_id for step_id, was_there in deleted.items() if was_there} | replaced, found.steps
    )
    elements = [element for _, element in sorted(found.elements, key=itemgetter(0))]
    owners = {owner for element in elements if isinstance(owner := element.get("forId"), str)}
    ghosts = below | (deleted.keys() & owners)
    return Transcript(
        shown,
        in_order([step for step in found.steps if step["id"] not in below]),
        [element for element in elements if not _is_for(element, ghosts)],
        ghosts,
    )


@dataclass
class _Sorted:
    """The rows of a thread by what they are.

    Attributes:
        thread: Its own row.
        steps: Its steps.
        edits: When messages of the user were last changed, by their ids.
        elements: Its elements, each after its place among the others.
        skipped: How many rows make no sense.
    """

    thread: Item | None = None
    steps: list[StepView] = field(default_factory=list)
    edits: dict[str, str] = field(default_factory=dict)
    elements: list[tuple[str, ElementView]] = field(default_factory=list)
    skipped: int = 0

    def take(self, row: Item) -> None:
        """Sort a row in."""
        sk = row[SK]
        if sk == THREAD_SK:
            self.thread = row
        elif is_step_sk(sk):
            self._take_step(row)
        elif is_element_sk(sk) and not is_announcement(row):
            self._take_element(row)

    def _take_step(self, row: Item) -> None:
        step = public_step(row)
        if step is None:
            self.skipped += 1
            return
        self.steps.append(step)
        if isinstance(edited_at := row.get(EDITED_AT), str):
            self.edits[step["id"]] = edited_at

    def _take_element(self, row: Item) -> None:
        element = public_element(row)
        if not _is_sound_element(element):
            self.skipped += 1
            return
        self.elements.append((str(row.get(ORDER, "")), element))


def _is_for(element: ElementView, step_ids: Collection[str]) -> bool:
    owner = element.get("forId")
    return isinstance(owner, str) and owner in step_ids


def _replaced(steps: list[StepView], edits: Mapping[str, str]) -> frozenset[str]:
    """Return the ids of runs that an edit of their message has replaced, of which no message is left.

    Chainlit changes the message and deletes those that were answered, not the run (`socket.edit_message`), and begins
    another one below the same message (`callbacks.on_message`). An app that runs a message again does not change it,
    or does so while that runs.
    """
    runs: dict[str, list[StepView]] = {}
    for step in steps:
        message_id = step["parentId"]
        if message_id and message_id in edits and (step["type"], step.get("name")) == ("run", "on_message"):
            runs.setdefault(message_id, []).append(step)
    older: set[str] = set()
    for message_id, of_message in runs.items():
        before = [run["id"] for run in of_message if run["createdAt"] < edits[message_id]]
        older |= set(before) if len(before) < len(of_message) else set()
    return frozenset(older - _above_messages(steps)) if older else frozenset()


def _above_messages(steps: list[StepView]) -> set[str]:
    """Return the ids of steps that have a message below them."""
    parents = {step["id"]: step["parentId"] for step in steps}
    found: set[str] = set()
    for step in steps:
        above = step["parentId"] if MESSAGE in str(step["type"]) else None
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
