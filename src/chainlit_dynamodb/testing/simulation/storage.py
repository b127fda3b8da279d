"""Where files are: slow and failing, shared by all processes."""

# ruff: noqa: ARG002

from __future__ import annotations

import asyncio
from typing import Any, Final

from chainlit_dynamodb.errors import TransientStorageError
from chainlit_dynamodb.testing.simulation.fates import Fates

_BUSY_RATE: Final = 0.6
"""So many of its failures pass, and say so."""


class StorageTroubleError(Exception):
    """The storage did not do it, or so it seems."""


class Bucket:
    """Files by key, and what goes wrong on the way to them.

    Attributes:
        files: The contents.
        is_healed: Nothing goes wrong any more.
    """

    def __init__(self, fates: Fates) -> None:
        """Start empty."""
        self.files: dict[str, bytes] = {}
        self.is_healed = False
        self.fates = fates


class SimulatedStorage:
    """The storage provider of one process."""

    def __init__(self, bucket: Bucket, slot: str) -> None:
        """Take the bucket."""
        self._bucket = bucket
        self._slot = slot

    async def upload_file(
        self,
        object_key: str,
        data: bytes | str,
        mime: str = "application/octet-stream",
        overwrite: bool = True,
        content_disposition: str | None = None,
    ) -> dict[str, Any]:
        """Store a file."""
        content = data if isinstance(data, bytes) else data.encode()
        await self._wait("upload", object_key, "storage failure")
        self._bucket.files[object_key] = content
        await self._wait("uploaded", object_key, "storage lost answer")
        return {"object_key": object_key, "url": f"https://files/{object_key}"}

    async def delete_file(self, object_key: str) -> bool:
        """Delete a file."""
        await self._wait("delete", object_key, "storage failure")
        self._bucket.files.pop(object_key, None)
        await self._wait("deleted", object_key, "storage failure")
        return True

    async def get_read_url(self, object_key: str) -> str:
        """Return where the file is."""
        return f"https://files/{object_key}"

    async def close(self) -> None:
        """Do nothing."""

    async def _wait(self, what: str, object_key: str, fault: str) -> None:
        fate = self._bucket.fates.draw(f"{self._slot} storage {what} {object_key}")
        healed = self._bucket.is_healed
        is_slow = not healed and self._bucket.fates.strikes(fate, 1, "slow storage")
        await asyncio.sleep(fate.between(2, 0.5, 40.0) if is_slow else 0.02 * fate.draws[2])
        if not self._bucket.is_healed and self._bucket.fates.strikes(fate, 3, fault):
            raise TransientStorageError(what) if fate.chance(0, _BUSY_RATE) else StorageTroubleError(what)
