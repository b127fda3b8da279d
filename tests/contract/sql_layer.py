"""Chainlit's SQLAlchemy layer on SQLite, and its answers and ours brought into one form."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from chainlit.data.storage_clients.base import BaseStorageClient

# Chainlit's documented schema, in SQLite's types.
_SCHEMA = """
CREATE TABLE users (
    "id" TEXT PRIMARY KEY, "identifier" TEXT NOT NULL UNIQUE, "metadata" JSON NOT NULL, "createdAt" TEXT);
CREATE TABLE threads (
    "id" TEXT PRIMARY KEY, "createdAt" TEXT, "name" TEXT, "userId" TEXT, "userIdentifier" TEXT, "tags" TEXT,
    "metadata" JSON);
CREATE TABLE steps (
    "id" TEXT PRIMARY KEY, "name" TEXT NOT NULL, "type" TEXT NOT NULL, "threadId" TEXT NOT NULL, "parentId" TEXT,
    "streaming" BOOLEAN NOT NULL, "waitForAnswer" BOOLEAN, "isError" BOOLEAN, "metadata" JSON, "tags" TEXT,
    "input" TEXT, "output" TEXT, "createdAt" TEXT, "command" TEXT, "start" TEXT, "end" TEXT, "generation" JSON,
    "showInput" TEXT, "language" TEXT, "indent" INT, "defaultOpen" BOOLEAN, "autoCollapse" BOOLEAN, "modes" JSON);
CREATE TABLE elements (
    "id" TEXT PRIMARY KEY, "threadId" TEXT, "type" TEXT, "url" TEXT, "chainlitKey" TEXT, "name" TEXT NOT NULL,
    "display" TEXT, "objectKey" TEXT, "size" TEXT, "page" INT, "language" TEXT, "forId" TEXT, "mime" TEXT,
    "props" JSON, "autoPlay" BOOLEAN, "playerConfig" JSON);
CREATE TABLE feedbacks (
    "id" TEXT PRIMARY KEY, "forId" TEXT NOT NULL, "threadId" TEXT NOT NULL, "value" INT NOT NULL, "comment" TEXT);
"""
_STEP_FIELDS = ("id", "threadId", "type", "name", "output", "input", "language", "createdAt", "start", "end")
_FLAGS = ("isError", "waitForAnswer", "streaming")
_ELEMENT_FIELDS = ("id", "threadId", "type", "name", "display", "forId", "mime", "language", "size")


class MemoryStorage(BaseStorageClient):
    """Files in memory."""

    def __init__(self) -> None:
        """Start empty."""
        self.files: dict[str, Any] = {}

    async def upload_file(
        self,
        object_key: str,
        data: Any,
        mime: str = "",
        overwrite: bool = True,
        content_disposition: str | None = None,
    ) -> dict[str, Any]:
        """Keep a file."""
        self.files[object_key] = data
        return {"object_key": object_key, "url": f"memory:{object_key}"}

    async def delete_file(self, object_key: str) -> bool:
        """Drop a file."""
        self.files.pop(object_key, None)
        return True

    async def get_read_url(self, object_key: str) -> str:
        """Give the content itself: what a browser would see."""
        return f"content:{self.files[object_key]}"

    async def close(self) -> None:
        """Keep everything."""


def sql_layer(path: Path, storage: MemoryStorage) -> Any:
    """Make the layer on a new database."""
    from chainlit.data.sql_alchemy import SQLAlchemyDataLayer

    database = sqlite3.connect(path)
    database.executescript(_SCHEMA)
    database.close()
    return SQLAlchemyDataLayer(f"sqlite+aiosqlite:///{path}", storage_provider=storage)


def normal_thread(thread: Any) -> Any:
    """Bring a thread of either layer into one form. What is left out differs, see `docs/differences.md`."""
    if thread is None:
        return None
    step_ids = {step["id"] for step in thread["steps"]}
    return {
        "id": thread["id"],
        "name": thread["name"],  # E1: never taken from the metadata here
        "userIdentifier": thread["userIdentifier"],  # E2: ids of users differ, identifiers do not
        "metadata": _json(thread["metadata"]),  # E3: SQLite gives JSON as text
        "steps": [_normal_step(step, step_ids) for step in thread["steps"]],
        "elements": sorted((_normal_element(e) for e in thread["elements"]), key=lambda element: element["id"]),
    }


def _normal_step(step: Any, step_ids: set[str]) -> Any:
    parent = step.get("parentId")
    feedback = step.get("feedback")
    return {
        **{name: step.get(name) or "" for name in _STEP_FIELDS},
        **{name: bool(step.get(name)) for name in _FLAGS},  # E3
        "parentId": parent if parent in step_ids else None,  # E4: orphans become roots here
        "metadata": _json(step.get("metadata")),
        "generation": _json(step.get("generation")) or None,  # E5: {} instead of None there
        "feedback": {name: feedback[name] for name in ("forId", "value", "comment")} if feedback else None,
    }


def _normal_element(element: Any) -> Any:
    return {**{name: element.get(name) for name in _ELEMENT_FIELDS}, "url": element["url"]}


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
