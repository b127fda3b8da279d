"""Hears that the server stops before it waits for open connections, which may wait for the table themselves.

Chainlit closes its data layer last of all, or never: mounted in another app, its lifespan does not run.
"""

from __future__ import annotations

import asyncio
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
_INNER: Final = ("app", "other_asgi_app")
"""What wraps an app keeps it in `app`; python-socketio has its own name for it."""


def hear_of_stop(closing: Hearing) -> None:
    """Let an object hear when a server that serves Chainlit stops, as long as it lives."""
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
        if not server.force_exit:  # who presses Ctrl-C again waits for nothing
            await asyncio.gather(*(closing.finish() for closing in hearing))

    setattr(telling, _MARK, True)
    return telling


def _serves_chainlit(app: Any, depth: int = 10) -> bool:
    """Return whether an app is Chainlit's, or wraps or mounts it; other servers of the process may come and go."""
    if app is getattr(sys.modules.get("chainlit.server"), "app", None):
        return app is not None
    routes = getattr(app, "routes", None)
    inner = [getattr(app, name, None) for name in _INNER]
    inner += [getattr(route, "app", None) for route in (routes if isinstance(routes, list) else [])]
    return depth > 0 and any(_serves_chainlit(each, depth - 1) for each in inner if each is not None)
