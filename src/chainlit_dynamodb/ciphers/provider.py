"""What the data layer needs of whoever wraps its keys."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol


class KeyProvider(Protocol):
    """Makes keys, and wraps them so that they may lie in a table: `KmsKeys`, `LocalKeys`, or one of yours.

    Each user has a key. It is made once, kept wrapped, and unwrapped once in a while by each process. A method raises
    `TransientError` where it may succeed a moment later: it is tried again, as requests to the table are. It raises
    `CipherError` where it will not.
    """

    @property
    def key_table(self) -> str | None:
        """The table that holds the wrapped keys; `None` for the table of the chats."""

    def new_key(self, owner: str) -> Awaitable[tuple[bytes, bytes]]:
        """Return a new key of 32 bytes, and the same wrapped.

        Args:
            owner: The id of its user, which unwrapping it must be given too; "" for chats without an owner.
        """

    def unwrap(self, wrapped: bytes, owner: str) -> Awaitable[bytes]:
        """Return the key."""

    def rewrap(self, wrapped: bytes, owner: str) -> Awaitable[bytes]:
        """Return the same key, wrapped as new ones are: the way out of an old master key."""

    def close(self) -> Awaitable[None]:
        """Let go of what the provider holds."""
