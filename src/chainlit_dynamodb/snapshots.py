"""What a Chainlit session, step or element is at this moment: Chainlit goes on changing them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chainlit.context import ChainlitContextException, context
from chainlit.session import HTTPSession

from chainlit_dynamodb.arguments import dict_of, id_of
from chainlit_dynamodb.chat.elements import Content
from chainlit_dynamodb.chat.transcript import FAVORITE

if TYPE_CHECKING:
    from chainlit.element import Element
    from chainlit.step import StepDict

_READ_NOW_BYTES: Final = 32 * 1024 * 1024


def session_user() -> Any:
    """Give the user of the current session; `None` without login or without a session."""
    try:
        return context.session.user
    except ChainlitContextException:
        return None


def session_user_id() -> str | None:
    """Give the id of the current session's user, if it has been stored; else its identifier."""
    user = session_user()
    return getattr(user, "id", None) or getattr(user, "identifier", None)


def session_thread_id() -> str:
    """Give the thread of the current session."""
    return str(context.session.thread_id)


def is_without_browser() -> bool:
    """Tell whether the current session is a bot's: Slack, Teams, Discord, or an HTTP call."""
    return isinstance(context.session, HTTPSession)


def step_fields(step_dict: StepDict) -> dict[str, Any]:
    """Copy a step and name its thread.

    The favourite flag is left out: a message in memory keeps it after it was taken away, and `set_step_favorite`
    is told it anyway.
    """
    fields = dict_of(step_dict) or {}
    if fields.get("metadata") is not None:
        fields["metadata"] = {k: v for k, v in step_metadata(fields).items() if k != FAVORITE}
    return {**fields, **_ids(fields)}


def _ids(fields: dict[str, Any]) -> dict[str, str]:
    thread_id = fields.get("threadId") or session_thread_id()
    return {"id": id_of(fields.get("id")), "threadId": id_of(thread_id)}


def step_metadata(step: Any) -> dict[str, Any]:
    """Give the metadata of a step; a browser may have sent anything in its place."""
    metadata = step.get("metadata") if isinstance(step, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def element_fields(element: Element) -> dict[str, Any]:
    """Copy an element, name its thread, and drop keys of files: a browser may have sent them."""
    fields = dict_of(element.to_dict()) or {}
    fields |= _ids(fields)
    for file_key in ("chainlitKey", "objectKey"):
        fields.pop(file_key, None)
    return fields


async def element_content(element: Element) -> Content | None:
    """Take what an element holds, for elements that have a file of their own.

    A bot's file is read now, unless it is large: Chainlit deletes it right after the turn, and the write may wait.
    """
    if element.type == "custom":  # its content is its props
        return None
    if element.content:
        return bytes(element.content) if isinstance(element.content, bytearray) else element.content
    path = Path(element.path) if element.path else None
    return await asyncio.to_thread(_read_small, path) if path and is_without_browser() else path


def _read_small(path: Path) -> Content:
    try:
        return path.read_bytes() if path.stat().st_size <= _READ_NOW_BYTES else path
    except OSError:
        return path  # the upload will say so
