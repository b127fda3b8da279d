"""What every storage client does with URLs it has signed, and what does not keep it from signing more."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chainlit_dynamodb.storage import signed_url
from chainlit_dynamodb.storage.base import CONCURRENCY, StorageClient

from .conftest import Storage

ASKED_SECONDS = 5


@pytest.fixture
def key() -> str:
    return f"user/{uuid.uuid4()}/file.bin"


@pytest.fixture
def pipes(tmp_path: Path) -> Iterator[list[Path]]:
    """Files that nobody writes to: who opens one is held up, until the test is over."""
    paths = [tmp_path / f"pipe-{number}" for number in range(CONCURRENCY)]
    for path in paths:
        os.mkfifo(path)
    yield paths
    for path in paths:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))


async def test_stalled_uploads_keep_no_url_from_being_signed(
    client: StorageClient, key: str, pipes: list[Path]
) -> None:
    await client.get_read_url(f"{key}.first")
    uploads = [asyncio.create_task(client.upload_file(f"{key}/{path.name}", path)) for path in pipes]
    await asyncio.sleep(0.2)

    url = await asyncio.wait_for(client.get_read_url(key), ASKED_SECONDS)

    assert url
    assert not any(upload.done() for upload in uploads)
    for path in pipes:
        with suppress(BrokenPipeError):  # who reads it may have been done before
            await asyncio.to_thread(path.write_bytes, b"at last")
    await asyncio.gather(*uploads, return_exceptions=True)  # a pipe cannot be read twice, which some want


async def test_url_is_the_same_for_half_its_life(storage: Storage, key: str) -> None:
    client = storage.make(6)

    first = await client.get_read_url(key)
    await asyncio.sleep(1.5)  # signatures know whole seconds
    again = await client.get_read_url(key)
    await asyncio.sleep(2)
    later = await client.get_read_url(key)
    await client.close()

    assert first == again != later


async def test_url_of_a_replaced_file_is_another(client: StorageClient, storage: Storage, key: str) -> None:
    await client.upload_file(key, b"old")
    before = await client.get_read_url(key)
    await asyncio.sleep(1.1)

    await client.upload_file(key, b"new")
    after = await client.get_read_url(key)

    assert after != before
    assert (await storage.read(after)).content == b"new"


async def test_url_of_a_deleted_file_is_handed_out_no_longer(client: StorageClient, key: str) -> None:
    await client.upload_file(key, b"old")
    before = await client.get_read_url(key)
    await asyncio.sleep(1.1)

    await client.delete_file(key)

    assert await client.get_read_url(key) != before


async def test_kept_urls_are_bounded(storage: Storage, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed_url, "KEPT_URLS", 20)
    client = storage.make(None)

    await asyncio.gather(*(client.get_read_url(f"{key}/{number}") for number in range(50)))
    await client.close()

    assert len(client._urls._urls) <= 20
