"""A row as Chainlit sees it. Pure: no I/O. No attribute of the table's own ever leaves through here."""

from __future__ import annotations

import copy
from typing import Any, Final, TypedDict, cast

from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.schema import (
    CHAINLIT_KEY,
    COMMENT,
    CREATED_AT,
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
    OUTPUT,
    PARENT_ID,
    PK,
    SK,
    START,
    TAGS,
    TYPE,
    USER_ID,
    USER_IDENTIFIER,
    VALUE,
    is_own_attribute,
    parse_activity_sk,
    parse_element_sk,
    parse_step_sk,
    parse_thread_pk,
)

_TIMES: Final = (CREATED_AT, START, END)


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


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value)


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _metadata(value: Any, *, is_favorite: bool) -> dict[str, Any]:
    metadata = value if isinstance(value, dict) else {}
    return {**metadata, FAVORITE: True} if is_favorite else metadata
