"""Who is asking: the user, thread and kind of the current Chainlit session, or the user of the HTTP request."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final, NamedTuple

from chainlit import auth
from chainlit.context import ChainlitContext, ChainlitContextException, context_var
from chainlit.session import BaseSession, HTTPSession, WebsocketSession
from chainlit.user import PersistedUser, User

from chainlit_dynamodb.chat.owners import Asker
from chainlit_dynamodb.errors import TransientError

_SESSION_ENTRIES: Final = frozenset({"chat_profile", "chat_settings", "client_type"})
"""What Chainlit puts into the metadata of every session (`session.to_persistable`)."""
_SHARING_ENTRIES: Final = frozenset({"is_shared", "shared_at"})
_AUTHENTICATION: Final = getattr(getattr(auth, "authenticate_user", None), "__code__", None)
"""What reads the user of each HTTP request."""


class _Request(NamedTuple):
    """An HTTP request, or whatever else reads a user.

    Attributes:
        names: Of the user.
        is_authenticated: Chainlit itself has read the user, for a request.
        before: The context of Chainlit's that was there when it did: an earlier request's.
    """

    names: frozenset[str]
    is_authenticated: bool
    before: ChainlitContext | None


_request: ContextVar[_Request | None] = ContextVar("request", default=None)


def _session() -> BaseSession | None:
    """Return the session that asks, or `None`: an HTTP route, or the app.

    A server may run a request in the context of an earlier one on the same connection, as uvicorn does after a large
    body. The session that a route has left there (`PUT /project/element`) is not the next one's.
    """
    found, request = context_var.get(None), _request.get()
    is_left_over = request is not None and request.is_authenticated and found is request.before
    return None if found is None or is_left_over else found.session


def _required_session() -> BaseSession:
    session = _session()
    if session is None:
        raise ChainlitContextException
    return session


def current_user() -> User | PersistedUser | None:
    """Return the user of the current session; `None` without login or without a session."""
    session = _session()
    return session.user if session else None


def in_session() -> bool:
    """Return whether a session asks, and no HTTP route: a chat that begins or ends, a bot."""
    return _session() is not None


def waits_for_visitor() -> bool:
    """Return whether the session's visitor has not spoken yet: until then Chainlit holds writes back.

    Raises:
        ChainlitContextException: There is no session.
    """
    session = _required_session()
    return isinstance(session, WebsocketSession) and not session.has_first_interaction


def current_user_id() -> str | None:
    """Return the id of the current session's user, if it has been stored; else its identifier."""
    user = current_user()
    return getattr(user, "id", None) or getattr(user, "identifier", None)


def current_thread_id() -> str:
    """Return the thread of the current session."""
    return str(_required_session().thread_id)


def is_without_browser() -> bool:
    """Return whether the current session is a bot's: Slack, Teams, Discord, or an HTTP call."""
    return isinstance(_required_session(), HTTPSession)


def asker() -> Asker | None:
    """Return who asks for a change: the visitor of a browser session.

    `None` for a bot's session and outside of sessions. There it is Chainlit's routes, which have checked, or the app.
    """
    session = _session()
    if not isinstance(session, WebsocketSession):
        return None
    user = session.user
    return Asker(_names(user.identifier, getattr(user, "id", None)) if user else frozenset())


def asker_of_element(thread_id: str) -> Asker | None:
    """Return who asks for the change of an element: what is nobody's may be touched in the session's thread alone.

    Chainlit itself does not check: a browser names the thread in `PUT /project/element`.

    Args:
        thread_id: The thread that is named.
    """
    person = asker()
    return person and replace(person, may_claim=thread_id == current_thread_id())


def asker_of_feedback() -> Asker | None:
    """Return who gives feedback: the user of the HTTP request, which Chainlit's route does not compare with anything.

    `None` for bots and apps without login.
    """
    request = _request.get()
    return asker() if in_session() or request is None else Asker(request.names)


def note_requester(identifier: str, user_id: str | None = None) -> None:
    """Note whose the current HTTP request is: the user whom Chainlit has authenticated for it.

    Where that cannot be told, it is the one that was read last: a server may run a request in the context of an
    earlier one on the same connection.

    Args:
        identifier: Of the user that is read.
        user_id: The same user's, if it is known.
    """
    known, names = _request.get(), _names(identifier, user_id)
    if _is_authenticating():
        _request.set(_Request(names, True, context_var.get(None)))
    elif known is None or not known.is_authenticated:
        _request.set(_Request(names, False, None))


def _is_authenticating() -> bool:
    """Return whether it is Chainlit that reads a user, for a request: whoever else does so is the app."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not _AUTHENTICATION:
        frame = frame.f_back
    return frame is not None


def _names(*names: str | None) -> frozenset[str]:
    """Return under which names a thread is a user's: migrated ones have an id that is not their identifier."""
    return frozenset(name for name in names if name)


def without_sharing(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    """Leave out of a session's own metadata whether its thread is shared.

    A session has it from when it was resumed, and tells it when it ends (`socket.persist_user_session`): the owner
    may have taken the share back since.
    """
    if metadata is None or not in_session() or not metadata.keys() >= _SESSION_ENTRIES:
        return metadata
    return {name: value for name, value in metadata.items() if name not in _SHARING_ENTRIES}


async def owner_of_new_thread(thread_id: str, stored: Callable[[str], Awaitable[PersistedUser | None]]) -> str | None:
    """Return the id of who owns a new thread when Chainlit could not say: it had failed to read the session's user.

    Args:
        thread_id: The thread; `None` is the answer for others than the session's.
        stored: Reads a user by the identifier.

    Cost: what `stored` costs.
    """
    user = current_user()
    if user is None or isinstance(user, PersistedUser) or current_thread_id() != thread_id:
        return None
    try:
        found = await stored(user.identifier)
    except TransientError:  # the id is the identifier, but for users that were migrated; else it is nobody's thread
        found = None
    return found.id if found else user.identifier


def identifier_in_session(user_id: str | None) -> str | None:
    """Return the identifier of a user id, if it is the session's user."""
    user = current_user()
    return user.identifier if user is not None and getattr(user, "id", None) == user_id else None
