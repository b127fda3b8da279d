"""Where files wait to be stored: on disk if their session could delete them, or if memory holds enough already."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from chainlit_dynamodb.chat.changes import Content, File

IN_MEMORY_BYTES: Final = 16 * 1024 * 1024
"""So much may wait in memory; what is more goes to the disk before it waits for anything."""


class WaitingRoom:
    """Keeps the contents of files until they are stored, in a folder nobody else may open."""

    def __init__(self) -> None:
        """Open nothing."""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files: dict[int, File] = {}

    @asynccontextmanager
    async def kept(self, file: File) -> AsyncIterator[None]:
        """Keep a file as long as the block: Chainlit deletes those of a session with it, the write may wait."""
        self._files[id(file)] = file
        try:
            if isinstance(file.content, Path) or self._held_bytes() > IN_MEMORY_BYTES:
                await self.keep(file)
            yield
        finally:
            del self._files[id(file)]
            if file.is_kept and isinstance(file.content, Path):
                await asyncio.to_thread(file.content.unlink, missing_ok=True)

    async def keep(self, file: File) -> None:
        """Let a file have its content here from now on; without room on the disk, it stays where it is."""
        if not file.is_kept:
            with suppress(OSError):
                file.content = await asyncio.to_thread(_brought, file.content, self._path())
                file.is_kept = True

    async def close(self) -> None:
        """Give the disk back its room."""
        folder, self._folder = self._folder, None
        if folder is not None:
            await asyncio.to_thread(folder.cleanup)

    def _held_bytes(self) -> int:
        return sum(len(file.content) for file in self._files.values() if not isinstance(file.content, Path))

    def _path(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="chainlit-dynamodb-")
        return Path(self._folder.name)


def _brought(content: Content, folder: Path) -> Path:
    """Link or write a content into a folder."""
    descriptor, name = tempfile.mkstemp(dir=folder)
    os.close(descriptor)
    path = Path(name)
    try:
        if isinstance(content, Path):
            path.unlink()
            _link_or_copy(content, path)
        else:
            path.write_bytes(content.encode("utf-8", "replace") if isinstance(content, str) else content)
    except BaseException:  # a full disk gets its room back; raised again
        path.unlink(missing_ok=True)
        raise
    return path


def _link_or_copy(original: Path, path: Path) -> None:
    """A link costs nothing, but not all file systems have them, nor do they reach from one to another."""
    try:
        os.link(original, path)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(original, path)
