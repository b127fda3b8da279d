"""How requests reach DynamoDB: the protocol that the rest of the package sends them through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Transport(Protocol):
    """Sends single requests to DynamoDB.

    Two come with this package: one over aiohttp, and one through a client that was given. Any object with these two
    methods is a third: one that wraps another counts, delays, refuses or records what passes.

    A transport takes and returns DynamoDB's own JSON, with binary values in base64. It sends a request once: how
    often, how long and after which errors a request is sent again is decided above it. It may be called from many
    tasks at a time, and from one event loop after the other.
    """

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request once.

        Args:
            operation: DynamoDB's name of it, as `UpdateItem`.
            request: Its parameters in DynamoDB's JSON. Not to be changed: the next try sends it again.

        Returns:
            The response in DynamoDB's JSON.

        Raises:
            TransientError: There was no answer, or one after which the same request may succeed.
            RequestError: DynamoDB refused the request for good.
            ConfigurationError: There is no table, no region, no credentials, or they were refused.
        """

    async def close(self) -> None:
        """Close what this transport has opened. Closing twice is fine; a later call opens anew."""
