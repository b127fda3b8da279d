"""`upload_options`: what buckets demand with every upload is sent with every upload, whole or in parts."""

from __future__ import annotations

import base64
import json
import uuid
from pathlib import Path
from typing import Any

import google_crc32c
import httpx
import pytest
from azure.storage.blob import BlobServiceClient, StandardBlobTier

from chainlit_dynamodb.errors import ConfigurationError
from chainlit_dynamodb.storage.azure_blob import AzureBlobStorageClient
from chainlit_dynamodb.storage.azure_data_lake import AzureStorageClient
from chainlit_dynamodb.storage.gcs import GCSStorageClient
from chainlit_dynamodb.storage.s3 import S3StorageClient
from chainlit_dynamodb.testing.azurite import ACCOUNT_KEY

from .conftest import SIGNER
from .fake_service import Answer, Asked, fake_service

MEGABYTE = 1024 * 1024
ENCRYPTION = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:eu-west-1:111122223333:key/mine"}
SIZES = pytest.mark.parametrize("size", [10, 9 * MEGABYTE], ids=["small", "in parts"])


@SIZES
async def test_s3_encrypts_as_it_is_told(
    s3_arguments: dict[str, Any], s3_engine: Any, bucket: str, size: int
) -> None:
    key = str(uuid.uuid4())
    options = {**ENCRYPTION, "StorageClass": "STANDARD_IA", "Metadata": {"team": "chat"}}
    client = S3StorageClient(bucket, upload_options=options, **s3_arguments)
    await client.upload_file(key, b"x" * size, "image/png")
    await client.close()

    found = s3_engine.head_object(Bucket=bucket, Key=key)
    assert {name: found[name] for name in ENCRYPTION} == ENCRYPTION
    assert (found["Metadata"], found["ContentType"]) == ({"team": "chat"}, "image/png")


@SIZES
async def test_s3_names_payer_and_owner_in_every_request(
    s3_arguments: dict[str, Any], bucket: str, size: int
) -> None:
    options = {"RequestPayer": "requester", "ExpectedBucketOwner": "000000000000", "ACL": "bucket-owner-full-control"}
    client = S3StorageClient(bucket, upload_options=options, **s3_arguments)
    sent: dict[str, dict[str, str]] = {}

    def note(model: Any, params: dict[str, Any], **_: Any) -> None:
        sent[model.name] = {name.lower(): str(value) for name, value in params["headers"].items()}

    client._s3().meta.events.register("before-call.s3", note)
    key = str(uuid.uuid4())
    await client.upload_file(key, b"x" * size)
    await client.delete_file(key)
    await client.close()

    assert len(sent) == (2 if size < MEGABYTE else 4)
    for headers in sent.values():
        assert (headers["x-amz-request-payer"], headers["x-amz-expected-bucket-owner"]) == (
            "requester",
            "000000000000",
        )
    assert sent["PutObject" if size < MEGABYTE else "CreateMultipartUpload"]["x-amz-acl"] == options["ACL"]


async def test_s3_signs_urls_that_browsers_can_open_where_the_requester_pays(
    s3_arguments: dict[str, Any], bucket: str
) -> None:
    client = S3StorageClient(bucket, upload_options={"RequestPayer": "requester"}, **s3_arguments)
    url = (await client.upload_file("paid", b"data"))["url"]
    await client.close()

    assert "x-amz-request-payer=requester" in url
    assert "X-Amz-SignedHeaders=host&" in url
    async with httpx.AsyncClient(trust_env=False) as browser:
        assert (await browser.get(url)).content == b"data"


@SIZES
async def test_google_is_told_key_acl_and_payer(private_pem: str, size: int) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.query.get("uploadType") == ["resumable"]:
            return Answer(200, b"", {"Location": f"{service.url}/session"})
        if asked.method == "PUT":
            last, _, total = asked.headers["content-range"].partition("-")[2].partition("/")
            if int(last) + 1 != int(total):
                return Answer(308, b"", {"Range": f"bytes=0-{last}"})
        crc32c = base64.b64encode(google_crc32c.value(b"x" * size).to_bytes(4, "big")).decode()
        return Answer(200, json.dumps({"crc32c": crc32c}).encode(), {"Content-Type": "application/json"})

    options = {"kms_key_name": "projects/p/key", "predefined_acl": "bucketOwnerRead", "user_project": "payer"}
    with fake_service(answer) as service:
        client = GCSStorageClient(
            "chats", "project", SIGNER, private_pem, endpoint=service.url, upload_options=options
        )
        url = (await client.upload_file("key", b"x" * size))["url"]
        await client.delete_file("key")
        await client.close()

    start = next(asked for asked in service.asked if asked.method == "POST")
    deletion = next(asked for asked in service.asked if asked.method == "DELETE")
    assert start.query["kmsKeyName"] == ["projects/p/key"]
    assert start.query["predefinedAcl"] == ["bucketOwnerRead"]
    assert (start.query["userProject"], deletion.query["userProject"]) == (["payer"], ["payer"])
    assert "userProject=payer" in url


@SIZES
async def test_azure_blob_keeps_metadata_tags_and_tier(
    azurite: BlobServiceClient, azurite_url: str, container: str, size: int
) -> None:
    key = str(uuid.uuid4())
    options = {"metadata": {"team": "chat"}, "tags": {"kind": "upload"}, "standard_blob_tier": StandardBlobTier.COOL}
    client = AzureBlobStorageClient(
        container, storage_key=ACCOUNT_KEY, account_url=azurite_url, upload_options=options
    )
    await client.upload_file(key, b"x" * size)
    await client.close()

    blob = azurite.get_blob_client(container, key)
    found = blob.get_blob_properties()
    assert (found.metadata, found.blob_tier) == ({"team": "chat"}, "Cool")
    assert blob.get_blob_tags() == {"kind": "upload"}


@SIZES
async def test_azure_blob_encrypts_with_the_scope_it_is_told(size: int) -> None:
    with fake_service(lambda _: Answer(201)) as service:
        client = AzureBlobStorageClient(
            "chats",
            storage_key=ACCOUNT_KEY,
            account_url=f"{service.url}/account",
            upload_options={"encryption_scope": "of-the-chat"},
        )
        await client.upload_file("key", b"x" * size)
        await client.close()

    assert len(service.asked) == (1 if size < MEGABYTE else 3)
    assert {asked.headers["x-ms-encryption-scope"] for asked in service.asked} == {"of-the-chat"}


async def test_data_lake_creates_files_for_the_owner_it_is_told() -> None:
    statuses = {"append": 202, "flush": 200}

    def answer(asked: Asked) -> Answer:
        return Answer(statuses.get(asked.query.get("action", [""])[0], 201))

    options = {"owner": "the-owner", "group": "the-group", "permissions": "rwx------", "metadata": {"team": "chat"}}
    with fake_service(answer) as service:
        client = AzureStorageClient(f"{service.url}/account", "chats", ACCOUNT_KEY, upload_options=options)
        await client.upload_file("key", b"data")
        await client.close()

    created = next(asked for asked in service.asked if asked.query.get("resource") == ["file"])
    assert (created.headers["x-ms-owner"], created.headers["x-ms-group"]) == ("the-owner", "the-group")
    assert created.headers["x-ms-permissions"] == "rwx------"
    assert created.headers["x-ms-properties"].startswith("team=")


def test_options_that_the_client_sets_itself_or_that_do_not_exist_are_refused_by_name(
    tmp_path: Path, private_pem: str
) -> None:
    wrong = {"ContentType": "text/html", "acl": "x", "Tpyo": 1}
    with pytest.raises(
        ConfigurationError, match="S3StorageClient: upload_options cannot hold ContentType, Tpyo, acl"
    ):
        S3StorageClient("b", region_name="eu-west-1", upload_options=wrong)
    with pytest.raises(ConfigurationError, match="cannot hold content_type, only: kms_key_name"):
        GCSStorageClient("b", "p", SIGNER, private_pem, upload_options={"content_type": "text/html"})
    with pytest.raises(ConfigurationError, match="cannot hold overwrite, only: encryption_scope"):
        AzureBlobStorageClient("c", "account", ACCOUNT_KEY, upload_options={"overwrite": True})
    with pytest.raises(ConfigurationError, match="cannot hold overwrite, only: acl"):
        AzureStorageClient("https://a.dfs.core.windows.net", "c", ACCOUNT_KEY, upload_options={"overwrite": True})


def test_keys_that_browsers_would_have_to_send_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="SSECustomerKey"):
        S3StorageClient("b", region_name="eu-west-1", upload_options={"SSECustomerKey": "x"})
