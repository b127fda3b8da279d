"""Marks for the methods of the data layer: when they run, and who hears of their failures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final, ParamSpec, Protocol, TypeVar, cast

from chainlit.data.utils import queue_until_user_message
from chainlit.types import PageInfo, PaginatedResponse, ThreadDict
from chainlit.user import PersistedUser

from chainlit_dynamodb.errors import ChainlitDynamoDBError, InvalidIdError
from chainlit_dynamodb.patience import AWAITED_SECONDS, Patience
from chainlit_dynamodb.session import note_requester, waits_for_visitor

logger = logging.getLogger("chainlit.DynamoDB")

_SHOWN_ID_CHARS: Final = 100

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")


class Patient(Protocol):
    """What keeps callers waiting: the data layer."""

    patience: Patience


class Stamper(Protocol):
    """What makes stamps: the data layer."""

    def next_stamp(self) -> str:
        """Return a stamp that is later than all before."""


Method = Callable[P, Coroutine[Any, Any, None]]


def queued(method: Method[P]) -> Method[P]:
    """Hold a write back until the visitor speaks, and note when it was asked for.

    Chainlit's mark on its base class does nothing for overrides. What it holds back comes after what was asked for
    later; so the call is given a `stamp` before it waits. Other calls have none: they are asked for when they begin.
    """
    held_back = queue_until_user_message()(method)

    @wraps(method)
    async def ordered(*args: P.args, **kwargs: P.kwargs) -> None:
        is_early = waits_for_visitor()
        if is_early:
            stamper: Stamper = cast("Stamper", args[0])
            kwargs.setdefault("stamp", stamper.next_stamp())
        call = held_back(*args, **kwargs) if is_early else method(*args, **kwargs)
        del args, kwargs  # what is written may be large, and waits with the write path alone
        await call

    return ordered


def in_background(method: Method[P]) -> Method[P]:
    """Turn a failure into one line of the log; nobody is there to catch it.

    What the write path refuses it has logged already.
    """

    @wraps(method)
    async def quiet(*args: P.args, **kwargs: P.kwargs) -> None:
        call, subject = method(*args, **kwargs), _id_of(*args[1:2])
        del args, kwargs
        try:
            await call
        except InvalidIdError as exc:
            logger.warning("%s: not stored: %s", method.__name__, exc)
        except ChainlitDynamoDBError as exc:
            level = logging.DEBUG if exc.is_logged else logging.ERROR
            logger.log(level, "%s: not stored: %s: %s", method.__name__, subject, exc)
        except Exception as exc:  # noqa: BLE001 - what it was given is no step or element; its text may be content
            logger.error("%s: not stored: %s", method.__name__, type(exc).__name__)

    return quiet


def _id_of(subject: Any = None) -> str:
    """Return the id of a step or an element, for the log."""
    found = subject.get("id") if isinstance(subject, dict) else getattr(subject, "id", subject)
    return found[:_SHOWN_ID_CHARS] if isinstance(found, str) else "?"


def in_a_request(
    method: Callable[P, Coroutine[Any, Any, PersistedUser | None]],
) -> Callable[P, Coroutine[Any, Any, PersistedUser | None]]:
    """Note whose the HTTP request is that reads a user, in the task of the request itself.

    Before the read, so that one that fails leaves nobody else's name in the context; after it with the id, too.
    """

    @wraps(method)
    async def noting(*args: P.args, **kwargs: P.kwargs) -> PersistedUser | None:
        given = kwargs.get("identifier", args[-1])
        identifier = given if isinstance(given, str) else ""
        note_requester(identifier)
        user = await method(*args, **kwargs)
        note_requester(identifier, user.id if user else None)
        return user

    return noting


def awaited(
    method: Callable[P, Coroutine[Any, Any, T]], *, seconds: float = AWAITED_SECONDS
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let a method end in time, for somebody awaits it: with a clear error, if need be.

    It begins a moment after it was called: what copies its arguments or takes its place in an order waits by itself.
    """

    @wraps(method)
    async def ending(*args: P.args, **kwargs: P.kwargs) -> T:
        patience = cast("Patient", args[0]).patience
        return await patience.in_time(method.__name__, method(*args, **kwargs), seconds)

    return ending


def missing_if_impossible(
    answer: Callable[[], D], *, level: int = logging.DEBUG
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T | D]]]:
    """Let a method answer as for what is missing, where an id cannot be part of a key: nothing is stored under it.

    Args:
        answer: Makes the answer.
        level: At which level of the log this is said: a write that does nothing should be seen.
    """

    def mark(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T | D]]:
        @wraps(method)
        async def answering(*args: P.args, **kwargs: P.kwargs) -> T | D:
            try:
                return await method(*args, **kwargs)
            except InvalidIdError as exc:
                logger.log(level, "%s: nothing is done: %s", method.__name__, exc)
                return answer()

        return answering

    return mark


def no_threads() -> PaginatedResponse[ThreadDict]:
    """Return a page of none."""
    return PaginatedResponse(pageInfo=PageInfo(False, None, None), data=[])


def nothing() -> None:
    """Return `None`: the answer for what is missing."""
