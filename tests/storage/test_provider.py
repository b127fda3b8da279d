"""Who may keep the files of a data layer: mypy holds that each of these is a `StorageProvider`."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from pathlib import Path

import pytest
from chainlit.data.storage_clients.s3 import S3StorageClient as ChainlitsS3StorageClient

from chainlit_dynamodb import LocalStorageClient, StorageProvider


class OldClient:
    """A third party's client from before `content_disposition`."""

    async def upload_file(
        self, object_key: str, data: bytes, mime: str = "", overwrite: bool = True
    ) -> dict[str, str]:
        return {"object_key": object_key}

    async def delete_file(self, object_key: str) -> bool:
        return True

    async def get_read_url(self, object_key: str) -> str:
        return object_key

    async def close(self) -> None:
        pass


def ours(folder: Path) -> StorageProvider:
    return LocalStorageClient(folder)


def chainlits(_: Path) -> StorageProvider:
    provider: StorageProvider = ChainlitsS3StorageClient("chats", region_name="eu-west-1")
    return provider


def third_partys(_: Path) -> StorageProvider:
    return OldClient()


@pytest.mark.parametrize("make", [ours, chainlits, third_partys])
async def test_any_client_is_a_provider(make: Callable[[Path], StorageProvider], tmp_path: Path) -> None:
    provider = make(tmp_path)

    assert await provider.get_read_url(object_key="key")
    assert iscoroutinefunction(provider.close)  # which fails in Chainlit's own client for S3
