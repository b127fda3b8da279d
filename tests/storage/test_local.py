"""What only the local folder does: what lies on disk, and who may sign."""

from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from chainlit_dynamodb.errors import ConfigurationError, StorageError
from chainlit_dynamodb.storage.local import LocalStorageClient
from chainlit_dynamodb.storage.local.folder import FileFolder


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "url-secret")


def folders_in(folder: Path) -> list[Path]:
    return [folder, *(path for path in folder.rglob("*") if path.is_dir())]


def has_secret(folder: Path) -> bool:
    return (folder / "url-secret").exists()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def mode_of_open(descriptor: int) -> int:
    return stat.S_IMODE(os.fstat(descriptor).st_mode)


def write_secret(folder: Path, secret: bytes) -> None:
    folder.mkdir()
    (folder / "url-secret").write_bytes(secret)


def secret_of(folder: Path) -> bytes:
    return FileFolder(folder).secret()


def token_of(url: str) -> str:
    return url.rpartition("/")[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.mark.parametrize("path", ["", None])
def test_folder_must_be_named(path: str) -> None:
    with pytest.raises(ConfigurationError, match="path"):
        LocalStorageClient(path)


def test_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="path"):
        LocalStorageClient(tmp_path / "file")


@pytest.mark.parametrize("secret", ["", "x", b"x" * 31, "ü" * 15])
def test_secret_that_can_be_guessed_is_refused(folder: Path, secret: str | bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"secret must have 32 bytes at least.*openssl rand -hex 32"):
        LocalStorageClient(folder, secret=secret)


async def test_damaged_secret_is_not_used(folder: Path) -> None:
    write_secret(folder, b"")
    client = LocalStorageClient(folder)

    with pytest.raises(StorageError, match=r"url-secret is too short to be a secret; delete it"):
        await client.get_read_url("key")
    await client.close()


def test_secret_of_an_older_version_is_taken_as_it_is(folder: Path) -> None:
    write_secret(folder, b"\n" * 32)

    assert secret_of(folder) == b"\n" * 32


def test_secret_is_on_the_disk_before_it_can_be_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    real_sync, real_link = os.fsync, os.link

    def sync(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        done.append(f"{kind} {mode_of_open(descriptor):o}")
        real_sync(descriptor)

    def link(source: Path, target: Path) -> None:
        done.append("link")
        real_link(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "link", link)
    secret_of(folder)

    assert done == ["file 600", "link", "folder 700"]


async def test_constructor_touches_no_disk(folder: Path) -> None:
    await LocalStorageClient(folder).close()

    assert files_in(folder.parent) == []


@pytest.mark.parametrize("key", ["../../outside.txt", "/etc/passwd", "a\x00b", "CON", "n" * 1000])
async def test_no_text_of_a_user_is_part_of_a_path(folder: Path, key: str) -> None:
    client = LocalStorageClient(folder)
    await client.upload_file(key, b"data")
    await client.close()

    names = [path.relative_to(folder) for path in files_in(folder)]
    assert len(names) == 2
    assert all(set(path.as_posix()) <= set("0123456789abcdef./files.json") for path in names)
    assert files_in(folder.parent) == files_in(folder)


async def test_replaced_and_deleted_files_leave_nothing_behind(folder: Path) -> None:
    client = LocalStorageClient(folder)
    for content in [b"one", b"two", b"three"]:
        await client.upload_file("key", content)
    replaced = files_in(folder)
    with pytest.raises(StorageError):
        await client.upload_file("key", b"four", overwrite=False)
    refused = files_in(folder)
    await client.delete_file("key")
    await client.close()

    assert len(replaced) == 2
    assert refused == replaced
    assert files_in(folder) == []


async def test_failed_upload_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    client = LocalStorageClient(folder)
    monkeypatch.setattr("chainlit_dynamodb.storage.local.folder.os.fsync", full)

    with pytest.raises(StorageError, match=r"'the/key'.*No space left"):
        await client.upload_file("the/key", b"data")
    await client.close()

    assert files_in(folder) == []


async def test_secret_and_files_are_for_their_owner_only(folder: Path) -> None:
    client = LocalStorageClient(folder)
    await client.upload_file("key", b"data")
    await client.close()

    assert mode_of(folder / "url-secret") == 0o600
    assert len(secret_of(folder)) == 64
    assert {mode_of(path) for path in folders_in(folder)} == {0o700}


def test_processes_that_start_together_agree_on_the_secret(folder: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        secrets = pool.map(secret_of, [folder] * 16)

    assert len(set(secrets)) == 1
    assert [path.name for path in folder.iterdir()] == ["url-secret"]


async def test_url_opens_with_the_secret_that_signed_it_only(tmp_path: Path) -> None:
    one, other = LocalStorageClient(tmp_path, secret="one" * 11), LocalStorageClient(tmp_path, secret=b"other" * 7)
    token = token_of(await one.get_read_url("key"))

    assert await one.accepted_digest(token) == FileFolder.digest(b"key")
    assert await other.accepted_digest(token) is None
    await one.close()
    await other.close()


async def test_given_secret_is_not_written(folder: Path) -> None:
    client = LocalStorageClient(folder, secret="mine" * 8)
    await client.upload_file("key", b"data")
    await client.close()

    assert not has_secret(folder)


async def test_every_altered_character_of_a_url_is_noticed(folder: Path) -> None:
    client = LocalStorageClient(folder)
    token = token_of(await client.get_read_url("key"))
    # The last character of 43 in base64 holds bits that no byte uses: it is compared as text all the same.
    altered = [token[:at] + ("A" if char != "A" else "B") + token[at + 1 :] for at, char in enumerate(token)]

    assert [await client.accepted_digest(text) for text in altered] == [None] * len(token)
    await client.close()


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "../../etc/passwd", "é" * 64, "\n", "٣" * 64 + ".٣." + "a" * 43]
)
async def test_senseless_token_is_refused(folder: Path, token: str) -> None:
    client = LocalStorageClient(folder)

    assert await client.accepted_digest(token) is None
    await client.close()


@pytest.mark.parametrize(
    ("parent", "own", "start"),
    [
        ("", "", "/chainlit-dynamodb/"),
        ("", "/chat", "/chat/chainlit-"),
        ("/app", "/chat/", "/app/chat/chainlit-"),
    ],
)
async def test_url_stands_under_the_root_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch, parent: str, own: str, start: str
) -> None:
    monkeypatch.setenv("CHAINLIT_PARENT_ROOT_PATH", parent)
    monkeypatch.setenv("CHAINLIT_ROOT_PATH", own)
    client = LocalStorageClient(folder)

    assert (await client.get_read_url("key")).startswith(start)
    await client.close()


def test_module_loads_neither_chainlit_nor_a_server_nor_an_sdk() -> None:
    code = (
        "import sys, chainlit_dynamodb as c; c.LocalStorageClient('x'); c.S3StorageClient;"
        "print([m for m in sys.modules if m.split('.')[0] in ('chainlit', 'starlette', 'boto3', 'botocore')])"
    )

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"
