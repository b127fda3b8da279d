"""Who is asking: the user, thread and kind of the current Chainlit session, or the user of the HTTP request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final

from chainlit.context import ChainlitContextException, context
from chainlit.session import HTTPSession, WebsocketSession
from chainlit.user import PersistedUser, User

from chainlit_dynamodb.chat.owners import Asker
from chainlit_dynamodb.errors import TransientError

_SESSION_ENTRIES: Final = frozenset({"chat_profile", "chat_settings", "client_type"})
"""What Chainlit puts into the metadata of every session (`session.to_persistable`)."""
_SHARING_ENTRIES: Final = frozenset({"is_shared", "shared_at"})


_requester: ContextVar[frozenset[str] | None] = ContextVar("requester", default=None)


def current_user() -> User | PersistedUser | None:
    """Return the user of the current session; `None` without login or without a session."""
    try:
        return context.session.user
    except ChainlitContextException:
        return None


def in_session() -> bool:
    """Return whether a session asks, and no HTTP route: a chat that begins or ends, a bot."""
    try:
        return context.session is not None
    except ChainlitContextException:
        return False


def waits_for_visitor() -> bool:
    """Return whether the session's visitor has not spoken yet: until then Chainlit holds writes back.

    Raises:
        ChainlitContextException: There is no session.
    """
    session = context.session
    return isinstance(session, WebsocketSession) and not session.has_first_interaction


def current_user_id() -> str | None:
    """Return the id of the current session's user, if it has been stored; else its identifier."""
    user = current_user()
    return getattr(user, "id", None) or getattr(user, "identifier", None)


def current_thread_id() -> str:
    """Return the thread of the current session."""
    return str(context.session.thread_id)


def is_without_browser() -> bool:
    """Return whether the current session is a bot's: Slack, Teams, Discord, or an HTTP call."""
    return isinstance(context.session, HTTPSession)


def asker() -> Asker | None:
    """Return who asks for a change: the visitor of a browser session.

    `None` for a bot's session and outside of sessions. There it is Chainlit's routes, which have checked, or the app.
    """
    session = context.session if in_session() else None
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
    names = _requester.get()
    return asker() if in_session() or names is None else Asker(names)


def note_requester(identifier: str, user_id: str | None = None) -> None:
    """Note whose the current HTTP request is: the user that was read last in it (`auth.authenticate_user`).

    Not the first: a server may run a request in the context of an earlier one on the same connection, as uvicorn does
    after a large body, so what is there already may be another request's.

    Args:
        identifier: The user's.
        user_id: The same user's, if it is known.
    """
    _requester.set(_names(identifier, user_id))


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
