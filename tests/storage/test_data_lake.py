"""What only Data Lake does: arguments, names without folders, and a file that appears by a rename."""

from __future__ import annotations

import base64
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob import BlobServiceClient

import chainlit_dynamodb
from chainlit_dynamodb.errors import ConfigurationError, MissingDependencyError, StorageError
from chainlit_dynamodb.storage.azure_data_lake import AzureStorageClient
from chainlit_dynamodb.testing.azurite import ACCOUNT_KEY

from .conftest import Storage, name_of
from .fake_service import Answer, Asked, fake_service
from .lost_requests import LostRequests

MEGABYTE = 1024 * 1024
URL = "https://account.dfs.core.windows.net"
KEY = base64.b64encode(b"secret" * 10).decode()


async def url_of(client: AzureStorageClient, key: str = "a/b c.txt") -> str:
    url = await client.get_read_url(key)
    await client.close()
    return url


def test_it_has_a_second_name() -> None:
    assert chainlit_dynamodb.AzureDataLakeStorageClient is chainlit_dynamodb.AzureStorageClient is AzureStorageClient


@pytest.mark.parametrize(
    "arguments",
    [
        {"account_url": URL, "credential": KEY, "container_name": "chats"},
        {"account_url": URL, "credential": KEY, "container": "chats"},
        {
            "account_url": URL + "/",
            "credential": {"account_name": "account", "account_key": KEY},
            "container": "chats",
        },
        {"account_url": URL, "credential": AzureNamedKeyCredential("account", KEY), "container": "chats"},
        {"account_url": "https://account.blob.core.windows.net", "credential": KEY, "container": "chats"},
    ],
)
async def test_arguments_of_the_seed_and_of_chainlit_mean_the_same(arguments: dict[str, Any]) -> None:
    lost = LostRequests()
    client = AzureStorageClient(**arguments, options=lost.options)

    with pytest.raises(StorageError, match="lost"):
        await client.delete_file("key")
    url = urlsplit(await url_of(client))
    assert lost.urls[0].startswith(f"{URL}/chats/")
    assert (url.netloc, url.path) == ("account.blob.core.windows.net", "/chats/a~2Fb~20c.txt")
    assert "sig=" in url.query


async def test_arguments_have_the_order_of_chainlit() -> None:
    client = AzureStorageClient(URL, "chats", None, "?sp=r&sig=x")

    assert await url_of(client, "a") == "https://account.blob.core.windows.net/chats/a?sp=r&sig=x"


async def test_signature_of_the_account_needs_one_for_readers_too() -> None:
    client = AzureStorageClient(URL, "chats", AzureSasCredential("sp=rwdl&sig=x"), "sp=r&sig=y")

    assert (await url_of(client, "a")).endswith("?sp=r&sig=y")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"account_url": None, "container": "chats"}, "account_url"),
        ({"account_url": "account", "container": "chats"}, "account_url"),
        ({"account_url": URL}, "container"),
        ({"account_url": URL, "container": "a", "container_name": "b"}, "container or container_name"),
        ({"account_url": URL, "container": "a", "credential": "no base64!"}, "credential"),
        ({"account_url": URL, "container": "a", "credential": {"account_name": "x"}}, "credential"),
        ({"account_url": URL, "container": "a", "credential": "sp=rw&sig=x"}, "sas_token"),
        ({"account_url": URL, "container": "a", "credential": KEY, "sas_token": "sp=rw&sig=x"}, "sas_token"),
        ({"account_url": URL, "container": "a", "credential": KEY, "sas_token": "garbage"}, "sas_token"),
    ],
)
def test_wrong_argument_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        AzureStorageClient(**arguments)


def test_missing_sdk_gives_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.storage.filedatalake", None)

    with pytest.raises(MissingDependencyError, match=r"pip install 'chainlit-dynamodb\[azure\]'"):
        AzureStorageClient(URL, "chats", KEY)


async def test_every_key_is_one_short_name_without_folders() -> None:
    client = AzureStorageClient(URL, "chats", KEY, prefix="prod")
    keys = ["user/thread/a.txt", "user", "a~2Fb", "a/b", "..", ".", "a.", "x" * 990, "日" * 320, "~sha256-x", "a%2Fb"]

    names = [await name_of(client, key) for key in keys]
    await client.close()

    assert names[0] == "prod/user~2Fthread~2Fa.txt"
    assert len(set(names)) == len(names)
    for name in names:
        folder, _, file = name.partition("/")
        assert folder == "prod"
        assert "/" not in file
        assert len(file) <= 200
        assert not file.endswith(".")
        assert not file.startswith("~upload-")


async def test_unfinished_upload_is_invisible_and_removed(
    azurite: BlobServiceClient, data_lake_url: str, azurite_url: str, container: str
) -> None:
    folder = str(uuid.uuid4())
    seen: list[list[str]] = []
    blobs = azurite.get_container_client(container)

    class BreaksBeforeTheRename(AioHttpTransport):  # type: ignore[misc]
        async def send(self, request: Any, **options: Any) -> Any:
            if "x-ms-rename-source" not in request.headers:
                return await super().send(request, **options)
            seen.append([blob.name for blob in blobs.list_blobs(folder)])
            raise ConnectionResetError("in the middle")

    options = {"transport": BreaksBeforeTheRename()}
    client = AzureStorageClient(
        data_lake_url, container, ACCOUNT_KEY, blob_url=azurite_url, prefix=folder, options=options
    )
    with pytest.raises(StorageError, match="in the middle"):
        await client.upload_file("key", b"data")
    await client.close()

    assert [name.rpartition("-")[0] for name in seen[0]] == [f"{folder}/~upload"]
    assert not list(blobs.list_blobs(folder))


async def test_failed_replacement_leaves_the_old_file(
    data_lake_url: str, azurite_url: str, container: str, data_lake_storage: Storage
) -> None:
    client = AzureStorageClient(data_lake_url, container, ACCOUNT_KEY, blob_url=azurite_url)
    key = str(uuid.uuid4())
    await client.upload_file(key, b"old")

    async def breaking() -> AsyncIterator[bytes]:
        yield b"new"
        raise ConnectionResetError

    with pytest.raises((StorageError, ConnectionResetError)):
        await client.upload_file(key, breaking())
    read = await data_lake_storage.read(await url_of(client, key))

    assert read.content == b"old"


async def test_missing_container_is_a_storage_error_with_container_and_key(
    data_lake_url: str, azurite_url: str
) -> None:
    client = AzureStorageClient(data_lake_url, "no-such-container", ACCOUNT_KEY, blob_url=azurite_url)

    with pytest.raises(StorageError, match=r"no-such-container.*'the/key'.*FilesystemNotFound"):
        await client.upload_file("the/key", b"data")
    with pytest.raises(StorageError, match="FilesystemNotFound"):
        await client.delete_file("the/key")
    await client.close()


def lake(service_answer: dict[str, Answer]) -> Any:
    """Answer as Data Lake does, one call by its own rule."""

    def answer(asked: Asked) -> Answer:
        kind = "rename" if "x-ms-rename-source" in asked.headers else asked.query.get("action", [asked.method])[0]
        return service_answer.get(kind, Answer(202 if kind == "append" else 200 if kind == "flush" else 201))

    return answer


async def test_calls_are_those_of_data_lake() -> None:
    with fake_service(lake({})) as service:
        client = AzureStorageClient(f"{service.url}/account", "chats", KEY)
        await client.upload_file(
            "a/b", b"x" * (9 * MEGABYTE), "video/mp4", overwrite=False, content_disposition='inline; filename="a"'
        )
        await client.close()

    create, first, second, flush, rename = service.asked
    assert create.query == {"resource": ["file"]}
    assert [(one.query["position"], len(one.body)) for one in (first, second)] == [
        (["0"], 8 * MEGABYTE),
        ([str(8 * MEGABYTE)], MEGABYTE),
    ]
    assert flush.query["position"] == [str(9 * MEGABYTE)]
    assert flush.headers["x-ms-content-type"] == "video/mp4"
    assert flush.headers["x-ms-content-disposition"] == 'inline; filename="a"'
    assert rename.path == "/account/chats/a~2Fb"
    assert rename.headers["if-none-match"] == "*"
    assert rename.headers["x-ms-rename-source"] == create.path.removeprefix("/account")


async def test_rename_whose_answer_was_lost_has_happened() -> None:
    gone = Answer(404, b"", {"x-ms-error-code": "SourcePathNotFound"})
    with fake_service(lake({"rename": gone})) as service:
        client = AzureStorageClient(f"{service.url}/account", "chats", KEY)
        stored = await client.upload_file("key", b"data")
        await client.close()

    assert stored["object_key"] == "key"
