"""Which failures of a storage are worth another try; each fact is checked on each client that sends requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from chainlit_dynamodb.errors import StorageError, TransientStorageError
from chainlit_dynamodb.storage import azure_session, gcs, s3
from chainlit_dynamodb.storage.azure_blob import AzureBlobStorageClient
from chainlit_dynamodb.storage.azure_data_lake import AzureStorageClient
from chainlit_dynamodb.storage.base import StorageClient
from chainlit_dynamodb.storage.gcs import GCSStorageClient
from chainlit_dynamodb.storage.local import LocalStorageClient
from chainlit_dynamodb.storage.s3 import S3StorageClient
from chainlit_dynamodb.testing.azurite import ACCOUNT, ACCOUNT_KEY
from tests.ports import free_port
from tests.storage.conftest import SIGNER
from tests.storage.documented import documented_client
from tests.storage.fake_service import Answer, fake_service

At = Callable[[str], StorageClient]


def s3_at(url: str, _: str) -> StorageClient:
    return S3StorageClient("chats", endpoint_url=url)


def azure_blob_at(url: str, _: str) -> StorageClient:
    return AzureBlobStorageClient("chats", storage_key=ACCOUNT_KEY, account_url=f"{url}/{ACCOUNT}")


def data_lake_at(url: str, _: str) -> StorageClient:
    return AzureStorageClient(f"{url}/{ACCOUNT}", "chats", ACCOUNT_KEY, blob_url=url)


def gcs_at(url: str, private_pem: str) -> StorageClient:
    return GCSStorageClient("chats", "test", SIGNER, private_pem, endpoint=url)


def documented_at(url: str, _: str) -> StorageClient:
    module: dict[str, Any] = {"__name__": "documented"}
    exec(documented_client(), module)  # noqa: S102 - the worked example of docs/storage.md
    client: StorageClient = module["FileServerClient"](url, "secret")
    return client


@pytest.fixture(params=[s3_at, azure_blob_at, data_lake_at, gcs_at, documented_at])
async def client_at(
    request: pytest.FixtureRequest, private_pem: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[At]:
    """Make a client of an endpoint, whose SDK tries once."""
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    monkeypatch.setattr(azure_session, "RETRIES", 0)
    monkeypatch.setattr(gcs, "RETRY_SECONDS", 0.1)
    made: list[StorageClient] = []

    def make(url: str) -> StorageClient:
        made.append(request.param(url, private_pem))
        return made[-1]

    yield make
    for client in made:
        await client.close()


async def failure_of(client: StorageClient, method: str) -> StorageError:
    """Give the error of an upload or a deletion that fails."""
    with pytest.raises(StorageError) as caught:
        await (client.upload_file("key", b"data") if method == "upload" else client.delete_file("key"))
    return caught.value


@pytest.mark.parametrize("method", ["upload", "delete"])
async def test_a_storage_that_cannot_be_reached_is_worth_another_try(client_at: At, method: str) -> None:
    error = await failure_of(client_at(f"http://127.0.0.1:{free_port()}"), method)

    assert isinstance(error, TransientStorageError)


@pytest.mark.parametrize("method", ["upload", "delete"])
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_storage_that_is_busy_is_worth_another_try(client_at: At, method: str, status: int) -> None:
    with fake_service(lambda _: Answer(status)) as service:
        error = await failure_of(client_at(service.url), method)

    assert isinstance(error, TransientStorageError)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refused_upload_is_not_worth_another_try(client_at: At, status: int) -> None:
    with fake_service(lambda _: Answer(status)) as service:
        error = await failure_of(client_at(service.url), "upload")

    assert not isinstance(error, TransientStorageError)


async def test_a_local_file_that_is_gone_is_not_worth_another_try(client_at: At, tmp_path: Any) -> None:
    with pytest.raises(StorageError) as caught:
        await client_at(f"http://127.0.0.1:{free_port()}").upload_file("key", tmp_path / "gone")

    assert not isinstance(caught.value, TransientStorageError)


async def test_a_folder_that_cannot_be_written_is_not_worth_another_try(tmp_path: Any) -> None:
    (tmp_path / "folder").mkdir()
    client = LocalStorageClient(tmp_path / "folder" / "files")
    (tmp_path / "folder" / "files").write_text("in the way")

    error = await failure_of(client, "upload")

    assert not isinstance(error, TransientStorageError)
    await client.close()
