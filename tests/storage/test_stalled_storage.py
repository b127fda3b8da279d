"""A storage that takes requests and answers none: uploads hang, and chats with files still open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import boto3
import pytest
from azure.storage.filedatalake.aio import ExponentialRetry
from botocore.config import Config

from chainlit_dynamodb.storage.azure_blob import AzureBlobStorageClient
from chainlit_dynamodb.storage.azure_data_lake import AzureStorageClient
from chainlit_dynamodb.storage.base import CONCURRENCY, StorageClient
from chainlit_dynamodb.storage.gcs import GCSStorageClient
from chainlit_dynamodb.storage.s3 import S3StorageClient
from chainlit_dynamodb.testing.azurite import ACCOUNT_KEY

from .conftest import SIGNER

KEYS: dict[str, Any] = {"region_name": "eu-west-1", "aws_access_key_id": "id", "aws_secret_access_key": "secret"}
ONCE = Config(retries={"total_max_attempts": 1})
Make = Callable[[str, str], StorageClient]


def given_client(url: str) -> S3StorageClient:
    return S3StorageClient("chats", client=boto3.client("s3", endpoint_url=url, config=ONCE, **KEYS))


CLIENTS: dict[str, Make] = {
    "s3": lambda url, _: S3StorageClient("chats", endpoint_url=url, config=ONCE, **KEYS),
    "s3 given": lambda url, _: given_client(url),
    "azure blob": lambda url, _: AzureBlobStorageClient(
        "chats", storage_key=ACCOUNT_KEY, account_url=f"{url}/account"
    ),
    "data lake": lambda url, _: AzureStorageClient(
        f"{url}/account", "chats", ACCOUNT_KEY, options={"retry_policy": ExponentialRetry(retry_total=0)}
    ),
    "google": lambda url, pem: GCSStorageClient("chats", "project", SIGNER, pem, endpoint=url),
}


class Silence:
    """A server that hears and says nothing."""

    def __init__(self) -> None:
        self.heard = 0
        self._open: list[asyncio.StreamWriter] = []
        self._is_over = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(writer)
        if self._is_over:
            writer.transport.abort()
        elif await reader.read(1):
            self.heard += 1

    def hang_up(self) -> None:
        self._is_over = True
        for writer in self._open:
            writer.transport.abort()


@pytest.fixture
async def silence() -> AsyncIterator[tuple[str, Silence]]:
    silence = Silence()
    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", silence
    server.close()
    silence.hang_up()


@pytest.mark.parametrize("kind", CLIENTS)
async def test_stalled_uploads_keep_no_url_from_being_signed(
    kind: str, silence: tuple[str, Silence], private_pem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chainlit_dynamodb.storage.gcs.RETRY_SECONDS", 0.1)
    url, server = silence
    client = CLIENTS[kind](url, private_pem)
    uploads = [asyncio.create_task(client.upload_file(f"{number}", b"data")) for number in range(CONCURRENCY)]
    for _ in range(100):
        await asyncio.sleep(0.05)
        if server.heard >= CONCURRENCY:
            break
    assert server.heard >= CONCURRENCY

    start = time.monotonic()
    urls = await asyncio.gather(*(client.get_read_url(f"old-{number}") for number in range(100)))
    took = time.monotonic() - start

    assert len(set(urls)) == 100
    assert took < 5
    assert not any(upload.done() for upload in uploads)
    server.hang_up()
    for upload in uploads:
        upload.cancel()
    await asyncio.gather(*uploads, return_exceptions=True)
    await client.close()
