"""The storages under test, each with a way to read a URL like a browser does: plain HTTP, no credentials."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

import chainlit_dynamodb
from chainlit_dynamodb.ops.embedded import free_port
from chainlit_dynamodb.storage.base import StorageClient
from chainlit_dynamodb.storage.local import LocalStorageClient
from chainlit_dynamodb.storage.s3 import S3StorageClient

# The usual app: names are imported at the top, the factory is called by the first request that needs it.
APP = """
import os
import chainlit as cl
from chainlit_dynamodb import LocalStorageClient

class Layer:
    def __init__(self):
        self.storage = LocalStorageClient(os.environ["STORAGE_FOLDER"])

    async def close(self):
        await self.storage.close()

@cl.data_layer
def data_layer():
    return Layer()

@cl.on_message
async def answer(message):
    pass
"""

SOURCE = Path(chainlit_dynamodb.__file__).parents[1]


@dataclass(frozen=True)
class Storage:
    """One storage under test.

    Attributes:
        make: Makes a client; takes the lifetime of its URLs.
        origin: What stands before a root-relative URL.
    """

    make: Callable[[int | None], StorageClient]
    origin: str

    async def read(self, url: str, **headers: str) -> httpx.Response:
        """Read a URL as a browser would that has no credentials."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as browser:
            return await browser.get(self.origin + url, headers=headers)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers, or fail with what it printed."""
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            httpx.get(url, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{url} never answered, exit code {process.poll()}")


@contextmanager
def child(command: list[str], environment: dict[str, str], cwd: Path, ready: str) -> Iterator[None]:
    """Run a server until the block ends."""
    with (cwd / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, cwd=cwd, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_for(ready, process)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def chainlit_server(home: Path, folder: Path, app: str = APP, root_path: str = "") -> Iterator[str]:
    """Run `chainlit run` on an app that keeps its files in a folder; gives the origin of the server."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "app.py").write_text(app)
    port = free_port()
    command = [sys.executable, "-m", "chainlit", "run", "app.py", "--headless", "--port", str(port)]
    if root_path:
        command += ["--root-path", root_path]
    environment = {
        "STORAGE_FOLDER": str(folder),
        "CHAINLIT_APP_ROOT": str(home),
        "PYTHONPATH": os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")]),
    }
    origin = f"http://127.0.0.1:{port}"
    with child(command, environment, home, f"{origin}{root_path}/favicon"):
        yield origin


@pytest.fixture(scope="session")
def s3_arguments(ministack_url: str) -> dict[str, Any]:
    return {
        "endpoint_url": ministack_url,
        "region_name": "eu-west-1",
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }


@pytest.fixture(scope="session")
def s3_engine(s3_arguments: dict[str, Any]) -> Iterator[Any]:
    client = boto3.client("s3", **s3_arguments)
    yield client
    client.close()


@pytest.fixture(scope="session")
def bucket(s3_engine: Any) -> str:
    name = f"attachments-{uuid.uuid4()}"
    s3_engine.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return name


@pytest.fixture
def s3_storage(bucket: str, s3_arguments: dict[str, Any]) -> Storage:
    def make(lifetime: int | None = None) -> StorageClient:
        return S3StorageClient(bucket, url_lifetime_seconds=lifetime, **s3_arguments)

    return Storage(make, origin="")


@pytest.fixture(scope="session")
def local_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    home = tmp_path_factory.mktemp("chainlit")
    with chainlit_server(home, home / "files") as origin:
        yield origin, home / "files"


@pytest.fixture
def local_storage(local_server: tuple[str, Path]) -> Storage:
    origin, folder = local_server

    def make(lifetime: int | None = None) -> StorageClient:
        return LocalStorageClient(folder, url_lifetime_seconds=lifetime)

    return Storage(make, origin)


@pytest.fixture(params=["s3_storage", "local_storage"])
def storage(request: pytest.FixtureRequest) -> Storage:
    value: Storage = request.getfixturevalue(request.param)
    return value


@pytest.fixture
async def client(storage: Storage) -> AsyncIterator[StorageClient]:
    client = storage.make(None)
    yield client
    await client.close()
