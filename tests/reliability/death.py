"""A process that ends in the middle of what it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from chainlit_dynamodb.testing.transports import Mortal
from tests.wiring import wrap


async def killed(layer: Any, operation: Awaitable[Any], last: int, *, after: bool) -> bool:
    """Do something in a process that dies at its n-th request. Tell whether it died before it was done."""
    others = asyncio.all_tasks()
    mortal = wrap(layer, lambda inner: Mortal(inner, last, after=after))
    task, death = asyncio.ensure_future(operation), asyncio.ensure_future(mortal.dead.wait())
    await asyncio.wait({task, death}, return_when=asyncio.FIRST_COMPLETED)
    begun = asyncio.all_tasks() - others
    for each in begun:
        each.cancel()
    await asyncio.gather(*begun, return_exceptions=True)
    return mortal.dead.is_set()
