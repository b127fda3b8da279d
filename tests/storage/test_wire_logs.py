"""With the root logger at DEBUG, no record holds the content of a file, a URL that opens one, or a key."""

from __future__ import annotations

import logging
import logging.config
import re
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from uvicorn.config import LOGGING_CONFIG

from chainlit_dynamodb.storage.s3 import S3StorageClient
from chainlit_dynamodb.testing.azurite import ACCOUNT_KEY
from tests.contract.test_wire_logs import Records, records

from .conftest import Storage

__all__ = ["records"]

MARKER = b"a-most-private-thing"
MEGABYTE = 1024 * 1024


@pytest.fixture(autouse=True)
def server_configuration() -> None:
    logging.config.dictConfig(LOGGING_CONFIG)


def secret_parts(url: str) -> list[str]:
    """Return what makes a URL open a file: its signature."""
    found = re.findall(r"(?:X-Amz-Signature|X-Goog-Signature|sig|signature)=([^&]+)", url)
    return found or [url.rsplit(".", 1)[-1]]


async def test_no_record_holds_content_signatures_or_keys(
    storage: Storage, records: Records, private_pem: str
) -> None:
    client = storage.make(None)
    key = f"user/{uuid.uuid4()}/file.bin"
    small = await client.upload_file(key, MARKER, "text/plain")
    big = await client.upload_file(f"{key}.big", MARKER * (9 * MEGABYTE // len(MARKER)))
    read = await client.get_read_url(key)
    await client.delete_file(key)
    await client.close()

    signatures = [part for url in (small["url"], big["url"], read) for part in secret_parts(url)]
    assert not records.hold(MARKER.decode(), *signatures, ACCOUNT_KEY, private_pem, "upload_id=", "UploadId")


async def test_no_record_holds_the_token_of_a_role(
    bucket: str, s3_arguments: dict[str, Any], records: Records
) -> None:
    client = S3StorageClient(bucket, **{**s3_arguments, "aws_session_token": "the-token-of-a-role"})

    await client.upload_file("role", MARKER)
    await client.close()

    assert not records.hold("the-token-of-a-role")


async def test_calls_through_a_given_client_are_not_logged_either(
    bucket: str, s3_arguments: dict[str, Any], records: Records
) -> None:
    given = boto3.client("s3", **s3_arguments)
    client = S3StorageClient(bucket, client=given)

    url = (await client.upload_file("given", MARKER))["url"]
    await client.close()
    assert not records.hold(MARKER.decode(), *secret_parts(url))

    given.list_objects_v2(Bucket=bucket)
    assert "botocore.endpoint" in records.loggers


@pytest.fixture(autouse=True)
def quiet_again() -> Iterator[None]:
    yield
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
