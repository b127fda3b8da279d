"""The clients of this process whose files are to be served: clients enter themselves, the route asks them."""

from __future__ import annotations

from typing import Final, Protocol
from weakref import WeakSet

from chainlit_dynamodb.storage.local.folder import LocalFile


class FileServer(Protocol):
    """What the route asks a client."""

    async def accepted_digest(self, token: str) -> str | None:
        """Return the hash of the key that a token opens, `None` if it opens nothing of this client."""

    async def find(self, digest: str) -> LocalFile | None:
        """Return the file with this hash, `None` if there is none."""


_open: Final[WeakSet[FileServer]] = WeakSet()


def serve(client: FileServer) -> None:
    """Let the route serve the files of a client, for as long as it lives."""
    _open.add(client)


def stop_serving(client: FileServer) -> None:
    """Serve the files of a client no longer."""
    _open.discard(client)


def open_clients() -> list[FileServer]:
    """List the clients whose files are to be served.

    Returns:
        Every client of this process that was not closed.
    """
    return list(_open)
