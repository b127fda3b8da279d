"""What is printed, by a debugger or in a traceback with locals, shows no key: clients, layers, and all they hold."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chainlit_dynamodb import (
    AzureBlobStorageClient,
    AzureStorageClient,
    DynamoDBDataLayer,
    GCSStorageClient,
    LocalStorageClient,
    S3StorageClient,
)
from chainlit_dynamodb.dynamodb.endpoint import resolve_target
from chainlit_dynamodb.storage.signed_url import SignedURL

from .conftest import SIGNER

SECRET = "a-secret-of-at-least-thirty-two-bytes"
AZURE_KEY = base64.b64encode(SECRET.encode()).decode()
READ_TOKEN = f"sp=r&sig={SECRET}"


def parts_of(thing: Any, seen: set[int]) -> Iterator[Any]:
    """Give what this package made and holds, all the way down."""
    if id(thing) in seen or not type(thing).__module__.startswith("chainlit_dynamodb"):
        return
    seen.add(id(thing))
    yield thing
    for held in getattr(thing, "__dict__", {}).values():
        yield from parts_of(held, seen)


def made(tmp_path: Path, private_pem: str) -> list[Any]:
    s3 = S3StorageClient("b", region_name="eu-west-1", aws_access_key_id="id", aws_secret_access_key=SECRET)
    return [
        s3,
        AzureBlobStorageClient("c", "account", AZURE_KEY),
        AzureStorageClient("https://account.dfs.core.windows.net", "c", AZURE_KEY),
        AzureStorageClient("https://account.dfs.core.windows.net", "c", f"sp=rw&sig={SECRET}", READ_TOKEN),
        GCSStorageClient("b", "project", SIGNER, private_pem),
        LocalStorageClient(tmp_path / "files", secret=SECRET),
        DynamoDBDataLayer("chats", storage_provider=s3),
        SignedURL(f"https://bucket/file?sig={SECRET}", 3600),
    ]


@pytest.mark.filterwarnings("ignore")
def test_nothing_that_can_be_printed_shows_a_key(tmp_path: Path, private_pem: str) -> None:
    things = [part for each in made(tmp_path, private_pem) for part in parts_of(each, set())]

    assert len(things) > 20
    for thing in things:
        assert not any(secret in repr(thing) for secret in (SECRET, AZURE_KEY, private_pem)), type(thing)


async def test_a_client_that_has_signed_shows_no_key_and_no_url(tmp_path: Path, private_pem: str) -> None:
    for client in made(tmp_path, private_pem)[:6]:
        url = await client.get_read_url("key")
        for part in parts_of(client, set()):
            assert SECRET not in repr(part)
            assert url not in repr(part)
        await client.close()


def test_where_requests_go_shows_no_password_of_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{SECRET}@proxy:3128")
    target = resolve_target("eu-west-1", None, {})

    assert SECRET not in repr(target)
