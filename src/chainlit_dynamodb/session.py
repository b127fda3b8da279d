"""Who is asking: the user, thread and kind of the current Chainlit session; and who may touch what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from chainlit.context import ChainlitContextException, context
from chainlit.session import HTTPSession, WebsocketSession
from chainlit.user import PersistedUser, User

from chainlit_dynamodb.errors import TransientError


def session_user() -> User | PersistedUser | None:
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


def session_user_id() -> str | None:
    """Return the id of the current session's user, if it has been stored; else its identifier."""
    user = session_user()
    return getattr(user, "id", None) or getattr(user, "identifier", None)


def session_thread_id() -> str:
    """Return the thread of the current session."""
    return str(context.session.thread_id)


def is_without_browser() -> bool:
    """Return whether the current session is a bot's: Slack, Teams, Discord, or an HTTP call."""
    return isinstance(context.session, HTTPSession)


async def may_touch(thread_id: str, author_of: Callable[[str], Awaitable[str]]) -> bool:
    """Return whether the session may change elements of a thread: its own, or one of its user's.

    Chainlit itself does not check: a browser names the thread in `PUT /project/element`.

    Args:
        thread_id: The thread.
        author_of: Returns the identifier of a thread's owner.

    Cost: what `author_of` costs, for other threads than the session's.
    """
    if thread_id == session_thread_id():
        return True
    user = session_user()
    return user is not None and await author_of(thread_id) == user.identifier


async def owner_of_new_thread(thread_id: str, stored: Callable[[str], Awaitable[PersistedUser | None]]) -> str | None:
    """Return the id of who owns a new thread when Chainlit could not say: it had failed to read the session's user.

    Args:
        thread_id: The thread; `None` is the answer for others than the session's.
        stored: Reads a user by the identifier.

    Cost: what `stored` costs.
    """
    user = session_user()
    if user is None or isinstance(user, PersistedUser) or session_thread_id() != thread_id:
        return None
    try:
        found = await stored(user.identifier)
    except TransientError:  # the id is the identifier, but for users that were migrated; else it is nobody's thread
        found = None
    return found.id if found else user.identifier


def identifier_in_session(user_id: str) -> str | None:
    """Return the identifier of a user id, if it is the session's user."""
    user = session_user()
    return user.identifier if user is not None and getattr(user, "id", None) == user_id else None
