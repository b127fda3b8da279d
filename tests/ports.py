"""Ports for what tests start."""

from __future__ import annotations

import os
import random
import socket
from itertools import count

_FIRST = 20_000
_PER_WORKER = 1_000
_WORKERS = 12
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_numbers = count(random.randrange(_PER_WORKER))  # noqa: S311 - not a secret


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on.

    Each worker of pytest-xdist has its own range, and none is among those from which systems choose ports: nobody
    else takes it before the server that it is for has started.
    """
    while True:
        port = _FIRST + _worker % _WORKERS * _PER_WORKER + next(_numbers) % _PER_WORKER
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
