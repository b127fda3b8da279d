"""Marks for data layer methods that Chainlit starts and never looks at again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

from chainlit.data.utils import queue_until_user_message

from chainlit_dynamodb.errors import ChainlitDynamoDBError, InvalidIdError

logger = logging.getLogger("chainlit.DynamoDB")

M = TypeVar("M", bound=Callable[..., Awaitable[None]])


def queued(method: M) -> M:
    """Hold a write back until the visitor speaks. Chainlit's mark on its base class does nothing for overrides."""
    return queue_until_user_message()(method)  # type: ignore[no-any-return]


def in_background(method: M) -> M:
    """Turn a failure into one line of the log; nobody is there to catch it.

    A refusal by the table is logged by the write path already, with the ids.
    """

    @wraps(method)
    async def quiet(*args: Any, **kwargs: Any) -> None:
        try:
            await method(*args, **kwargs)
        except InvalidIdError as exc:
            logger.warning("%s: not stored: %s", method.__name__, exc)
        except ChainlitDynamoDBError as exc:
            logger.debug("%s: %s", method.__name__, exc)
        except Exception as exc:  # noqa: BLE001 - what it was given is no step or element; its text may be content
            logger.error("%s: not stored: %s", method.__name__, type(exc).__name__)

    return quiet  # type: ignore[return-value]
