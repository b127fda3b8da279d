"""What every storage client does; each fact is checked on each of them."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chainlit_dynamodb.errors import ObjectExistsError, StorageError
from chainlit_dynamodb.storage.base import StorageClient
from chainlit_dynamodb.storage.data import Data
from chainlit_dynamodb.storage.headers import content_disposition

from .conftest import (
    CONDITIONS,
    CONDITIONS_OF_PARTS,
    DISPOSITIONS,
    PARAMETERS,
    SLASHES,
    Storage,
)

MEGABYTE = 1024 * 1024
ODD_KEYS = [
    "plain.txt",
    "with space and + and ~.txt",
    "half # hash? and & and = and %41.txt",
    "ünïcode/日本語/🙂.txt",
    "quo\"tes'and`ticks\\and;semi:colons.txt",
    "../../etc/passwd",
    "a/./b/../c/..",
    "a/../b",
    "..",
    "a/..~/b",
    "/leading/slash",
    "double//slash//",
    "trailing/",
    "new\nline\ttab",
    "*<>|{}[]^$!@(),",
    "k" * 990,
    "日" * 320,
]


async def stream(content: bytes, size: int = 70_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        await asyncio.sleep(0)
        yield content[start : start + size]


async def failing_stream() -> AsyncIterator[bytes]:
    yield b"half"
    raise ConnectionResetError("the user left")


@pytest.fixture
def key() -> str:
    return f"user/{uuid.uuid4()}/file.bin"


async def test_uploaded_bytes_are_read_back(client: StorageClient, storage: Storage, key: str) -> None:
    stored = await client.upload_file(key, b"\x00\xffbytes", "image/png")

    response = await storage.read(stored["url"])

    assert stored["object_key"] == key
    assert response.status_code == 200
    assert response.content == b"\x00\xffbytes"


async def test_uploaded_text_is_read_back_as_utf_8(client: StorageClient, storage: Storage, key: str) -> None:
    await client.upload_file(key, "größer ✓", "text/plain")

    response = await storage.read(await client.get_read_url(key))

    assert response.content == "größer ✓".encode()


async def test_text_with_a_lone_surrogate_is_stored(client: StorageClient, storage: Storage, key: str) -> None:
    stored = await client.upload_file(key, "a\ud800b", "text/plain")

    assert (await storage.read(stored["url"])).content == b"a?b"


async def test_uploaded_file_is_read_back(client: StorageClient, storage: Storage, key: str, tmp_path: Path) -> None:
    path = tmp_path / "source.bin"
    path.write_bytes(os.urandom(100_000))

    stored = await client.upload_file(key, path)

    assert (await storage.read(stored["url"])).content == path.read_bytes()


async def test_uploaded_stream_is_read_back(client: StorageClient, storage: Storage, key: str) -> None:
    content = os.urandom(500_000)

    stored = await client.upload_file(key, stream(content))

    assert (await storage.read(stored["url"])).content == content


@pytest.mark.parametrize("data", [b"", ""], ids=["bytes", "str"])
async def test_empty_file_is_read_back(client: StorageClient, storage: Storage, key: str, data: Data) -> None:
    stored = await client.upload_file(key, data)

    response = await storage.read(stored["url"])

    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("overwrite", [True, False], ids=["overwriting", "new only"])
@pytest.mark.parametrize("kind", ["bytes", "path", "stream"])
async def test_big_file_is_read_back(
    client: StorageClient, storage: Storage, key: str, tmp_path: Path, kind: str, overwrite: bool
) -> None:
    storage.needs(DISPOSITIONS)
    content = os.urandom(20 * MEGABYTE)
    path = tmp_path / "big.bin"
    path.write_bytes(content)
    data: dict[str, Data] = {"bytes": content, "path": path, "stream": stream(content, 300_000)}

    stored = await client.upload_file(
        key, data[kind], "video/mp4", overwrite=overwrite, content_disposition='inline; filename="big.mp4"'
    )

    response = await storage.read(stored["url"])
    assert response.content == content
    assert response.headers["content-type"] == "video/mp4"
    assert response.headers["content-disposition"] == 'inline; filename="big.mp4"'


@pytest.mark.parametrize("size", [8 * MEGABYTE - 1, 8 * MEGABYTE, 8 * MEGABYTE + 1, 16 * MEGABYTE])
async def test_sizes_around_one_part_are_read_back(
    client: StorageClient, storage: Storage, key: str, size: int
) -> None:
    content = os.urandom(size)

    stored = await client.upload_file(key, content)

    assert (await storage.read(stored["url"])).content == content


@pytest.mark.parametrize(
    "mime",
    [
        "image/png",
        "text/plain",
        "text/plain; charset=latin-1",
        "application/json",
        "application/octet-stream",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ],
)
async def test_media_type_comes_back_unchanged(client: StorageClient, storage: Storage, key: str, mime: str) -> None:
    if ";" in mime:
        storage.needs(PARAMETERS)
    stored = await client.upload_file(key, "{}" * 500, mime)

    assert (await storage.read(stored["url"])).headers["content-type"] == mime


@pytest.mark.parametrize("mime", ["", "text/plain\r\nX-Injected: 1", "ümlaut/ü"])
async def test_impossible_media_type_becomes_octet_stream(
    client: StorageClient, storage: Storage, key: str, mime: str
) -> None:
    stored = await client.upload_file(key, b"data", mime)

    response = await storage.read(stored["url"])

    assert response.headers["content-type"] == "application/octet-stream"
    assert "x-injected" not in response.headers


@pytest.mark.parametrize("name", ["plan.pdf", 'a "quoted" name.pdf', "Übersicht 日本.pdf", "a\r\nb.pdf"])
async def test_file_name_comes_back(client: StorageClient, storage: Storage, key: str, name: str) -> None:
    storage.needs(DISPOSITIONS)
    header = content_disposition(name)

    stored = await client.upload_file(key, b"data", "application/pdf", content_disposition=header)

    assert (await storage.read(stored["url"])).headers["content-disposition"] == header


async def test_disposition_that_is_no_header_is_refused(client: StorageClient, key: str) -> None:
    with pytest.raises(StorageError, match="no header value"):
        await client.upload_file(key, b"data", content_disposition='attachment; filename="a\r\nX: 1"')


@pytest.mark.parametrize("odd_key", ODD_KEYS, ids=range(len(ODD_KEYS)))
async def test_odd_key_is_a_key_like_any_other(client: StorageClient, storage: Storage, odd_key: str) -> None:
    if odd_key.endswith("/"):
        storage.needs(SLASHES)
    stored = await client.upload_file(odd_key, odd_key)
    read = await storage.read(await client.get_read_url(odd_key))
    await client.delete_file(odd_key)
    after = await storage.read(await client.get_read_url(odd_key))

    assert stored["object_key"] == odd_key
    assert read.text == odd_key
    assert after.status_code == 404


async def test_odd_keys_do_not_meet(client: StorageClient, storage: Storage) -> None:
    keys = [key for key in ODD_KEYS if SLASHES not in storage.gaps or not key.endswith("/")]
    for odd_key in keys:
        await client.upload_file(odd_key, odd_key)

    for odd_key in keys:
        assert (await storage.read(await client.get_read_url(odd_key))).text == odd_key


@pytest.mark.parametrize("bad_key", ["", "a\ud800b"])
async def test_impossible_key_is_a_storage_error(client: StorageClient, bad_key: str) -> None:
    with pytest.raises(StorageError, match="object key"):
        await client.upload_file(bad_key, b"data")
    with pytest.raises(StorageError, match="object key"):
        await client.get_read_url(bad_key)
    with pytest.raises(StorageError, match="object key"):
        await client.delete_file(bad_key)


async def test_second_upload_replaces_the_first(client: StorageClient, storage: Storage, key: str) -> None:
    await client.upload_file(key, b"old", "text/plain", content_disposition="inline")
    await client.upload_file(key, b"new one", "application/json")

    response = await storage.read(await client.get_read_url(key))

    assert response.content == b"new one"
    assert response.headers["content-type"] == "application/json"
    assert "content-disposition" not in response.headers


@pytest.mark.parametrize("size", [10, 9 * MEGABYTE])
async def test_upload_without_overwrite_leaves_what_is_there(
    client: StorageClient, storage: Storage, key: str, size: int
) -> None:
    storage.needs(CONDITIONS if size < MEGABYTE else CONDITIONS_OF_PARTS)
    await client.upload_file(key, b"old", overwrite=False)

    with pytest.raises(ObjectExistsError, match="taken"):
        await client.upload_file(key, b"x" * size, overwrite=False)

    assert (await storage.read(await client.get_read_url(key))).content == b"old"


async def test_many_big_uploads_of_one_key_leave_one_whole_file(
    client: StorageClient, storage: Storage, key: str
) -> None:
    contents = [bytes([number]) * (9 * MEGABYTE) for number in range(3)]

    await asyncio.gather(*(client.upload_file(key, content) for content in contents))

    assert (await storage.read(await client.get_read_url(key))).content in contents


async def test_one_of_many_big_uploads_without_overwrite_wins(
    client: StorageClient, storage: Storage, key: str
) -> None:
    storage.needs(CONDITIONS_OF_PARTS)
    contents = [bytes([number]) * (9 * MEGABYTE) for number in range(3)]

    results = await asyncio.gather(
        *(client.upload_file(key, content, overwrite=False) for content in contents), return_exceptions=True
    )

    winners = [content for content, result in zip(contents, results, strict=True) if isinstance(result, dict)]
    assert len(winners) == 1
    assert all(isinstance(result, dict | ObjectExistsError) for result in results)
    assert (await storage.read(await client.get_read_url(key))).content == winners[0]


async def test_file_and_folder_may_have_one_name(client: StorageClient, storage: Storage, key: str) -> None:
    await client.upload_file(f"{key}/below", b"below")
    await client.upload_file(key, b"above")

    await client.delete_file(key)

    assert (await storage.read(await client.get_read_url(f"{key}/below"))).content == b"below"


async def test_one_of_many_uploads_without_overwrite_wins(client: StorageClient, storage: Storage, key: str) -> None:
    storage.needs(CONDITIONS)
    contents = [str(number).encode() for number in range(8)]

    results = await asyncio.gather(
        *(client.upload_file(key, content, overwrite=False) for content in contents), return_exceptions=True
    )

    winners = [content for content, result in zip(contents, results, strict=True) if isinstance(result, dict)]
    assert len(winners) == 1
    assert all(isinstance(result, dict | ObjectExistsError) for result in results)
    assert (await storage.read(await client.get_read_url(key))).content == winners[0]


async def test_many_uploads_of_one_key_leave_one_whole_file(
    client: StorageClient, storage: Storage, key: str
) -> None:
    contents = [bytes([number]) * 50_000 for number in range(12)]

    await asyncio.gather(*(client.upload_file(key, content) for content in contents))

    assert (await storage.read(await client.get_read_url(key))).content in contents


async def test_deleted_file_is_gone(client: StorageClient, storage: Storage, key: str) -> None:
    stored = await client.upload_file(key, b"data")

    assert await client.delete_file(key) is True
    assert (await storage.read(stored["url"])).status_code == 404


async def test_delete_of_a_missing_file_is_true(client: StorageClient, key: str) -> None:
    assert await client.delete_file(key) is True
    assert await client.delete_file(key) is True


async def test_url_of_a_missing_file_is_not_found(client: StorageClient, storage: Storage, key: str) -> None:
    assert (await storage.read(await client.get_read_url(key))).status_code == 404


async def test_source_file_that_is_gone_is_a_storage_error(client: StorageClient, key: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        await client.upload_file(key, tmp_path / "gone.bin")

    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert key in str(caught.value)


async def test_stream_that_breaks_leaves_nothing(client: StorageClient, storage: Storage, key: str) -> None:
    with pytest.raises((StorageError, ConnectionResetError)):
        await client.upload_file(key, failing_stream())

    assert (await storage.read(await client.get_read_url(key))).status_code == 404
