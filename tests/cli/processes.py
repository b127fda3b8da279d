"""Commands that serve, watched from outside."""

from __future__ import annotations

import http.client
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 60.0


class Served:
    """A command that serves until it is stopped.

    Attributes:
        port: Where it serves.
        process: Its process.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self._log = log

    @property
    def output(self) -> str:
        """All it has printed."""
        return self._log.read_text()

    @property
    def engine_port(self) -> int:
        """Where its engine listens."""
        return int(self.output.partition("http://127.0.0.1:")[2].split()[0])

    def get(self, path: str = "/") -> int:
        """Give the HTTP status of a page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def wait_until_ready(self) -> None:
        """Wait until it serves."""
        assert wait_for(lambda: self.process.poll() is not None or listens(self.port)), self.output
        assert self.process.poll() is None, self.output

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


def wait_for(condition: Callable[[], bool]) -> bool:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether an HTTP server answers on a port of this machine."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("HEAD", "/")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return True
    finally:
        connection.close()
