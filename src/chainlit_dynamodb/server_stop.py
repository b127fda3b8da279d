"""Hears that the server stops before it waits for open connections, which may wait for the table themselves.

Chainlit closes its data layer last of all. Until then uvicorn waits, without end, for every request to be answered.
"""

from __future__ import annotations

import math
from functools import wraps
from socket import socket
from typing import Any, Final, Protocol
from weakref import WeakSet

import uvicorn


class Hearing(Protocol):
    """What is closed at the end."""

    def begin(self) -> float:
        """Prepare to be closed, and return how many seconds that may take."""


_hearing: Final[WeakSet[Hearing]] = WeakSet()
_MARK: Final = "_tells_chainlit_dynamodb"


def hear_of_stop(closing: Hearing) -> None:
    """Let an object hear when a server of this process stops, as long as it lives."""
    _hearing.add(closing)
    if not hasattr(uvicorn.Server.shutdown, _MARK):
        uvicorn.Server.shutdown = _telling()  # type: ignore[method-assign]


def _telling() -> Any:
    shutdown = uvicorn.Server.shutdown

    @wraps(shutdown)
    async def telling(server: uvicorn.Server, sockets: list[socket] | None = None) -> None:
        seconds = [closing.begin() for closing in list(_hearing)]
        if seconds and server.config.timeout_graceful_shutdown is None:
            server.config.timeout_graceful_shutdown = math.ceil(max(seconds))
        await shutdown(server, sockets)

    setattr(telling, _MARK, True)
    return telling
