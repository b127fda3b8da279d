"""AES-256-GCM, by `cryptography`, which is an optional package."""

from __future__ import annotations

import os
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from chainlit_dynamodb.dynamodb.packing import KEY_ID_BYTES
from chainlit_dynamodb.errors import CipherError, MissingDependencyError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
"""Drawn at random: a key may seal four thousand million values."""


class AesKey:
    """A key that seals bytes and opens them.

    Attributes:
        secret: The key itself.
        id: Tells it from others, and nothing else of it.
    """

    def __init__(self, secret: bytes) -> None:
        """Take the secret.

        Raises:
            CipherError: It has not 32 bytes.
            MissingDependencyError: cryptography is not installed.
        """
        if len(secret) != KEY_BYTES:
            raise CipherError(f"A key must have {KEY_BYTES} bytes, and this one has {len(secret)}.")
        self.secret = secret
        self.id = blake2b(secret, digest_size=KEY_ID_BYTES, person=b"key id").digest()
        aes, self._refusal = cryptography()
        self._aes = aes(secret)

    @classmethod
    def new(cls) -> AesKey:
        """Draw a key."""
        return cls(os.urandom(KEY_BYTES))

    def seal(self, content: bytes, place: bytes) -> bytes:
        """Return content sealed for a place: it opens nowhere else."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aes.encrypt(nonce, content, place)

    def open(self, sealed: bytes, place: bytes) -> bytes | None:
        """Return what was sealed for a place; `None` if it was changed, moved, or sealed with another key."""
        try:
            return self._aes.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
        except (self._refusal, ValueError):  # the latter for what is too short for a nonce
            return None


@lru_cache
def cryptography() -> tuple[type[AESGCM], type[Exception]]:
    """Return AES-GCM, and what it raises where it refuses to open.

    Raises:
        MissingDependencyError: cryptography is not installed.
    """
    try:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an optional package
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
    except ImportError as exc:
        raise MissingDependencyError("cryptography", "kms") from exc
    return AESGCM, InvalidTag
