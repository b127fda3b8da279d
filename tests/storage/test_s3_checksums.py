"""Checksums of what goes to S3: parts that carry them are declared before and named at the end, or carry none."""

from __future__ import annotations

import uuid
from typing import Any
from zlib import crc32

import boto3
import pytest
from botocore.config import Config

from chainlit_dynamodb.storage.s3 import CHECKSUMS_VARIABLE, S3StorageClient

from .test_s3 import KEYS, RecordingSession

MEGABYTE = 1024 * 1024
FILE = b"x" * (8 * MEGABYTE) + b"y"


class Sent:
    """What a client sends, as it goes over the wire.

    Attributes:
        headers: Of each request, names in lower case.
        bodies: Of each request.
    """

    def __init__(self, client: Any) -> None:
        self.headers: list[dict[str, str]] = []
        self.bodies: list[Any] = []
        client.meta.events.register("before-send.s3", self._note)

    def _note(self, request: Any, **_: Any) -> None:
        headers = request.headers.items()
        self.headers.append({name.lower(): v.decode() if isinstance(v, bytes) else v for name, v in headers})
        self.bodies.append(request.body)

    def values_of(self, header: str) -> list[str | None]:
        """Return what a header says in each request."""
        return [headers.get(header) for headers in self.headers]


async def test_checksums_of_parts_are_declared_and_named(
    s3_arguments: dict[str, Any], s3_engine: Any, bucket: str
) -> None:
    own = boto3.client("s3", config=Config(request_checksum_calculation="when_supported"), **s3_arguments)
    sent, client, key = Sent(own), S3StorageClient(bucket, client=own), str(uuid.uuid4())

    await client.upload_file(key, FILE)
    await client.close()
    own.close()

    assert sent.values_of("x-amz-checksum-algorithm") == ["CRC32", None, None, None]
    first, second = sent.values_of("x-amz-checksum-crc32")[1:3]
    assert first != second
    for checksum in (first, second):
        assert checksum
        assert f"<ChecksumCRC32>{checksum}</ChecksumCRC32>" in sent.bodies[3].decode()
    stored = s3_engine.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    assert (stored["ChecksumType"], stored["ChecksumCRC32"][-2:]) == ("COMPOSITE", "-2")
    read = s3_engine.get_object(Bucket=bucket, Key=key)["Body"].read()
    assert crc32(read) == crc32(FILE)


async def test_parts_without_checksums_are_not_declared(
    s3_arguments: dict[str, Any], s3_engine: Any, bucket: str
) -> None:
    own = boto3.client("s3", config=Config(request_checksum_calculation="when_required"), **s3_arguments)
    sent, client, key = Sent(own), S3StorageClient(bucket, client=own), str(uuid.uuid4())

    await client.upload_file(key, FILE)
    await client.close()
    own.close()

    assert len(sent.headers) == 4
    assert not [name for headers in sent.headers for name in headers if "checksum" in name or "trailer" in name]
    assert b"Checksum" not in sent.bodies[3]
    assert s3_engine.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(FILE)


@pytest.mark.parametrize(
    ("endpoint", "variable", "expected"),
    [
        (None, None, "when_supported"),
        (None, "when_required", "when_required"),
        ("https://minio.example", None, "when_required"),
        ("https://minio.example", "when_required", "when_required"),
        ("https://minio.example", "when_supported", "when_supported"),
    ],
)
async def test_environment_says_whether_checksums_are_sent(
    endpoint: str | None, variable: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = RecordingSession()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    monkeypatch.delenv(CHECKSUMS_VARIABLE, raising=False)
    if variable:
        monkeypatch.setenv(CHECKSUMS_VARIABLE, variable)
    client = S3StorageClient("chats", region_name="eu-west-1", endpoint_url=endpoint, **KEYS)

    await client.get_read_url("key")
    await client.close()

    assert session.made[-1].meta.config.request_checksum_calculation == expected
