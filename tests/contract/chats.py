"""What Chainlit does around its data layer: sessions, messages, pages; and what every answer must be."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from chainlit import auth
from chainlit.context import ChainlitContext, context_var
from chainlit.element import CustomElement
from chainlit.session import HTTPSession, WebsocketSession
from chainlit.types import Feedback, Pagination, ThreadFilter
from chainlit.user import PersistedUser, User

from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.testing.engines import DYNAMODB_LOCAL, MINISTACK

GIVEN_CLIENT = "given-client"
SEALED = "sealed"
ALICE = PersistedUser(id="alice", createdAt="2026-01-01T00:00:00.000000Z", identifier="alice")
BOB = PersistedUser(id="bob", createdAt="2026-01-01T00:00:00.000000Z", identifier="bob")


def person(user_id: str) -> PersistedUser:
    """Give a user."""
    return PersistedUser(id=user_id, createdAt=ALICE.createdAt, identifier=user_id)


_tokens: ContextVar[tuple[Any, ...]] = ContextVar("tokens")
_serving: ContextVar[Any] = ContextVar("serving")
one_engine = pytest.mark.parametrize("backend", [DYNAMODB_LOCAL], indirect=True)
"""For what does not depend on the engine: DynamoDB Local alone."""
unsealed = pytest.mark.parametrize("backend", [DYNAMODB_LOCAL, MINISTACK, GIVEN_CLIENT], indirect=True)
"""For what looks at content in the table, or counts requests."""
sealed_only = pytest.mark.parametrize("backend", [SEALED], indirect=True)
"""For what is about content that is sealed."""
INTERNAL = frozenset({"PK", "SK", "UserThreadPK", "UserThreadSK", "deletedAt"})


async def _ignore(*_: Any) -> None:
    return None


_EMIT: Any = _ignore
"""Chainlit awaits it, and types it as a plain function."""


def enter_chat(thread_id: str, user: Any = ALICE, *, spoken: bool = True) -> WebsocketSession:
    """Be in a chat in a browser, from here on."""
    session = WebsocketSession(
        id=str(uuid.uuid4()),
        socket_id=str(uuid.uuid4()),
        emit=_EMIT,
        emit_call=_ignore,
        user_env={},
        client_type="webapp",
        thread_id=thread_id,
        user=user,
    )
    session.has_first_interaction = spoken
    _enter(session)
    return session


def enter_bot(thread_id: str, user: Any = ALICE) -> HTTPSession:
    """Be in a chat of Teams, Discord or Slack, from here on."""
    session = HTTPSession(id=str(uuid.uuid4()), client_type="teams", thread_id=thread_id, user=user)
    _enter(session)
    return session


def leave() -> None:
    """Be outside of any session, as HTTP routes are."""
    for token in reversed(_tokens.get(())):
        context_var.reset(token)
    _tokens.set(())


def _enter(session: Any) -> None:
    _tokens.set((*_tokens.get(()), context_var.set(ChainlitContext(session))))


def answer_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Chainlit authenticate requests whose cookie is the user's name."""
    monkeypatch.setattr(auth, "decode_jwt", User)
    monkeypatch.setattr(auth, "get_data_layer", _serving.get)


async def authenticate(layer: Any, identifier: str) -> Any:
    """Authenticate the current request, as Chainlit does first in each."""
    _serving.set(layer)
    return await auth.authenticate_user(identifier)


def message(step_id: str, thread_id: Any = "t1", **fields: Any) -> Any:
    """Give a message as Chainlit hands it over."""
    return {
        "id": step_id,
        "threadId": thread_id,
        "parentId": None,
        "createdAt": "2026-11-01T10:00:00.000000Z",
        "start": "2026-11-01T10:00:00.000000Z",
        "end": "2026-11-01T10:00:00.000000Z",
        "output": "hello",
        "name": "alice",
        "type": "user_message",
        "language": None,
        "streaming": False,
        "isError": False,
        "waitForAnswer": False,
        "metadata": {},
        "tags": None,
        "command": None,
        "modes": None,
        **fields,
    }


def tool(step_id: str, thread_id: Any = "t1", **fields: Any) -> Any:
    """Give a tool step as Chainlit hands it over."""
    return {
        "id": step_id,
        "threadId": thread_id,
        "parentId": None,
        "createdAt": "2026-11-01T10:00:01.000000Z",
        "start": "2026-11-01T10:00:01.000000Z",
        "end": "2026-11-01T10:00:02.000000Z",
        "input": "",
        "output": "",
        "name": "search",
        "type": "tool",
        "language": None,
        "streaming": False,
        "isError": False,
        "waitForAnswer": False,
        "metadata": {},
        "tags": None,
        "showInput": "json",
        "defaultOpen": False,
        "autoCollapse": False,
        "generation": None,
        **fields,
    }


async def start_thread(layer: Any, thread_id: str = "t1", *, name: str = "a chat", user_id: str = "alice") -> None:
    """Name a thread and give it its owner, as the first message does; be in its chat from here on."""
    enter_chat(thread_id, person(user_id))
    await layer.update_thread(thread_id, name=name, user_id=user_id)


async def page_of(layer: Any, *, first: int = 35, cursor: str | None = None, **filters: Any) -> Any:
    """List Alice's threads, or whose `userId` says."""
    wanted = ThreadFilter(**{"userId": "alice", **filters})
    return await layer.list_threads(Pagination(first=first, cursor=cursor), wanted)


async def listed(layer: Any, **options: Any) -> list[str]:
    """Give the ids of a page."""
    return ids((await page_of(layer, **options)).data)


async def walk(layer: Any, **options: Any) -> list[list[str]]:
    """Give the ids of all pages, one list a page."""
    pages, cursor = [], None
    while True:
        page = await page_of(layer, cursor=cursor, **options)
        pages.append(ids(page.data))
        if not page.pageInfo.hasNextPage:
            assert page.pageInfo.endCursor is None
            return pages
        cursor = page.pageInfo.endCursor
        assert isinstance(cursor, str)


def ids(things: Iterable[Any]) -> list[str]:
    """Give the ids of threads, steps or elements."""
    return [thing["id"] for thing in things]


async def steps_of(layer: Any, thread_id: str = "t1") -> dict[str, Any]:
    """Give the steps of a thread by id."""
    thread = await layer.get_thread(thread_id)
    return {step["id"]: step for step in thread["steps"]}


def chart(element_id: str = "e1", thread_id: str = "t1") -> Any:
    """Give an element of a message that needs no file."""
    return CustomElement(id=element_id, name="Chart", props={"n": 1}, for_id="s1", thread_id=thread_id)


async def alices_chat(layer: Any) -> None:
    """Store a chat of Alice's with a message, an element, feedback and a favourite; be outside of it."""
    await start_thread(layer, name="hers")
    await layer.create_step(message("s1"))
    await layer.create_element(chart())
    await layer.upsert_feedback(Feedback("s1", 1, "t1", comment="well said"))
    await layer.set_step_favorite(message("s1"), True)
    leave()
    for user in ("alice", "mallory"):
        await layer.create_user(User(user))


def go_on(monkeypatch: pytest.MonkeyPatch, *, minutes: int) -> None:
    """Let so much time pass for what the layer notes as the time."""
    monkeypatch.setattr(clock, "_last", datetime.now(timezone.utc) + timedelta(minutes=minutes))


def living(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the raw rows that are no tombstones of steps and elements."""
    return [row for row in rows if "_buriedAt" not in row]


def stored(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the raw rows that are more than tombstones, or announcements of files that have not arrived."""
    return [row for row in living(rows) if "_announcedAt" not in row or "type" in row]


def keys_of(rows: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """Give the keys of raw rows that are no tombstones of steps and elements."""
    return [(row["PK"]["S"], row["SK"]["S"]) for row in living(rows)]


def assert_clean(value: Any) -> None:
    """Fail unless a browser may see it: plain JSON without NaN, and no attribute of the table."""
    json.dumps(value, allow_nan=False)
    _assert_no_internal_key(value)


def _assert_no_internal_key(value: Any) -> None:
    if isinstance(value, dict):
        internal = [key for key in value if key in INTERNAL or key.startswith("_")]
        assert not internal, f"internal keys: {internal}"
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _assert_no_internal_key(child)
