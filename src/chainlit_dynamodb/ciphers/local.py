"""A master key in a file, for development: whoever reads the file reads the chats."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from pathlib import Path

from chainlit_dynamodb.ciphers.aes import AesKey, cryptography
from chainlit_dynamodb.errors import CipherError
from chainlit_dynamodb.secret_file import make_once

logger = logging.getLogger("chainlit.DynamoDB")


class LocalKeys:
    """Wraps keys with a master key in a file, which is made at the first use. For development.

    The file holds a key in base64 on each line. The first one wraps, all of them unwrap: a new line on top is a new
    master key.
    """

    def __init__(self, path: str | Path, *, key_table: str | None = None) -> None:
        """Name the file.

        Args:
            path: The file; its folder must be there.
            key_table: The table that holds the wrapped keys; `None` for the table of the chats.

        Raises:
            MissingDependencyError: cryptography is not installed.
        """
        cryptography()
        self.key_table = key_table
        self._path = Path(path)
        self._masters: list[AesKey] | None = None
        logger.warning("LocalKeys is for development: whoever reads %s reads the chats", path)

    async def new_key(self, owner: str) -> tuple[bytes, bytes]:
        """Return a new key, and the same wrapped. Cost: none."""
        key = AesKey.new()
        return key.secret, (await self._keys())[0].seal(key.secret, _place(owner))

    async def unwrap(self, wrapped: bytes, owner: str) -> bytes:
        """Return a key.

        Raises:
            CipherError: No key of the file has wrapped it, for this user.

        Cost: none.
        """
        for master in await self._keys():
            if (secret := master.open(wrapped, _place(owner))) is not None:
                return secret
        raise CipherError(f"No key in {self._path} opens the key of user {owner!r}. Was the file made anew?")

    async def rewrap(self, wrapped: bytes, owner: str) -> bytes:
        """Return the same key, wrapped with the file's first. Cost: none."""
        return (await self._keys())[0].seal(await self.unwrap(wrapped, owner), _place(owner))

    async def close(self) -> None:
        """Forget the file's keys."""
        self._masters = None

    async def _keys(self) -> list[AesKey]:
        if self._masters is None:
            self._masters = await asyncio.to_thread(_masters_in, self._path)
        return self._masters


def _place(owner: str) -> bytes:
    return f"user\0{owner}".encode()


def _masters_in(path: Path) -> list[AesKey]:
    try:
        if not path.exists():
            make_once(path, base64.b64encode(AesKey.new().secret) + b"\n")
        lines = path.read_text("ascii").split()
        masters = [AesKey(base64.b64decode(line, validate=True)) for line in lines]
    except (OSError, UnicodeDecodeError, binascii.Error) as exc:
        raise CipherError(f"No key could be read from {path}, nor made there: {type(exc).__name__}") from exc
    if not masters:
        raise CipherError(f"There is no key in {path}.")
    return masters
