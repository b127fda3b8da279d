"""What the data layer needs of a storage client, whoever wrote it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol


class StorageProvider(Protocol):
    """A storage client of this package, of Chainlit, or of a third party.

    The arguments are those of Chainlit's `BaseStorageClient`, given by name. They are left open here, because
    clients differ in how much of them they know: those from before `content_disposition` are welcome too.
    """

    def upload_file(self, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Store a file; a dict with its `object_key` says so, something empty that it was not stored."""

    def delete_file(self, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Delete a file; `False` says that it may still be there."""

    def get_read_url(self, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Sign a URL that reads a file."""

    def close(self) -> Awaitable[Any]:
        """Let go of what the provider holds."""
