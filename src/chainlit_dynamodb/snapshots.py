"""What a Chainlit step or element is at this moment: Chainlit goes on changing them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chainlit_dynamodb.arguments import dict_of, id_of
from chainlit_dynamodb.chat.changes import Content
from chainlit_dynamodb.schema import CHAINLIT_KEY, FAVORITE, ID, METADATA, OBJECT_KEY, THREAD_ID
from chainlit_dynamodb.session import current_thread_id, is_without_browser

if TYPE_CHECKING:
    from chainlit.element import Element
    from chainlit.step import StepDict

_READ_NOW_BYTES: Final = 32 * 1024 * 1024


def step_fields(step_dict: StepDict) -> dict[str, Any]:
    """Return a copy of a step that names its thread.

    The favourite flag is left out: a message in memory keeps it after it was taken away, and `set_step_favorite`
    is told it anyway.
    """
    fields = dict_of(step_dict) or {}
    if fields.get(METADATA) is not None:
        fields[METADATA] = {name: value for name, value in step_metadata(fields).items() if name != FAVORITE}
    return {**fields, **_ids(fields)}


def _ids(fields: Mapping[str, Any]) -> dict[str, str]:
    thread_id = fields.get(THREAD_ID) or current_thread_id()
    return {ID: id_of(fields.get(ID)), THREAD_ID: id_of(thread_id)}


def step_metadata(step: object) -> dict[str, Any]:
    """Return the metadata of a step; a browser may have sent anything in its place."""
    metadata = step.get(METADATA) if isinstance(step, Mapping) else None
    return metadata if isinstance(metadata, dict) else {}


def element_fields(element: Element) -> dict[str, Any]:
    """Return a copy of an element that names its thread, without keys of files: a browser may have sent them."""
    fields = dict_of(element.to_dict()) or {}
    fields |= _ids(fields)
    for file_key in (CHAINLIT_KEY, OBJECT_KEY):
        fields.pop(file_key, None)
    return fields


async def element_content(element: Element) -> Content | None:
    """Return what an element holds, for elements that have a file of their own.

    A bot's file is read now, unless it is large: Chainlit deletes it right after the turn, and the write may wait.
    """
    if element.type == "custom":  # its content is its props
        return None
    if element.content:
        content: Any = element.content  # code may put anything here
        return bytes(content) if isinstance(content, bytearray) else content
    path = Path(element.path) if element.path else None
    return await asyncio.to_thread(_read_small, path) if path and is_without_browser() else path


def _read_small(path: Path) -> Content:
    try:
        return path.read_bytes() if path.stat().st_size <= _READ_NOW_BYTES else path
    except OSError:
        return path  # the upload will say so
