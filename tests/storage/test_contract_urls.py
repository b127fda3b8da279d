"""What every storage client does with URLs, and how it closes; each fact is checked on each of them."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator

import pytest

from chainlit_dynamodb.errors import StorageError
from chainlit_dynamodb.storage.base import StorageClient
from chainlit_dynamodb.storage.data import Data

from .conftest import SIGNATURES, Storage

MEGABYTE = 1024 * 1024


async def stalled_stream() -> AsyncIterator[bytes]:
    yield b"half"
    await asyncio.sleep(3600)


@pytest.fixture
def key() -> str:
    return f"user/{uuid.uuid4()}/file.bin"


async def test_url_lives_as_long_as_asked(storage: Storage, key: str) -> None:
    storage.needs(SIGNATURES)
    client = storage.make(2)
    url = (await client.upload_file(key, b"data"))["url"]

    fresh = await storage.read(url)
    await asyncio.sleep(3.1)
    stale = await storage.read(url)
    await client.close()

    assert (fresh.status_code, stale.status_code) == (200, 403)


async def test_url_lifetime_comes_from_the_environment(
    storage: Storage, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.needs(SIGNATURES)
    monkeypatch.setenv("STORAGE_EXPIRY_TIME", "1")
    client = storage.make(None)
    monkeypatch.delenv("STORAGE_EXPIRY_TIME")
    url = (await client.upload_file(key, b"data"))["url"]

    await asyncio.sleep(2.1)
    stale = await storage.read(url)
    await client.close()

    assert stale.status_code == 403


async def test_url_of_one_file_does_not_open_another(client: StorageClient, storage: Storage, key: str) -> None:
    storage.needs(SIGNATURES)
    other = f"{key}.other"
    await client.upload_file(other, b"secret")
    own = (await client.upload_file(key, b"data"))["url"]
    foreign = await client.get_read_url(other)

    def signature_of(url: str) -> str:
        return url[-43:] if url.startswith("/") else re.split("(?:X-Amz-Signature|X-Goog-Signature|sig)=", url)[1]

    forged = foreign.replace(signature_of(foreign), signature_of(own))

    assert forged != foreign
    assert (await storage.read(forged)).status_code == 403


async def test_urls_are_signed_side_by_side(client: StorageClient, key: str) -> None:
    urls = await asyncio.gather(*(client.get_read_url(f"{key}/{number}") for number in range(200)))

    assert len(set(urls)) == 200


async def test_part_of_a_file_can_be_read(client: StorageClient, storage: Storage, key: str) -> None:
    url = (await client.upload_file(key, b"0123456789" * 1000, "video/mp4"))["url"]

    response = await storage.read(url, Range="bytes=5-14", **{"Accept-Encoding": "gzip"})

    assert response.status_code == 206
    assert response.content == b"5678901234"
    assert response.headers["content-range"] == "bytes 5-14/10000"


async def test_close_again_does_nothing(storage: Storage, key: str) -> None:
    client = storage.make(None)
    await client.upload_file(key, b"data")

    await client.close()
    await client.close()


async def test_unused_client_can_be_closed(storage: Storage) -> None:
    await storage.make(None).close()


async def test_close_waits_for_running_uploads(storage: Storage, key: str) -> None:
    client, reader = storage.make(None), storage.make(None)
    await client.upload_file(f"{key}.first", b"warm")
    upload = asyncio.create_task(client.upload_file(key, b"x" * MEGABYTE))
    await asyncio.sleep(0.005)

    await client.close()
    await asyncio.wait([upload])

    response = await storage.read(await reader.get_read_url(key))
    await reader.close()
    assert len(response.content) == MEGABYTE
    assert response.status_code == 200


async def test_closed_client_says_so(storage: Storage, key: str) -> None:
    client = storage.make(None)
    await client.close()

    with pytest.raises(StorageError, match="closed"):
        await client.get_read_url(key)


async def test_cancelled_upload_leaves_the_client_usable(client: StorageClient, storage: Storage, key: str) -> None:
    sources: list[Data] = [stalled_stream(), b"x" * (20 * MEGABYTE)]
    for source in sources:
        upload = asyncio.create_task(client.upload_file(f"{key}.cancelled", source))
        await asyncio.sleep(0.01)
        upload.cancel()
        await asyncio.wait([upload])

    await client.upload_file(key, b"after")

    assert (await storage.read(await client.get_read_url(key))).content == b"after"
