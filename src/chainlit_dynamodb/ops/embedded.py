"""The embedded engine: DynamoDB, S3 and KMS in one child process on this machine, for development only."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import botocore.config
import botocore.session

from chainlit_dynamodb.errors import ConfigurationError, MissingDependencyError
from chainlit_dynamodb.ops.child import start_child, stop_child
from chainlit_dynamodb.ops.data_folder import locked_folder

HOST: Final = "127.0.0.1"
ACCESS_KEY: Final = "test"
DEFAULT_REGION: Final = "us-east-1"
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 60.0


@dataclass(frozen=True)
class EmbeddedEngine:
    """A running engine.

    Attributes:
        url: The endpoint of DynamoDB and of S3.
        process: Its process.
    """

    url: str
    process: subprocess.Popen[bytes]

    def client(self, service: str, region: str = DEFAULT_REGION) -> Any:
        """Return a botocore client of the engine.

        Args:
            service: `dynamodb`, `s3` or `kms`.
            region: The region; the engine keeps the tables of each region apart.
        """
        return botocore.session.Session().create_client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=ACCESS_KEY,
            config=botocore.config.Config(proxies={}, s3={"addressing_style": "path"}),
        )

    def stop(self) -> None:
        """Stop the engine; with a data folder it then writes what it holds. Stopping twice is fine."""
        stop_child(self.process, _STOP_SECONDS)


def require_engine() -> None:
    """Check that the embedded engine is installed.

    Raises:
        MissingDependencyError: ministack is not installed.
    """
    if find_spec("ministack") is None:
        raise MissingDependencyError("ministack", "local")


@contextmanager
def embedded_engine(data: Path | None, *, region: str = DEFAULT_REGION) -> Iterator[EmbeddedEngine]:
    """Run the embedded engine for the length of a `with` block.

    Args:
        data: The folder that keeps tables and files over restarts; `None` keeps them in memory only.
        region: The region of requests that name none.

    Raises:
        MissingDependencyError: ministack is not installed.
        ConfigurationError: The folder is in use, or the engine did not start.
    """
    require_engine()
    if data is None:
        with _running(None, region, ()) as engine:
            yield engine
        return
    with locked_folder(data) as lock, _running(data, region, lock) as engine:
        yield engine


@contextmanager
def _running(data: Path | None, region: str, inherited: tuple[int, ...]) -> Iterator[EmbeddedEngine]:
    engine = _start(data, region, inherited)
    try:
        yield engine
    finally:
        engine.stop()


def _start(data: Path | None, region: str, inherited: tuple[int, ...]) -> EmbeddedEngine:
    port = free_port()
    log = data / "engine.log" if data else Path(os.devnull)
    with log.open("wb") as output:
        process = start_child(
            "chainlit_dynamodb.ops.engine_process",
            environment={**_plain_environment(), **_settings(port, region), **_persistence(data)},
            output=output,
            inherited=inherited,
        )
    engine = EmbeddedEngine(f"http://{HOST}:{port}", process)
    try:
        _wait_until_ready(process, port, log)
    except BaseException:  # also Ctrl-C: no engine may stay behind; raised again
        engine.stop()
        raise
    return engine


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def _settings(port: int, region: str) -> dict[str, str]:
    return {
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "BIND_HOST": HOST,
        "DOCKER_HOST": "unix:///nonexistent",  # else it removes containers that carry its label
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "MINISTACK_REGION": region,
        "SERVICES": "dynamodb,kms,s3",
        "SFTP_ENABLED": "0",
    }


def _persistence(data: Path | None) -> Mapping[str, str]:
    if data is None:
        return {"PERSIST_STATE": "0", "S3_PERSIST": "0"}
    return {
        "PERSIST_STATE": "1",
        "S3_PERSIST": "1",
        "STATE_DIR": str(data / "state"),
        "S3_DATA_DIR": str(data / "s3"),
    }


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(port):
            return
        time.sleep(0.05)
    raise ConfigurationError(f"The embedded engine did not start. {_last_line(log)}")


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_line(log: Path) -> str:
    if str(log) == os.devnull:
        return "It wrote no log."
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"{log} ends with: {lines[-1]}" if lines else f"{log} is empty."
