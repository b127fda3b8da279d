"""What it takes to cut a running server off from its table and to see how it bears that."""

from __future__ import annotations

import asyncio
import http.client
import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from chainlit_dynamodb.testing.faults import FaultPlan, FaultProxy, at_once

REFUSING = "refusing"
SILENT = "silent"
WAYS = (REFUSING, SILENT)
GRAY = "gray"
READS = frozenset({"GetItem", "BatchGetItem", "Query"})
PROBE_SECONDS = 0.1
PROBE_TIMEOUT_SECONDS = 30.0


def silent_writes(operation: str) -> float:
    """Answer reads at once, and writes never."""
    return 0.0 if operation in READS else math.inf


class CutOff:
    """A proxy in front of an engine, in a thread of its own: the browser's thread has its own loop.

    Attributes:
        proxy: The proxy.
    """

    def __init__(self, proxy: FaultProxy, loop: asyncio.AbstractEventLoop) -> None:
        """Take a proxy that listens."""
        self.proxy = proxy
        self._loop = loop

    def begin(self, seconds: float) -> Future[None]:
        """Cut the engine off; the future is done when it is back."""
        return asyncio.run_coroutine_threadsafe(self.proxy.outage(seconds), self._loop)

    @contextmanager
    def away(self, how: str) -> Iterator[None]:
        """Let the engine refuse connections, or accept them and never answer: writes alone, where it is gray."""
        if how != REFUSING:
            self.proxy.delay_seconds = silent_writes if how == GRAY else lambda _: math.inf
            yield
            self.proxy.delay_seconds = at_once
            return
        back = asyncio.Event()
        outage = asyncio.run_coroutine_threadsafe(self.proxy.outage_until(back), self._loop)
        yield
        self._loop.call_soon_threadsafe(back.set)
        outage.result()


@contextmanager
def engine_to_cut_off(url: str) -> Iterator[CutOff]:
    """Put a proxy that changes nothing in front of an engine."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    proxy = FaultProxy(url, FaultPlan())
    try:
        asyncio.run_coroutine_threadsafe(proxy.__aenter__(), loop).result()
        yield CutOff(proxy, loop)
        asyncio.run_coroutine_threadsafe(proxy.__aexit__(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Probe:
    """Asks a server for one page again and again.

    Attributes:
        statuses: All statuses that came; 0 is no answer.
        seconds: How long each took.
    """

    def __init__(self, port: int, path: str, headers: dict[str, str] | None = None) -> None:
        """Ask for nothing yet."""
        self.statuses: list[int] = []
        self.seconds: list[float] = []
        self._address = (port, path, headers or {})
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Probe:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            start = time.monotonic()
            self.statuses.append(self._status())
            self.seconds.append(time.monotonic() - start)
            self._over.wait(PROBE_SECONDS)

    def _status(self) -> int:
        port, path, headers = self._address
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_TIMEOUT_SECONDS)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return 0
        else:
            return answer.status
        finally:
            connection.close()
