"""The embedded engine: DynamoDB, S3 and KMS in one child process on this machine, for development only."""

from __future__ import annotations

import http.client
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import botocore.config
import botocore.session

from chainlit_dynamodb.errors import ConfigurationError, MissingDependencyError
from chainlit_dynamodb.ops.child import start_child, stop_child
from chainlit_dynamodb.ops.data_folder import locked_folder, private_file, private_folder, secret_in
from chainlit_dynamodb.ops.engine_process import SECRET_VARIABLE

HOST: Final = "127.0.0.1"
ACCESS_KEY: Final = "test"
"""The id of the key, which is no secret: signed URLs quote it."""
_SECRET_FILE: Final = "access-key"  # noqa: S105 - a name
DEFAULT_REGION: Final = "us-east-1"
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 60.0


@dataclass(frozen=True)
class EmbeddedEngine:
    """A running engine.

    Attributes:
        url: The endpoint of DynamoDB, S3 and KMS.
        process: Its process.
        secret: The secret access key; what is signed with another is refused.
    """

    url: str
    process: subprocess.Popen[bytes]
    secret: str = field(repr=False)

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
            aws_secret_access_key=self.secret,
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
def embedded_engine(
    data: Path | None, *, region: str = DEFAULT_REGION, secret: str | None = None
) -> Iterator[EmbeddedEngine]:
    """Run the embedded engine for the length of a `with` block. It answers only who knows its secret.

    Args:
        data: The folder that keeps tables and files over restarts; `None` keeps them in memory only.
        region: The region of requests that name none.
        secret: The secret access key; else the one that the folder keeps, without a folder a new one.

    Raises:
        MissingDependencyError: ministack is not installed.
        StorageError: The file of the secret is damaged.
        ConfigurationError: The folder is in use, or the engine did not start.
    """
    require_engine()
    if data is None:
        with _running(None, region, secret or secrets.token_hex(32), ()) as engine:
            yield engine
        return
    with (
        locked_folder(data) as lock,
        _running(data, region, secret or secret_in(data, _SECRET_FILE), lock) as engine,
    ):
        yield engine


@contextmanager
def _running(data: Path | None, region: str, secret: str, inherited: tuple[int, ...]) -> Iterator[EmbeddedEngine]:
    engine = _start(data, region, secret, inherited)
    try:
        yield engine
    finally:
        engine.stop()


def _start(data: Path | None, region: str, secret: str, inherited: tuple[int, ...]) -> EmbeddedEngine:
    port = free_port()
    log = data / "engine.log" if data else Path(os.devnull)
    with private_file(log) if data else log.open("wb") as output:
        process = start_child(
            "chainlit_dynamodb.ops.engine_process",
            environment={**_plain_environment(), **_settings(port, region, secret), **_persistence(data)},
            output=output,
            inherited=inherited,
        )
    engine = EmbeddedEngine(f"http://{HOST}:{port}", process, secret)
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


def _settings(port: int, region: str, secret: str) -> dict[str, str]:
    return {
        SECRET_VARIABLE: secret,
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
        "STATE_DIR": str(private_folder(data / "state")),
        "S3_DATA_DIR": str(private_folder(data / "s3")),
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
        connection.request("GET", "/")
        return connection.getresponse().status == http.client.FORBIDDEN  # it serves, and nobody unknown
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_line(log: Path) -> str:
    if str(log) == os.devnull:
        return "It wrote no log."
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"{log} ends with: {lines[-1]}" if lines else f"{log} is empty."
