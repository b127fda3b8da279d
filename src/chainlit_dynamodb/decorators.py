"""Marks for the methods of the data layer: when they run, and who hears of their failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import wraps
from typing import Any, Final, ParamSpec, Protocol, TypeVar, cast

from chainlit.data.utils import queue_until_user_message
from chainlit.types import PageInfo, PaginatedResponse, ThreadDict
from fastapi import HTTPException

from chainlit_dynamodb.errors import ChainlitDynamoDBError, InvalidIdError, TransientError
from chainlit_dynamodb.patience import A_MOMENT_SECONDS, AWAITED_SECONDS, Patience
from chainlit_dynamodb.session import in_session, note_requester, waits_for_visitor

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
    later; so the call is given a `stamp` before it waits.
    """
    held_back = queue_until_user_message()(method)

    @wraps(method)
    async def ordered(*args: P.args, **kwargs: P.kwargs) -> None:
        stamper: Stamper = cast("Stamper", args[0])
        kwargs.setdefault("stamp", stamper.next_stamp())
        call = held_back(*args, **kwargs) if waits_for_visitor() else method(*args, **kwargs)
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


class UnansweredError(TransientError, HTTPException):
    """Nobody waits any longer. Behind an HTTP route it is an answer, 503 with a message, and no traceback."""

    def __init__(self, what: str, cause: TransientError | None = None) -> None:
        """Name the method, and what went wrong, if that is known."""
        detail = "DynamoDB does not answer. Try again in a moment."
        Exception.__init__(self, f"{what}: {cause or detail}")
        self.operation, self.code = what, cause.code if cause else "Timeout"
        self.status_code, self.detail, self.headers = 503, detail, None

    def __str__(self) -> str:
        """Return the message, as of any other error."""
        return str(self.args[0])


def in_a_request(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Note whose the HTTP request is that reads a user first, in the task of the request itself."""

    @wraps(method)
    async def noting(*args: P.args, **kwargs: P.kwargs) -> T:
        identifier = kwargs.get("identifier", args[-1])
        note_requester(identifier if isinstance(identifier, str) else "")
        return await method(*args, **kwargs)

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
        return await in_time(patience, method.__name__, method(*args, **kwargs), seconds)

    return ending


async def in_time(patience: Patience, what: str, work: Awaitable[T], seconds: float = AWAITED_SECONDS) -> T:
    """Wait for what somebody awaits, until a clear error is better than to wait on.

    Changes that the write path has taken over by then are tried on.

    Args:
        patience: Whether the server stops.
        what: The method, for the message.
        work: A read or a write.
        seconds: How long it may take as a whole, however many requests it is.

    Raises:
        UnansweredError: The table has not answered.
    """
    try:
        return await patience.wait(work, seconds)
    except asyncio.TimeoutError as exc:
        raise UnansweredError(what) from exc
    except TransientError as exc:
        raise UnansweredError(what, exc) from exc


async def in_a_moment(patience: Patience, work: Awaitable[T], seconds: float = A_MOMENT_SECONDS) -> T | None:
    """Wait a moment for what goes on by itself, then leave it.

    Args:
        patience: Whether the server stops.
        work: It goes on though nobody waits for it.
        seconds: How long to wait; by default as long as Chainlit may, where no person does.

    Returns:
        What came of it; `None` if that is not known yet.

    Raises:
        ChainlitDynamoDBError: It failed within that moment.
    """
    with suppress(asyncio.TimeoutError):
        return await patience.wait(work, seconds)
    return None


async def told(patience: Patience, what: str, work: Awaitable[T], seconds: float) -> T | None:
    """Wait for a change that goes on by itself: a moment in a session, where Chainlit waits, else as `in_time` does.

    Returns:
        What came of it; `None` if that is not known yet.
    """
    return await (in_a_moment(patience, work) if in_session() else in_time(patience, what, work, seconds))


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
