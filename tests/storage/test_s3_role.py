"""Read URLs of S3 that a role's temporary credentials sign: they end with these."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import partial
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.session
import pytest
from botocore.credentials import RefreshableCredentials

from chainlit_dynamodb.storage.s3 import S3StorageClient


def renewable(seconds: int) -> RefreshableCredentials:
    """Credentials of a role that end so many seconds from now."""
    ends = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return RefreshableCredentials(
        "AKIA", "secret", "token", ends, dict, "test", advisory_timeout=0, mandatory_timeout=0
    )


class Role:
    """What tells botocore its credentials."""

    def __init__(self, seconds: int) -> None:
        self.load_credentials = partial(renewable, seconds)


def client_of_a_role(monkeypatch: pytest.MonkeyPatch, seconds: int, lifetime: int) -> S3StorageClient:
    core = botocore.session.Session()
    core.register_component("credential_provider", Role(seconds))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.session.Session(botocore_session=core))
    return S3StorageClient("chats", region_name="eu-west-1", url_lifetime_seconds=lifetime)


async def test_url_of_a_role_ends_with_its_credentials_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of_a_role(monkeypatch, 1000, 86_400)

    urls = [await client.get_read_url(key) for key in ("a", "b")]
    await client.close()

    for url in urls:
        assert 990 <= int(parse_qs(urlsplit(url).query)["X-Amz-Expires"][0]) <= 1000
    (said,) = [record.getMessage() for record in caplog.records if record.name == "chainlit.DynamoDB.storage"]
    assert "s3://chats: read URLs were to live 86400 seconds" in said
    assert "STORAGE_EXPIRY_TIME" in said


async def test_url_of_a_role_with_time_left_lives_as_asked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of_a_role(monkeypatch, 10_000, 3600)

    url = await client.get_read_url("a")
    await client.close()

    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["3600"]
    assert not caplog.records
