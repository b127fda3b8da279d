"""The folder that keeps what the embedded engine holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from chainlit_dynamodb.errors import ConfigurationError
from chainlit_dynamodb.secret_file import kept_secret


@contextmanager
def locked_folder(folder: Path) -> Iterator[tuple[int, ...]]:
    """Make the folder and hold it alone: two engines would overwrite each other's data.

    Args:
        folder: The folder; it and its parents are made.

    Yields:
        The file descriptors which a child process inherits to hold the folder until it ends too.

    Raises:
        ConfigurationError: The folder cannot be made, or another process holds it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n")
        lock = (folder / "lock").open("a")
    except OSError as error:
        raise ConfigurationError(f"The data folder {folder} cannot be used: {error.strerror}.") from error
    with lock:
        yield _hold(lock, folder)


def private_folder(folder: Path) -> Path:
    """Make a folder, or take it from the eyes of others where an older version has made it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    return folder


def private_file(path: Path) -> IO[bytes]:
    """Open an empty file that nobody else can read."""
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
    path.chmod(0o600)
    return file


def secret_in(folder: Path, name: str) -> str:
    """Return a secret that the folder keeps, made at the first call.

    Args:
        folder: The data folder.
        name: The name of its file.

    Raises:
        StorageError: Its file is damaged.
    """
    return kept_secret(folder / name).decode().strip()


def _hold(lock: IO[str], folder: Path) -> tuple[int, ...]:
    if find_spec("fcntl") is None:  # Windows
        return ()
    import fcntl  # noqa: PLC0415

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ConfigurationError(f"The data folder {folder} is in use by another chainlit-dynamodb.") from error
    return (lock.fileno(),)
