"""The endpoint is the one that botocore's own client would use, whatever is configured."""

from __future__ import annotations

import os
from pathlib import Path

import boto3
import botocore.session
import pytest

from chainlit_dynamodb.dynamodb.endpoint import endpoint_of
from tests.conftest import REGION

CONFIG = """
[default]
region = us-east-1
[profile own]
region = eu-west-1
endpoint_url = http://localhost:11
[profile service]
region = eu-west-1
services = local
[services local]
dynamodb =
  endpoint_url = http://localhost:12
[profile fips]
region = us-east-1
use_fips_endpoint = true
[profile dual]
region = eu-central-1
use_dualstack_endpoint = true
[profile plain]
region = cn-north-1
"""
SETTINGS: list[dict[str, str]] = [
    {},
    {"AWS_ENDPOINT_URL": "http://localhost:1"},
    {"AWS_ENDPOINT_URL_DYNAMODB": "http://localhost:2"},
    {"AWS_ENDPOINT_URL": "http://localhost:1", "AWS_ENDPOINT_URL_DYNAMODB": "https://localhost:2/path"},
    {"AWS_ENDPOINT_URL": "http://localhost:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
    {"AWS_ENDPOINT_URL": ""},
    {"AWS_ENDPOINT_URL_S3": "http://localhost:3"},
    {"AWS_USE_FIPS_ENDPOINT": "true"},
    {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    {"AWS_PROFILE": "own"},
    {"AWS_PROFILE": "own", "AWS_ENDPOINT_URL": "http://localhost:1"},
    {"AWS_PROFILE": "own", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
    {"AWS_PROFILE": "service"},
    {"AWS_PROFILE": "fips"},
    {"AWS_PROFILE": "dual"},
    {"AWS_PROFILE": "plain"},
]


def _partitions_and_regions() -> list[str]:
    session = botocore.session.Session()
    partitions = session.get_available_partitions()
    return [region for partition in partitions for region in session.get_available_regions("dynamodb", partition)]


def _as_boto3_says(region: str | None, endpoint_url: str | None = None) -> str:
    client = boto3.session.Session().client("dynamodb", region_name=region, endpoint_url=endpoint_url)
    url: str = client.meta.endpoint_url
    client.close()
    return url


def _ours(region: str | None, endpoint_url: str | None = None) -> str:
    session = botocore.session.Session()
    return endpoint_of(session, region or session.get_config_variable("region"), endpoint_url, os.environ)


def test_every_region_has_the_endpoint_that_botocore_knows() -> None:
    regions = [*_partitions_and_regions(), "us-new-9", "eu-somewhere-1", "local", "aws-global", "mars-1"]
    assert len(regions) > 30
    session = botocore.session.Session()
    for region in regions:
        client = session.create_client("dynamodb", region_name=region)
        assert endpoint_of(session, region, None, {}) == client.meta.endpoint_url
        client.close()


@pytest.mark.parametrize("settings", SETTINGS)
def test_settings_are_followed_as_by_botocore(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(CONFIG)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert _ours(None) == _as_boto3_says(None)
    assert _ours("ap-south-1") == _as_boto3_says("ap-south-1")


@pytest.mark.parametrize("url", ["http://localhost:8000", "https://vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com"])
def test_a_given_endpoint_is_the_endpoint(url: str) -> None:
    assert _ours(REGION, url) == _as_boto3_says(REGION, url) == url


def test_an_ordinary_configuration_needs_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(botocore.session.Session, "create_client")
    assert _ours("eu-west-1") == "https://dynamodb.eu-west-1.amazonaws.com"
    assert _ours("cn-north-1") == "https://dynamodb.cn-north-1.amazonaws.com.cn"
    assert _ours("eu-west-1", "http://localhost:8000") == "http://localhost:8000"
