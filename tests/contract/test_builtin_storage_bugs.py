"""Bugs of Chainlit's built-in S3 client: each test passes here and fails there, until upstream is fixed."""

from __future__ import annotations

import uuid
from typing import Any

import boto3
import httpx
import pytest

from chainlit_dynamodb import S3StorageClient
from chainlit_dynamodb.errors import ConfigurationError, StorageError
from tests.conftest import REGION
from tests.contract.builtin import BUILT_IN, fails_there


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> Any:
    """The class of the kind in turn."""
    if request.param != BUILT_IN:
        return S3StorageClient
    from chainlit.data.storage_clients.s3 import S3StorageClient as BuiltIn

    return BuiltIn


@pytest.fixture
def bucket(ministack_url: str) -> str:
    """A fresh bucket."""
    name = f"bucket-{uuid.uuid4().hex}"
    boto3.client("s3", region_name=REGION, endpoint_url=ministack_url).create_bucket(Bucket=name)
    return name


@fails_there("S1", "closing raises, so Chainlit skips the rest of its shutdown")
async def test_the_s3_client_can_be_closed(kind: Any, bucket: str, ministack_url: str) -> None:
    client = kind(bucket, region_name=REGION, endpoint_url=ministack_url)
    await client.close()


@fails_there("S2", "a wrong argument is a warning, and an AttributeError far away later")
async def test_a_wrong_argument_is_an_error_at_once(kind: Any) -> None:
    with pytest.raises(ConfigurationError):
        await kind("bucket", region_name=REGION, no_such_argument=1).get_read_url("x")


@fails_there("S3", "an upload that failed looks like one that worked, but for an empty answer")
async def test_an_upload_that_fails_raises(kind: Any, ministack_url: str) -> None:
    client = kind(f"missing-{uuid.uuid4().hex}", region_name=REGION, endpoint_url=ministack_url)
    with pytest.raises(StorageError):
        await client.upload_file("x", b"x")


@fails_there("S3", "a URL that cannot be signed is the bare key, a broken link")
async def test_a_url_that_cannot_be_signed_raises(kind: Any) -> None:
    client = kind("not a bucket's name", region_name=REGION)
    with pytest.raises(StorageError):
        await client.get_read_url("x")


@fails_there("S4", "old signatures, which encrypted buckets refuse, on the global endpoint, which redirects")
async def test_urls_are_signed_for_their_region(kind: Any) -> None:
    url = httpx.URL(await kind("bucket", region_name="eu-west-1").get_read_url("x"))
    assert url.params.get("X-Amz-Algorithm") == "AWS4-HMAC-SHA256"
    assert url.host.endswith(".s3.eu-west-1.amazonaws.com")


@fails_there("S5", "the URL of an upload is made by hand: another host, no signature, nothing encoded")
async def test_the_url_of_an_upload_opens_it(kind: Any, bucket: str, ministack_url: str) -> None:
    client = kind(bucket, region_name=REGION, endpoint_url=ministack_url)
    answer = await client.upload_file("a folder/ü?.txt", b"hello", "text/plain")
    assert answer["url"].startswith(ministack_url)
    async with httpx.AsyncClient(trust_env=False) as browser:
        assert (await browser.get(answer["url"])).content == b"hello"


@fails_there("S6", "overwrite=False overwrites")
async def test_overwrite_is_minded(kind: Any, bucket: str, ministack_url: str) -> None:
    client = kind(bucket, region_name=REGION, endpoint_url=ministack_url)
    await client.upload_file("x", b"first")
    with pytest.raises(StorageError):
        await client.upload_file("x", b"second", overwrite=False)
