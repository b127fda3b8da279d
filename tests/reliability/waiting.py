"""What tests of chores wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from chainlit_dynamodb import LocalStorageClient


def files_of(storage: LocalStorageClient) -> list[str]:
    """Give the names of all files."""
    return [path.name for path in (storage.path / "files").rglob("*.json")]


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait five seconds for a condition."""
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0.05)
    assert condition()
