"""Marks for the methods of the data layer: when they run, and who hears of their failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import wraps
from typing import Any, Final, ParamSpec, Protocol, TypeVar, cast

from chainlit.data.utils import queue_until_user_message

from chainlit_dynamodb.errors import ChainlitDynamoDBError, InvalidIdError, TransientError
from chainlit_dynamodb.session import waits_for_visitor

logger = logging.getLogger("chainlit.DynamoDB")

AWAITED_SECONDS: Final = 20.0
"""Somebody waits in front of a browser."""
A_MOMENT_SECONDS: Final = 3.0
"""Chainlit's shutdown waits for the sessions that end, one after the other."""

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")


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

    A refusal by the table is logged by the write path already, with the ids.
    """

    @wraps(method)
    async def quiet(*args: P.args, **kwargs: P.kwargs) -> None:
        call = method(*args, **kwargs)
        del args, kwargs
        try:
            await call
        except InvalidIdError as exc:
            logger.warning("%s: not stored: %s", method.__name__, exc)
        except ChainlitDynamoDBError as exc:
            logger.debug("%s: %s", method.__name__, exc)
        except Exception as exc:  # noqa: BLE001 - what it was given is no step or element; its text may be content
            logger.error("%s: not stored: %s", method.__name__, type(exc).__name__)

    return quiet


async def in_time(what: str, writing: Awaitable[T]) -> T:
    """Wait for a write that somebody awaits, until a clear error is better than to wait on.

    What the write path has taken over by then is tried on.

    Args:
        what: The method, for the message.
        writing: The write.

    Raises:
        TransientError: The table has not taken it.
    """
    try:
        return await asyncio.wait_for(writing, AWAITED_SECONDS)
    except asyncio.TimeoutError as exc:
        raise TransientError(what, "Timeout", "DynamoDB has not taken it yet. Try again.") from exc


async def in_a_moment(writing: Awaitable[None], seconds: float = A_MOMENT_SECONDS) -> None:
    """Wait a moment for what goes on by itself, then leave it.

    Args:
        writing: It goes on though nobody waits for it.
        seconds: How long to wait; by default as long as Chainlit may, where no person does.

    Raises:
        ChainlitDynamoDBError: It failed within that moment.
    """
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(writing, seconds)


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


def nothing() -> None:
    """Return `None`: the answer for what is missing."""
