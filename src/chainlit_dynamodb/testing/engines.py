"""Engines to test on: given by the environment, or started here.

An engine that cannot be had is an `EngineMissingError` that says why. Tests turn it into a visible skip, or
into a failure where `REQUIRED_ENGINES` (names, commas between) demands that engine.
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

from chainlit_dynamodb.errors import MissingDependencyError
from chainlit_dynamodb.ops.child import stop_child
from chainlit_dynamodb.ops.embedded import HOST, embedded_engine, free_port
from chainlit_dynamodb.testing import azurite, dynamodb_local, gcs_servers
from chainlit_dynamodb.testing.missing import EngineMissingError

DYNAMODB_LOCAL: Final = "dynamodb-local"
MINISTACK: Final = "ministack"
AZURITE: Final = "azurite"
FAKE_GCS_SERVER: Final = "fake-gcs-server"
GCP_STORAGE_EMULATOR: Final = "gcp-storage-emulator"
CHROMIUM: Final = "chromium"
_START_SECONDS: Final = 60.0
_TEST_SECRET: Final = "test"  # noqa: S105 - what tests sign with, also on engines that run already
_STOP_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Engine:
    """An engine that answers.

    Attributes:
        name: One of the names above.
        url: Its endpoint; that of Azurite ends with its account.
    """

    name: str
    url: str


def running_engine(name: str) -> AbstractContextManager[Engine]:
    """Run an engine for the length of a `with` block.

    `DYNAMODB_LOCAL_URL`, `MINISTACK_URL`, `AZURITE_URL`, `FAKE_GCS_SERVER_URL` and `GCP_STORAGE_EMULATOR_URL` name
    one that runs already; it is left running.

    Args:
        name: One of the names above.

    Raises:
        EngineMissingError: When the block is entered: the engine cannot be had.
    """
    if url := os.environ.get(name.upper().replace("-", "_") + "_URL"):
        return _given(name, url)
    return _STARTERS[name]()


def required_engines() -> frozenset[str]:
    """Return the names in `REQUIRED_ENGINES`: what must not be missing."""
    names = os.environ.get("REQUIRED_ENGINES", "").split(",")
    return frozenset(name.strip() for name in names if name.strip())


def chromium_path() -> str:
    """Return the browser: `CHROMIUM_PATH`, or the one that is installed.

    Raises:
        EngineMissingError: There is none.
    """
    candidates = (os.environ.get("CHROMIUM_PATH"), "chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, (shutil.which(name) for name in candidates if name)), None)
    if found is None:
        raise EngineMissingError("Chromium is not installed (Debian: chromium)")
    return found


@contextmanager
def _given(name: str, url: str) -> Iterator[Engine]:
    yield Engine(name, url.rstrip("/"))


@contextmanager
def _ministack() -> Iterator[Engine]:
    try:
        with embedded_engine(None, secret=_TEST_SECRET) as engine:
            yield Engine(MINISTACK, engine.url)
    except MissingDependencyError as error:
        raise EngineMissingError(str(error)) from error


@contextmanager
def _started(name: str, command_line: Callable[[int], list[str]], path: str = "") -> Iterator[Engine]:
    port = free_port()
    process = subprocess.Popen(  # noqa: S603 - a known program
        command_line(port), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_until_ready(name, process, port)
        yield Engine(name, f"http://{HOST}:{port}{path}")
    finally:
        stop_child(process, _STOP_SECONDS)


_STARTERS: Final[dict[str, Callable[[], AbstractContextManager[Engine]]]] = {
    DYNAMODB_LOCAL: lambda: _started(DYNAMODB_LOCAL, dynamodb_local.command_line),
    MINISTACK: _ministack,
    AZURITE: lambda: _started(AZURITE, azurite.command_line, f"/{azurite.ACCOUNT}"),
    FAKE_GCS_SERVER: lambda: _started(FAKE_GCS_SERVER, gcs_servers.fake_gcs_server_command),
    GCP_STORAGE_EMULATOR: lambda: _started(GCP_STORAGE_EMULATOR, gcs_servers.gcp_storage_emulator_command),
}


def _wait_until_ready(name: str, process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(port):
            return
        time.sleep(0.1)
    raise EngineMissingError(f"{name} did not start (DynamoDB Local needs Java 17, Azurite needs Node.js 18)")


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < http.client.INTERNAL_SERVER_ERROR  # refused, but somebody is there
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
