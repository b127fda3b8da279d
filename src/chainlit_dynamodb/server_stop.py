"""Hears that the server stops before it waits for open connections, which may wait for the table themselves.

Chainlit closes its data layer last of all, or never: mounted in another app, its lifespan does not run.
"""

from __future__ import annotations

import sys
from functools import wraps
from socket import socket
from typing import Any, Final, Protocol
from weakref import WeakSet

import uvicorn


class Hearing(Protocol):
    """What is closed at the end."""

    def begin(self) -> None:
        """Prepare to be closed."""

    async def finish(self) -> None:
        """Close, if that has not happened."""


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
        hearing = list(_hearing) if _serves_chainlit(server.config.loaded_app) else []
        for closing in hearing:
            closing.begin()
        await shutdown(server, sockets)
        for closing in hearing:
            await closing.finish()

    setattr(telling, _MARK, True)
    return telling


def _serves_chainlit(app: Any, depth: int = 10) -> bool:
    """Return whether an app is Chainlit's, or wraps or mounts it; other servers of the process may come and go."""
    if app is getattr(sys.modules.get("chainlit.server"), "app", None):
        return app is not None
    inner = [
        getattr(app, "app", None),
        *(getattr(route, "app", None) for route in getattr(app, "routes", None) or ()),
    ]
    return depth > 0 and any(_serves_chainlit(each, depth - 1) for each in inner if each is not None)
