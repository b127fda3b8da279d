"""Uploads a file of 200 MB through each cloud client and deletes it; prints how much memory that took.

    python -m benchmarks.storage_memory

Each client runs in a process of its own, against an engine in another one. What is measured is the highest
resident memory during the upload over that after a first small upload, which has loaded the SDK.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from chainlit_dynamodb.storage.base import StorageClient
from chainlit_dynamodb.testing.azurite import ACCOUNT_KEY
from chainlit_dynamodb.testing.engines import AZURITE, FAKE_GCS_SERVER, MINISTACK, running_engine

MEGABYTE = 1024 * 1024
FILE_BYTES = 200 * MEGABYTE
ALLOWED_BYTES = 64 * MEGABYTE
NAME = "benchmark"


def s3(url: str) -> StorageClient:
    import boto3

    from chainlit_dynamodb.storage.s3 import S3StorageClient

    keys: Any = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=url, **keys).create_bucket(Bucket=NAME)
    return S3StorageClient(NAME, endpoint_url=url, **keys)


def _container(url: str) -> None:
    from azure.core.exceptions import ResourceExistsError
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient(url, credential=ACCOUNT_KEY) as service:
        try:
            service.create_container(NAME)
        except ResourceExistsError:
            return


def azure_blob(url: str) -> StorageClient:
    from chainlit_dynamodb.storage.azure_blob import AzureBlobStorageClient

    _container(url)
    return AzureBlobStorageClient(NAME, None, ACCOUNT_KEY, account_url=url)


def data_lake(url: str) -> StorageClient:
    from chainlit_dynamodb.storage.azure_data_lake import AzureStorageClient

    _container(os.environ["AZURITE"])
    return AzureStorageClient(url, NAME, ACCOUNT_KEY, blob_url=os.environ["AZURITE"])


def gcs(url: str) -> StorageClient:
    from google.oauth2 import service_account

    from chainlit_dynamodb.storage.gcs import GCSStorageClient

    bucket = json.dumps({"name": NAME}).encode()
    request = urllib.request.Request(f"{url}/storage/v1/b", bucket, {"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()

    class Signer:
        key_id = None

        def sign(self, _: bytes) -> bytes:
            return b"signature"

    credentials = service_account.Credentials(Signer(), "a@b.c", "https://token")
    return GCSStorageClient(NAME, credentials=credentials, endpoint=url)


CLIENTS: dict[str, tuple[str, Callable[[str], StorageClient]]] = {
    "S3StorageClient": (MINISTACK, s3),
    "AzureBlobStorageClient": (AZURITE, azure_blob),
    "AzureStorageClient": ("shim", data_lake),
    "GCSStorageClient": (FAKE_GCS_SERVER, gcs),
}


def resident() -> int:
    """Give the resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Peak:
    """Watches the resident memory from a thread."""

    def __init__(self) -> None:
        self.highest = 0
        self._running = True
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running = False
        self._thread.join()

    def _watch(self) -> None:
        while self._running:
            self.highest = max(self.highest, resident())
            time.sleep(0.005)


async def chunks(path: Path) -> AsyncIterator[bytes]:
    """Read a file as an upload from a browser arrives."""
    with path.open("rb") as file:
        while chunk := file.read(MEGABYTE):
            yield chunk
            await asyncio.sleep(0)


async def measure(name: str, url: str, path: Path) -> dict[str, float]:
    """Upload and delete; gives seconds, and megabytes above the start."""
    client = CLIENTS[name][1](url)
    await client.upload_file("warm", b"x" * 100)
    result = {}
    for kind in ("path", "stream"):
        before, started = resident(), time.monotonic()
        with Peak() as peak:
            await client.upload_file("big", path if kind == "path" else chunks(path), "video/mp4")
            seconds = time.monotonic() - started
            await client.delete_file("big")
        result[f"{kind} MB"] = round((peak.highest - before) / MEGABYTE, 1)
        result[f"{kind} s"] = round(seconds, 1)
    await client.close()
    return result


@contextmanager
def engines() -> Iterator[dict[str, str]]:
    """Run all engines; the Data Lake shim is that of the tests."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.storage.data_lake_shim import data_lake as shim

    with ExitStack() as stack:
        urls = {name: stack.enter_context(running_engine(name)).url for name in (MINISTACK, AZURITE, FAKE_GCS_SERVER)}
        yield {**urls, "shim": stack.enter_context(shim(urls[AZURITE], ACCOUNT_KEY))}


def main() -> int:
    """Measure all clients; 1 if one took too much."""
    failed = False
    with tempfile.TemporaryDirectory() as folder, engines() as urls:
        path = Path(folder) / "file.bin"
        with path.open("wb") as file:
            for _ in range(FILE_BYTES // MEGABYTE):
                file.write(os.urandom(MEGABYTE))
        for name, (engine, _) in CLIENTS.items():
            command = [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "benchmarks.storage_memory",
                name,
                urls[engine],
                str(path),
            ]
            environment = {**os.environ, "AZURITE": urls[AZURITE]}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            result = json.loads(done.stdout)
            worst = max(result["path MB"], result["stream MB"])
            failed |= worst * MEGABYTE >= ALLOWED_BYTES
            print(f"{name:24} {FILE_BYTES // MEGABYTE} MB: {result}")
    return int(failed)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(asyncio.run(measure(sys.argv[1], sys.argv[2], Path(sys.argv[3])))))
    else:
        sys.exit(main())
