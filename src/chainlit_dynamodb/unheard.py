"""Failures that nobody waits for: they are said elsewhere, or do not matter any more."""

from __future__ import annotations

import asyncio
from typing import Any


def leave_unheard(done: asyncio.Future[Any]) -> None:
    """Keep asyncio quiet about the failure of what is done; may be added as a callback."""
    if not done.cancelled():
        done.exception()
