"""A secret in a file of its own, made once, for its owner's eyes only."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from chainlit_dynamodb.errors import StorageError

MIN_SECRET_BYTES: Final = 32


def kept_secret(path: Path) -> bytes:
    """Read a secret, making it first if there is none yet.

    Args:
        path: Its file, in a folder that is there.

    Returns:
        The same bytes in every process.

    Raises:
        StorageError: What the file holds is too short to be a secret.
        OSError: The disk refused.
    """
    with suppress(FileNotFoundError):
        return _checked(path)
    make_once(path, secrets.token_hex(MIN_SECRET_BYTES).encode())
    return _checked(path)


def make_once(path: Path, secret: bytes) -> None:
    """Make a file that only its owner reads, unless there is one. It is on the disk before anybody can find it.

    Raises:
        OSError: The disk refused.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        _write_synced(draft, secret)
        # Of several processes that start together, one links its draft and the others read that one.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _checked(path: Path) -> bytes:
    secret = path.read_bytes()
    if len(secret) < MIN_SECRET_BYTES:
        raise StorageError(f"{path} is too short to be a secret; delete it, and a new one is made")
    return secret


def _write_synced(path: Path, secret: bytes) -> None:
    """Write a file that is on the disk, and nobody else's to read, before anybody can find it."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # elsewhere folders cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
