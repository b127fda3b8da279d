"""A network that loses whatever an Azure SDK sends, and remembers it."""

from __future__ import annotations

from typing import Any

from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline.transport import AsyncHttpTransport


class LostRequests(AsyncHttpTransport):  # type: ignore[misc]
    """The `transport` of an SDK's client.

    Attributes:
        urls: Where the requests would have gone.
        options: What gives this transport to a storage client, without a second try.
    """

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.options: dict[str, Any] = {"transport": self, "retry_total": 0, "retry_policy": None}

    async def send(self, request: Any, **_: Any) -> Any:
        """Lose a request."""
        self.urls.append(request.url)
        raise ServiceRequestError("lost")

    async def open(self) -> None:
        """Open nothing."""

    async def close(self) -> None:
        """Close nothing."""

    async def __aexit__(self, *_: object) -> None:
        """Close nothing."""
