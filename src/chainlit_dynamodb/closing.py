"""Letting go of what was opened, at the end of the process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Final, Protocol

logger = logging.getLogger("chainlit.DynamoDB")

LET_GO_SECONDS: Final = 1.0


class Closing(Protocol):
    """What can be closed."""

    def close(self) -> Awaitable[None]:
        """Close."""


async def close_all(*parts: Closing | None) -> None:
    """Close parts one after the other, each within a second. Never raises, whatever they do."""
    for part in parts:
        try:
            if part is not None:
                await asyncio.wait_for(part.close(), LET_GO_SECONDS)
        except Exception as exc:  # noqa: BLE001 - the process is ending
            logger.warning("While closing: %s", type(exc).__name__)
