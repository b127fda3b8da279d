"""One URL names a storage."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from chainlit_dynamodb import storage_from_url
from chainlit_dynamodb.errors import ConfigurationError
from chainlit_dynamodb.storage.azure_blob import AzureBlobStorageClient
from chainlit_dynamodb.storage.azure_data_lake import AzureStorageClient
from chainlit_dynamodb.storage.gcs import GCSStorageClient
from chainlit_dynamodb.storage.local import LocalStorageClient
from chainlit_dynamodb.storage.s3 import S3StorageClient

from .conftest import Storage

KEY = base64.b64encode(b"secret" * 10).decode()


@pytest.fixture(autouse=True)
def azure_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_KEY", KEY)


@pytest.mark.parametrize(
    ("url", "kind", "start"),
    [
        ("s3://bucket?region=eu-west-1", S3StorageClient, "https://bucket.s3.eu-west-1.amazonaws.com/a.txt?"),
        (
            "s3://bucket/x/y%20z/?region=eu-west-1",
            S3StorageClient,
            "https://bucket.s3.eu-west-1.amazonaws.com/x/y%20z/a",
        ),
        ("s3://bucket?region=x&endpoint_url=http://minio:9000", S3StorageClient, "http://minio:9000/bucket/a.txt?"),
        ("az://account/chats", AzureBlobStorageClient, "https://account.blob.core.windows.net/chats/a.txt?"),
        ("az://account/chats/x/y", AzureBlobStorageClient, "https://account.blob.core.windows.net/chats/x/y/a.txt?"),
        (
            "az://account/chats?endpoint_suffix=core.chinacloudapi.cn",
            AzureBlobStorageClient,
            "https://account.blob.core.chinacloudapi.cn/chats/a.txt?",
        ),
        (
            "az://account/chats?account_url=http://127.0.0.1:10000/account",
            AzureBlobStorageClient,
            "http://127.0.0.1:10000/account/chats/a.txt?",
        ),
        (
            "abfss://chats@account.dfs.core.windows.net",
            AzureStorageClient,
            "https://account.blob.core.windows.net/chats/a.txt?",
        ),
        (
            "abfss://chats@account.dfs.core.windows.net/x/y",
            AzureStorageClient,
            "https://account.blob.core.windows.net/chats/x/y/a.txt?",
        ),
    ],
)
async def test_url_names_the_storage(url: str, kind: type, start: str) -> None:
    client = storage_from_url(url)

    assert isinstance(client, kind)
    assert (await client.get_read_url("a.txt")).startswith(start)
    await client.close()


async def test_gs_names_a_bucket_and_a_folder(
    private_pem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = {
        "type": "service_account",
        "client_email": "a@b.c",
        "private_key": private_pem,
        "token_uri": "https://x",
    }
    (tmp_path / "key.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))

    client = storage_from_url("gs://bucket/x/y?project_id=p&url_lifetime_seconds=60")

    assert isinstance(client, GCSStorageClient)
    url = await client.get_read_url("a.txt")
    assert url.startswith("https://storage.googleapis.com/bucket/x/y/a.txt?")
    assert "X-Goog-Expires=60" in url
    await client.close()


async def test_file_names_a_folder(tmp_path: Path) -> None:
    client = storage_from_url((tmp_path / "my files").as_uri())

    assert isinstance(client, LocalStorageClient)
    assert client.path == (tmp_path / "my files").resolve()
    await client.close()


async def test_url_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINLIT_STORAGE_URL", tmp_path.as_uri())
    client = storage_from_url()
    await client.close()

    assert isinstance(client, LocalStorageClient)


def test_no_url_at_all_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAINLIT_STORAGE_URL", raising=False)
    with pytest.raises(ConfigurationError, match="CHAINLIT_STORAGE_URL"):
        storage_from_url()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "CHAINLIT_STORAGE_URL"),
        ("bucket", "no scheme"),
        ("http://bucket/x", "http"),
        ("s3:bucket", "names no bucket"),
        ("s3://", "names no bucket"),
        ("s3://bucket:99999999/x", "cannot be understood"),
        ("s3://[bucket/x", "cannot be understood"),
        ("s3://bucket#x", "must be one of"),
        ("s3://key:secret@bucket", "secrets out"),
        ("s3://bucket?regin=x", "'regin'"),
        ("s3://bucket?region=", "'region'"),
        ("s3://bucket?region=a&region=b", "'region'"),
        ("s3://bucket?aws_secret_access_key=x", "'aws_secret_access_key'"),
        ("s3://bucket?url_lifetime_seconds=soon", "url_lifetime_seconds"),
        ("az://account", "az://account/container"),
        ("az:///chats", "names no account"),
        ("abfss://account.dfs.core.windows.net/chats", "abfss://container@"),
        ("abfss://chats:secret@account.dfs.core.windows.net", "secrets out"),
        ("gs://", "names no bucket"),
        ("file://relative/path", "whole path"),
        ("file:///", "whole path"),
    ],
)
def test_garbage_is_refused_in_words(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        storage_from_url(url)
    assert "secret@" not in str(caught.value)


async def test_stores_and_reads_on_a_real_engine(
    azurite_url: str, container: str, azure_blob_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chainlit_dynamodb.testing.azurite import ACCOUNT, ACCOUNT_KEY

    monkeypatch.setenv("AZURE_STORAGE_KEY", ACCOUNT_KEY)
    client = storage_from_url(f"az://{ACCOUNT}/{container}/folder?account_url={azurite_url}")
    stored = await client.upload_file(str(uuid.uuid4()), b"data")
    await client.close()

    assert (await azure_blob_storage.read(stored["url"])).content == b"data"


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("s3://bucket?region=x", "boto3"),
        ("az://account/chats", "azure"),
        ("gs://bucket", "google"),
        ("file:///tmp/files-of-nobody", ""),
    ],
)
def test_only_the_sdk_of_that_cloud_is_imported(url: str, own: str, tmp_path: Path) -> None:
    script = f"""
import sys, chainlit_dynamodb
chainlit_dynamodb.storage_from_url({url!r})
sdks = {{"boto3": "boto3", "azure": "azure.core", "google": "google.cloud.storage"}}
loaded = {{name for name, module in sdks.items() if module in sys.modules}}
assert loaded <= {{{own!r}}}, loaded
"""
    arguments: dict[str, Any] = {"cwd": tmp_path, "capture_output": True, "text": True, "check": False}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], **arguments)
    assert done.returncode == 0, done.stderr
