"""Keys wrapped with a file, for development."""

from __future__ import annotations

import asyncio
import base64
import multiprocessing
import stat
from pathlib import Path

import pytest

from chainlit_dynamodb import CipherError, KeyProvider, LocalKeys


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "keys"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def text_of(path: Path) -> str:
    return path.read_text()


def write(path: Path, text: str) -> None:
    path.write_text(text)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_key_is_unwrapped_to_what_it_was(file: Path) -> None:
    secret, wrapped = await LocalKeys(file).new_key("alice")
    assert len(secret) == 32
    assert secret not in wrapped
    assert await LocalKeys(file).unwrap(wrapped, "alice") == secret


async def test_every_key_is_another(file: Path) -> None:
    keys = LocalKeys(file)
    assert len({(await keys.new_key("alice"))[0] for _ in range(100)}) == 100


async def test_the_file_is_its_owners_alone(file: Path) -> None:
    await LocalKeys(file).new_key("alice")
    assert mode_of(file) == 0o600
    assert names_in(file.parent) == ["keys"]


async def test_a_key_is_its_users(file: Path) -> None:
    keys = LocalKeys(file)
    _, wrapped = await keys.new_key("alice")
    for other in ("bob", "", "alice\0"):
        with pytest.raises(CipherError, match="Was the file made anew"):
            await keys.unwrap(wrapped, other)


async def test_the_first_line_wraps_and_all_lines_unwrap(file: Path) -> None:
    secret, wrapped = await LocalKeys(file).new_key("alice")
    new = base64.b64encode(b"n" * 32).decode()
    write(file, f"{new}\n{text_of(file)}")
    again = await LocalKeys(file).rewrap(wrapped, "alice")
    write(file, new + "\n")
    assert await LocalKeys(file).unwrap(again, "alice") == secret
    with pytest.raises(CipherError):
        await LocalKeys(file).unwrap(wrapped, "alice")


@pytest.mark.parametrize("content", ["", "short", "not base64!", "aGVsbG8=\n", "\xff"])
async def test_a_file_that_holds_no_key_is_a_clear_error(file: Path, content: str) -> None:
    write(file, content)
    with pytest.raises(CipherError, match="key"):
        await LocalKeys(file).new_key("alice")
    assert text_of(file) == content


async def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CipherError, match="FileNotFoundError"):
        await LocalKeys(tmp_path / "nowhere" / "keys").new_key("alice")


def _made_in_a_process(path: Path) -> bytes:
    asyncio.run(LocalKeys(path).new_key("alice"))
    return path.read_bytes()


def test_processes_that_start_at_once_make_one_file(file: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert len(set(pool.map(_made_in_a_process, [file] * 8))) == 1


async def test_it_says_that_it_is_for_development(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    LocalKeys(file)
    assert "for development" in caplog.text


async def test_a_closed_one_can_be_used_again(file: Path) -> None:
    keys = LocalKeys(file)
    secret, wrapped = await keys.new_key("alice")
    await keys.close()
    assert await keys.unwrap(wrapped, "alice") == secret


def test_it_is_a_key_provider(file: Path) -> None:
    provider: KeyProvider = LocalKeys(file, key_table="keys")
    assert provider.key_table == "keys"
