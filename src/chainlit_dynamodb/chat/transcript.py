"""From the rows of a thread to what Chainlit shows. Pure: no I/O.

Chainlit's UI builds the tree of steps in one pass and drops a step whose parent comes later or never, so parents go
before children and orphans become roots.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.chat.elements import public_element
from chainlit_dynamodb.chat.feedback import FEEDBACK, public_feedback
from chainlit_dynamodb.chat.schema import (
    DELETED_AT,
    INDEX_PK,
    SK,
    THREAD_SK,
    is_element_sk,
    is_own_attribute,
    is_step_sk,
    parse_step_sk,
)
from chainlit_dynamodb.chat.threads import public_thread
from chainlit_dynamodb.dynamodb.codec import Item

logger = logging.getLogger("chainlit.DynamoDB")

FAVORITE: Final = "favorite"
_TIMES: Final = ("createdAt", "start", "end")


@dataclass(frozen=True)
class Transcript:
    """A thread as Chainlit knows it; its elements still need their URLs."""

    thread: dict[str, Any]
    steps: list[dict[str, Any]]
    elements: list[dict[str, Any]]


def assemble(rows: Iterable[Item]) -> Transcript | None:
    """Put a thread together.

    Args:
        rows: All rows of its partition.

    Returns:
        The thread, or `None` if it has no row of its own or is deleted. Rows that make no sense are left out.
    """
    thread: Item | None = None
    steps: list[dict[str, Any]] = []
    elements: list[dict[str, Any]] = []
    skipped = 0
    for row in rows:
        sk = row[SK]
        if sk == THREAD_SK:
            thread = row
        elif is_step_sk(sk):
            step = public_step(row)
            skipped += step is None
            steps += [step] if step else []
        elif is_element_sk(sk):
            element = public_element(row)
            skipped += not _is_sound_element(element)
            elements += [element] if _is_sound_element(element) else []
    if thread is None or thread.get(DELETED_AT) is not None:
        return None
    shown = public_thread(thread)
    if skipped:
        logger.warning("Thread %s: %d malformed rows are not shown", shown["id"], skipped)
    return Transcript(shown, in_order(steps), elements)


def public_step(row: Item) -> dict[str, Any] | None:
    """Give the fields of a step's row as Chainlit knows them, or `None` if the row is no step."""
    created_at = clock.normalized(row.get("createdAt"))
    if created_at is None or not isinstance(row.get("type"), str):
        return None
    step = {
        name: value
        for name, value in row.items()
        if value is not None and name != FEEDBACK and not is_own_attribute(name)
    }
    step |= {name: clock.normalized(step[name]) for name in _TIMES if name in step}
    step |= {
        "id": parse_step_sk(row[SK]),
        "name": _text(step.get("name")),
        "output": _text(step.get("output")),
        "parentId": step.get("parentId") if isinstance(step.get("parentId"), str) else None,
        "metadata": _metadata(step.get("metadata"), is_favorite=row.get(INDEX_PK) is not None),
    }
    feedback = public_feedback(row, step["id"])
    return {**step, FEEDBACK: feedback} if feedback else step


def in_order(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort steps by time, parents before children; steps whose parent is missing become roots."""
    ordered = sorted(steps, key=lambda step: step["createdAt"])
    ids = {step["id"] for step in ordered}
    placed: set[str] = set()
    waiting: dict[str, list[dict[str, Any]]] = {}
    result: list[dict[str, Any]] = []
    for step in ordered:
        parent = step["parentId"]
        if parent not in ids or parent == step["id"]:
            parent = step["parentId"] = None
        if parent is None or parent in placed:
            _place(step, waiting, placed, result)
        else:
            waiting.setdefault(parent, []).append(step)
    in_cycles = [step for children in waiting.values() for step in children]
    return result + [{**step, "parentId": None} for step in sorted(in_cycles, key=lambda s: s["createdAt"])]


def _place(
    step: dict[str, Any],
    waiting: dict[str, list[dict[str, Any]]],
    placed: set[str],
    result: list[dict[str, Any]],
) -> None:
    stack = [step]
    while stack:
        current = stack.pop()
        result.append(current)
        placed.add(current["id"])
        stack += reversed(waiting.pop(current["id"], []))


def _is_sound_element(element: dict[str, Any]) -> bool:
    return isinstance(element.get("type"), str) and isinstance(element.get("name"), str)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value)


def _metadata(value: Any, *, is_favorite: bool) -> dict[str, Any]:
    metadata = value if isinstance(value, dict) else {}
    return {**metadata, FAVORITE: True} if is_favorite else metadata
