"""The storages under test, each with a way to read a URL like a browser does: plain HTTP, no credentials."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import httpx
import pytest
from azure.storage.blob import BlobServiceClient
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import chainlit_dynamodb
from chainlit_dynamodb.storage.azure_blob import AzureBlobStorageClient
from chainlit_dynamodb.storage.azure_data_lake import AzureStorageClient
from chainlit_dynamodb.storage.base import StorageClient
from chainlit_dynamodb.storage.gcs import GCSStorageClient
from chainlit_dynamodb.storage.local import LocalStorageClient
from chainlit_dynamodb.storage.s3 import S3StorageClient
from chainlit_dynamodb.testing.azurite import ACCOUNT_KEY
from tests.ports import free_port

from .data_lake_shim import data_lake
from .documented import documented_client

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

# What a contract test may need of an engine.
SIGNATURES = "it checks signatures and ends of URLs"
CONDITIONS = "it honours conditions of uploads"
CONDITIONS_OF_PARTS = "it honours conditions of uploads in parts"
DISPOSITIONS = "it sends Content-Disposition when a URL is read"
PARAMETERS = "it keeps the parameters of media types"
SLASHES = "names may end with slashes"

_OTHER = (
    "gcp-storage-emulator, see gcp_storage_emulator/handlers/objects.py in github.com/oittaa/gcp-storage-emulator:"
)
FAKE_GCS_SERVER_GAPS = {
    SIGNATURES: "fake-gcs-server checks no signatures: https://github.com/fsouza/fake-gcs-server/issues/381",
    CONDITIONS_OF_PARTS: (
        "fake-gcs-server drops ifGenerationMatch of resumable uploads: "
        "https://github.com/fsouza/fake-gcs-server/issues/1967"
    ),
}
GCP_STORAGE_EMULATOR_GAPS = {
    SIGNATURES: f"{_OTHER} checks no signatures, https://github.com/oittaa/gcp-storage-emulator/pull/129",
    CONDITIONS: f"{_OTHER} insert() does not read ifGenerationMatch",
    CONDITIONS_OF_PARTS: f"{_OTHER} insert() does not read ifGenerationMatch",
    DISPOSITIONS: f"{_OTHER} download() sends response-content-disposition only",
    PARAMETERS: f"{_OTHER} _multipart_upload() takes get_content_type(), which drops them",
    SLASHES: f"{_OTHER} the route of downloads ends with [^/]+",
}

SIGNER = "signer@project.iam.gserviceaccount.com"
SOURCE = Path(chainlit_dynamodb.__file__).parents[1]


@dataclass(frozen=True)
class Storage:
    """One storage under test.

    Attributes:
        make: Makes a client; takes the lifetime of its URLs.
        origin: What stands before a root-relative URL.
        gaps: What the engine under it does not do, with the reason.
    """

    make: Callable[[int | None], StorageClient]
    origin: str
    gaps: Mapping[str, str] = field(default_factory=dict)

    def needs(self, fact: str) -> None:
        """Skip a test of something that the engine does not do."""
        if fact in self.gaps:
            pytest.skip(self.gaps[fact])

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


async def name_of(client: StorageClient, key: str) -> str:
    """Tell under which name a client keeps a key in its container `chats`, which is what its URLs say."""
    return unquote(urlsplit(await client.get_read_url(key)).path).removeprefix("/chats/")


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
def azurite(azurite_url: str) -> Iterator[BlobServiceClient]:
    with BlobServiceClient(azurite_url, credential=ACCOUNT_KEY) as engine:
        yield engine


@pytest.fixture(scope="session")
def container(azurite: BlobServiceClient) -> str:
    name = f"attachments-{uuid.uuid4()}"
    azurite.create_container(name)
    return name


@pytest.fixture
def azure_blob_storage(azurite_url: str, container: str) -> Storage:
    def make(lifetime: int | None = None) -> StorageClient:
        return AzureBlobStorageClient(
            container, storage_key=ACCOUNT_KEY, account_url=azurite_url, url_lifetime_seconds=lifetime
        )

    return Storage(make, origin="")


@pytest.fixture(scope="session")
def data_lake_url(azurite_url: str) -> Iterator[str]:
    with data_lake(azurite_url, ACCOUNT_KEY) as url:
        yield url


@pytest.fixture
def data_lake_storage(data_lake_url: str, azurite_url: str, container: str) -> Storage:
    def make(lifetime: int | None = None) -> StorageClient:
        return AzureStorageClient(
            data_lake_url, container, ACCOUNT_KEY, blob_url=azurite_url, url_lifetime_seconds=lifetime
        )

    return Storage(make, origin="")


@pytest.fixture(scope="session")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def private_pem(private_key: rsa.RSAPrivateKey) -> str:
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private_key.private_bytes(*form).decode()


def gcs_storage(url: str, private_pem: str, gaps: Mapping[str, str]) -> Storage:
    bucket = f"attachments-{uuid.uuid4()}"
    httpx.post(f"{url}/storage/v1/b?project=test", json={"name": bucket}, trust_env=False).raise_for_status()

    def make(lifetime: int | None = None) -> StorageClient:
        return GCSStorageClient(bucket, "test", SIGNER, private_pem, endpoint=url, url_lifetime_seconds=lifetime)

    return Storage(make, origin="", gaps=gaps)


@pytest.fixture(scope="session")
def fake_gcs_server_storage(fake_gcs_server_url: str, private_pem: str) -> Storage:
    return gcs_storage(fake_gcs_server_url, private_pem, FAKE_GCS_SERVER_GAPS)


@pytest.fixture(scope="session")
def gcp_storage_emulator_storage(gcp_storage_emulator_url: str, private_pem: str) -> Storage:
    return gcs_storage(gcp_storage_emulator_url, private_pem, GCP_STORAGE_EMULATOR_GAPS)


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


@pytest.fixture(scope="session")
def file_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home, port = tmp_path_factory.mktemp("file_server"), free_port()
    script = str(Path(__file__).with_name("file_server.py"))
    url = f"http://127.0.0.1:{port}"
    with child([sys.executable, script, str(port), str(home), "secret"], {}, home, url):
        yield url


@pytest.fixture
def documented_storage(file_server_url: str) -> Storage:
    module: dict[str, Any] = {"__name__": "documented"}
    exec(documented_client(), module)  # noqa: S102 - the worked example of docs/storage.md

    def make(lifetime: int | None = None) -> StorageClient:
        client: StorageClient = module["FileServerClient"](file_server_url, "secret", url_lifetime_seconds=lifetime)
        return client

    return Storage(make, origin="")


@pytest.fixture(
    params=[
        "s3_storage",
        "azure_blob_storage",
        "data_lake_storage",
        "fake_gcs_server_storage",
        "gcp_storage_emulator_storage",
        "local_storage",
        "documented_storage",
    ]
)
def storage(request: pytest.FixtureRequest) -> Storage:
    value: Storage = request.getfixturevalue(request.param)
    return value


@pytest.fixture
async def client(storage: Storage) -> AsyncIterator[StorageClient]:
    client = storage.make(None)
    yield client
    await client.close()
