"""What only Azure Blob does: arguments, clouds, blocks, names, and errors."""

from __future__ import annotations

import asyncio
import base64
import sys
import threading
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.storage.blob import BlobServiceClient

from chainlit_dynamodb.errors import ConfigurationError, MissingDependencyError, ObjectExistsError, StorageError
from chainlit_dynamodb.storage import azure_session
from chainlit_dynamodb.storage.azure_blob import AzureBlobStorageClient
from chainlit_dynamodb.storage.base import CONCURRENCY
from chainlit_dynamodb.testing.azurite import ACCOUNT_KEY

from .conftest import Storage, name_of
from .fake_service import Answer, Asked, fake_service

MEGABYTE = 1024 * 1024
KEY = base64.b64encode(b"secret" * 10).decode()


async def url_of(client: AzureBlobStorageClient, key: str = "a/b c.txt") -> str:
    url = await client.get_read_url(key)
    await client.close()
    return url


@pytest.mark.parametrize(
    "arguments",
    [
        {"container_name": "chats", "storage_account": "account", "storage_key": KEY},
        {"container": "chats", "storage_account": "account", "storage_key": KEY},
        {"container": "chats", "storage_account": "account", "credential": KEY},
        {"container_name": "chats", "account_url": "https://account.blob.core.windows.net/", "storage_key": KEY},
        {"container_name": "chats", "account_url": "https://account.dfs.core.windows.net", "storage_key": KEY},
    ],
)
async def test_arguments_of_the_seed_and_others_mean_the_same(arguments: dict[str, Any]) -> None:
    url = urlsplit(await url_of(AzureBlobStorageClient(**arguments)))

    assert (url.scheme, url.netloc, url.path) == ("https", "account.blob.core.windows.net", "/chats/a/b%20c.txt")


async def test_arguments_have_the_order_of_chainlit() -> None:
    url = await url_of(AzureBlobStorageClient("chats", "account", KEY))

    assert url.startswith("https://account.blob.core.windows.net/chats/a/b%20c.txt?")


@pytest.mark.parametrize("suffix", ["core.usgovcloudapi.net", "core.chinacloudapi.cn"])
async def test_other_clouds_have_their_own_hosts(suffix: str) -> None:
    url = await url_of(AzureBlobStorageClient("chats", "account", KEY, endpoint_suffix=suffix))

    assert url.startswith(f"https://account.blob.{suffix}/chats/")


async def test_custom_domain_needs_the_account_beside_it() -> None:
    client = AzureBlobStorageClient("chats", "account", KEY, account_url="https://files.example.com")

    assert (await url_of(client)).startswith("https://files.example.com/chats/")


async def test_url_starts_before_now_for_clocks_that_differ() -> None:
    now = datetime.now(timezone.utc)
    client = AzureBlobStorageClient("chats", "account", KEY, url_lifetime_seconds=60)

    query = parse_qs(urlsplit(await url_of(client)).query)

    start, ends = (datetime.fromisoformat(query[name][0].replace("Z", "+00:00")) for name in ("st", "se"))
    assert abs(start - (now - timedelta(minutes=15))) < timedelta(seconds=10)
    assert abs(ends - (now + timedelta(seconds=60))) < timedelta(seconds=10)
    assert query["sp"] == ["r"]
    assert query["spr"] == ["https"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"storage_account": "account"}, "container_name"),
        ({"container_name": "", "storage_account": "account"}, "container_name"),
        ({"container_name": "a", "container": "b", "storage_account": "account"}, "container_name or container"),
        ({"container_name": "chats"}, "storage_account"),
        ({"container_name": "chats", "storage_account": "account", "storage_key": "no base64!"}, "storage_key"),
        ({"container_name": "chats", "storage_account": "account", "storage_key": ""}, "storage_key"),
        (
            {"container_name": "chats", "storage_account": "account", "storage_key": KEY, "credential": KEY},
            "credential",
        ),
        ({"container_name": "chats", "storage_account": "account", "credential": 7}, "credential"),
        ({"container_name": "chats", "storage_account": "account", "credential": "sv=1&sig=x"}, "credential"),
        ({"container_name": "chats", "account_url": "account.blob.core.windows.net"}, "account_url"),
        ({"container_name": "chats", "account_url": "http://127.0.0.1:10000"}, "account_url"),
    ],
)
def test_wrong_argument_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        AzureBlobStorageClient(**arguments)


def test_wrong_key_is_not_quoted() -> None:
    with pytest.raises(ConfigurationError) as caught:
        AzureBlobStorageClient("chats", "account", "my secret key")
    assert "my secret" not in str(caught.value)


def test_missing_sdk_gives_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.storage.blob", None)

    with pytest.raises(MissingDependencyError, match=r"pip install 'chainlit-dynamodb\[azure-blob\]'"):
        AzureBlobStorageClient("chats", "account", KEY)


def test_missing_identity_sdk_is_missed_only_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)

    AzureBlobStorageClient("chats", "account", KEY)
    with pytest.raises(MissingDependencyError, match=r"azure-identity.*chainlit-dynamodb\[azure-blob\]"):
        AzureBlobStorageClient("chats", "account")


async def test_prefix_is_a_folder_inside_the_container(
    azurite: BlobServiceClient, azurite_url: str, container: str, azure_blob_storage: Storage
) -> None:
    client = AzureBlobStorageClient(container, None, ACCOUNT_KEY, account_url=azurite_url, prefix="/chats/prod/")
    key = f"{uuid.uuid4()}.txt"

    stored = await client.upload_file(key, b"data")
    names = [blob.name for blob in azurite.get_container_client(container).list_blobs("chats/prod/")]
    read = await azure_blob_storage.read(stored["url"])
    await client.delete_file(key)
    await client.close()

    assert names == [f"chats/prod/{key}"]
    assert read.content == b"data"


async def test_keys_that_azure_cannot_hold_are_hashed() -> None:
    client = AzureBlobStorageClient("chats", "account", KEY)
    keys = ["a\\b", "a.", "a./b", "a//b", "/a", "a/", "a\nb", "~sha256/x"]

    names = [await name_of(client, key) for key in keys]
    ordinary = await name_of(client, "user/thread/a b.txt")
    await client.close()

    assert ordinary == "user/thread/a b.txt"
    assert all(name.startswith("~sha256/") for name in names)
    assert len(set(names)) == len(names)


async def test_file_above_a_megabyte_goes_in_blocks(
    azurite: BlobServiceClient, azurite_url: str, container: str
) -> None:
    client = AzureBlobStorageClient(container, None, ACCOUNT_KEY, account_url=azurite_url)
    sizes = {MEGABYTE: 0, MEGABYTE + 1: 1, 20 * MEGABYTE: 3}
    found = {}
    for size in sizes:
        key = str(uuid.uuid4())
        await client.upload_file(key, b"x" * size)
        found[size] = len(azurite.get_blob_client(container, key).get_block_list("committed")[0])
    await client.close()

    assert found == sizes


async def test_blob_with_snapshots_is_deleted(azurite: BlobServiceClient, azurite_url: str, container: str) -> None:
    client = AzureBlobStorageClient(container, None, ACCOUNT_KEY, account_url=azurite_url)
    key = str(uuid.uuid4())
    await client.upload_file(key, b"data")
    azurite.get_blob_client(container, key).create_snapshot()

    assert await client.delete_file(key) is True
    await client.close()

    assert not list(azurite.get_container_client(container).list_blobs(key, include=["snapshots"]))


async def test_missing_container_is_a_storage_error_with_container_and_key(azurite_url: str) -> None:
    client = AzureBlobStorageClient("no-such-container", None, ACCOUNT_KEY, account_url=azurite_url)

    with pytest.raises(StorageError, match=r"no-such-container.*'the/key'.*ContainerNotFound") as caught:
        await client.upload_file("the/key", b"data")
    with pytest.raises(StorageError, match="ContainerNotFound"):
        await client.delete_file("the/key")
    await client.close()

    assert caught.value.__cause__ is not None


async def test_wrong_key_signs_urls_that_are_refused(
    azurite_url: str, container: str, azure_blob_storage: Storage
) -> None:
    client = AzureBlobStorageClient(container, None, KEY, account_url=azurite_url)

    with pytest.raises(StorageError, match="AuthorizationFailure") as caught:
        await client.upload_file("key", b"data")
    response = await azure_blob_storage.read(await url_of(client))

    assert response.status_code == 403
    assert "\n" not in str(caught.value)


async def test_unreachable_endpoint_is_a_storage_error() -> None:
    options = {"retry_total": 0, "retry_policy": None}
    client = AzureBlobStorageClient("chats", None, KEY, account_url="http://127.0.0.1:1/account", options=options)

    with pytest.raises(StorageError, match=r"chats.*'the/key'"):
        await client.upload_file("the/key", b"data")
    await client.close()


@pytest.mark.parametrize("size", [10, 9 * MEGABYTE])
async def test_throttling_is_tried_again(size: int) -> None:
    busy = Answer(503, b"", {"x-ms-error-code": "ServerBusy"})

    def answer(asked: Asked) -> Answer:
        if asked.method == "PUT" and len(service.asked) == 1:
            return busy
        return Answer(201, b"", {"ETag": '"1"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"})

    with fake_service(answer) as service:
        client = AzureBlobStorageClient("chats", None, KEY, account_url=f"{service.url}/account")
        await client.upload_file("key", b"x" * size)
        await client.close()

    first, again = service.asked[:2]
    assert (first.path, first.query, first.body) == (again.path, again.query, again.body)
    assert len(again.body) in (size, 8 * MEGABYTE)


async def test_blocks_thrown_away_by_another_upload_are_sent_again() -> None:
    def answer(asked: Asked) -> Answer:
        commits = [one for one in service.asked if one.query.get("comp") == ["blocklist"]]
        if commits and len(commits) < 3 and asked is commits[-1]:
            return Answer(400, b"", {"x-ms-error-code": "InvalidBlockList"})
        return Answer(201, b"", {"ETag": '"1"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"})

    with fake_service(answer) as service:
        client = AzureBlobStorageClient("chats", None, KEY, account_url=f"{service.url}/account")
        await client.upload_file("key", b"x" * (9 * MEGABYTE))
        await client.close()

    blocks = [asked.query["blockid"][0] for asked in service.asked if asked.query["comp"] == ["block"]]
    assert len(set(blocks)) == len(blocks) == 6


async def test_timeouts_and_retries_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []
    client = AzureBlobStorageClient("chats", "account", KEY, options={"read_timeout": 7})

    def sdk(_: str, **arguments: Any) -> Any:
        made.append(arguments)
        raise ConnectionError("seen enough")

    monkeypatch.setattr("azure.storage.blob.aio.BlobServiceClient", sdk)
    with pytest.raises(StorageError, match="seen enough"):
        await client.get_read_url("key")

    assert made[0]["connection_timeout"] == azure_session.CONNECT_TIMEOUT_SECONDS
    assert made[0]["read_timeout"] == 7
    assert made[0]["retry_policy"].total_retries == azure_session.RETRIES


async def test_taken_key_is_said_for_blocks_too(azurite_url: str, container: str) -> None:
    client = AzureBlobStorageClient(container, None, ACCOUNT_KEY, account_url=azurite_url)
    key = str(uuid.uuid4())
    await client.upload_file(key, b"x" * (2 * MEGABYTE), overwrite=False)

    with pytest.raises(ObjectExistsError, match=key):
        await client.upload_file(key, b"y" * (2 * MEGABYTE), overwrite=False)
    await client.close()


async def test_loop_runs_on_during_a_big_upload(azurite_url: str, container: str) -> None:
    client = AzureBlobStorageClient(container, None, ACCOUNT_KEY, account_url=azurite_url)
    await client.upload_file("warm", b"")
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.001)
            longest = max(longest, loop.time() - before)

    watcher = asyncio.create_task(watch())
    await client.upload_file(str(uuid.uuid4()), b"x" * (30 * MEGABYTE))
    watcher.cancel()
    await client.close()

    assert longest < 0.5


async def test_urls_do_not_wait_for_uploads() -> None:
    arrived, released = threading.Semaphore(0), threading.Event()

    def answer(_: Asked) -> Answer:
        arrived.release()
        released.wait(20)
        return Answer(201, b"", {"ETag": '"1"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"})

    with fake_service(answer) as service:
        client = AzureBlobStorageClient("chats", None, KEY, account_url=f"{service.url}/account")
        uploads = [asyncio.create_task(client.upload_file(str(n), b"data")) for n in range(2 * CONCURRENCY)]
        for _ in range(CONCURRENCY):
            await asyncio.to_thread(arrived.acquire)
        url = await asyncio.wait_for(client.get_read_url("key"), 5)
        under_way = len(service.asked)
        released.set()
        await asyncio.gather(*uploads)
        await client.close()

    assert url.startswith(f"{service.url}/account/chats/key?")
    assert under_way == CONCURRENCY
