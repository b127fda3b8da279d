"""Marks for the methods of the data layer: when they run, and who hears of their failures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from chainlit.data.utils import queue_until_user_message

from chainlit_dynamodb.errors import ChainlitDynamoDBError, InvalidIdError

logger = logging.getLogger("chainlit.DynamoDB")

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
        await held_back(*args, **kwargs)

    return ordered


def in_background(method: Method[P]) -> Method[P]:
    """Turn a failure into one line of the log; nobody is there to catch it.

    A refusal by the table is logged by the write path already, with the ids.
    """

    @wraps(method)
    async def quiet(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            await method(*args, **kwargs)
        except InvalidIdError as exc:
            logger.warning("%s: not stored: %s", method.__name__, exc)
        except ChainlitDynamoDBError as exc:
            logger.debug("%s: %s", method.__name__, exc)
        except Exception as exc:  # noqa: BLE001 - what it was given is no step or element; its text may be content
            logger.error("%s: not stored: %s", method.__name__, type(exc).__name__)

    return quiet


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
