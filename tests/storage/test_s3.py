"""What only S3 does: addressing, signing, parts, and whose client it is."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from chainlit_dynamodb.errors import ConfigurationError, MissingDependencyError, ObjectExistsError, StorageError
from chainlit_dynamodb.storage.s3 import S3StorageClient

from .conftest import Storage

MEGABYTE = 1024 * 1024
KEYS: dict[str, Any] = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


class RecordingSession(boto3.session.Session):  # type: ignore[misc]
    """Remembers the clients that were made to work with; the one that only tells the endpoint has no config.

    Attributes:
        made: The clients.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made: list[Any] = []

    def client(self, *arguments: Any, **options: Any) -> Any:
        """Make a client."""
        client = super().client(*arguments, **options)
        if "config" in options:
            self.made.append(client)
        return client


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> RecordingSession:
    session = RecordingSession()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    return session


async def url_of(client: S3StorageClient, key: str = "a/b c.txt") -> str:
    url = await client.get_read_url(key)
    await client.close()
    return url


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1", "eu-central-1"])
async def test_bucket_is_addressed_as_a_host_in_its_region(region: str) -> None:
    url = urlsplit(await url_of(S3StorageClient("chats", region_name=region, **KEYS)))

    assert url.scheme == "https"
    assert url.netloc == f"chats.s3.{region}.amazonaws.com"
    assert url.path == "/a/b%20c.txt"


async def test_bucket_with_dots_is_addressed_as_a_path_because_of_its_certificate() -> None:
    url = urlsplit(await url_of(S3StorageClient("my.chats", region_name="eu-west-1", **KEYS)))

    assert (url.netloc, url.path) == ("s3.eu-west-1.amazonaws.com", "/my.chats/a/b%20c.txt")


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1"])
async def test_other_partitions_have_their_own_hosts(region: str) -> None:
    url = urlsplit(await url_of(S3StorageClient("chats", region_name=region, **KEYS)))

    assert url.netloc.startswith(f"chats.s3.{region}.amazonaws.com")


async def test_urls_are_signed_with_version_4() -> None:
    client = S3StorageClient("chats", region_name="us-east-1", url_lifetime_seconds=77, **KEYS)

    query = parse_qs(urlsplit(await url_of(client)).query)

    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["77"]


@pytest.mark.parametrize("source", ["argument", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
async def test_bucket_on_another_endpoint_is_addressed_as_a_path(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {"endpoint_url": "https://minio.example:9000"} if source == "argument" else {}
    if source != "argument":
        monkeypatch.setenv(source, "https://minio.example:9000")

    url = urlsplit(await url_of(S3StorageClient("chats", region_name="us-east-1", **arguments, **KEYS)))

    assert (url.netloc, url.path) == ("minio.example:9000", "/chats/a/b%20c.txt")


async def test_profile_is_heard_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("[default]\nregion = eu-south-1\nendpoint_url = https://minio.example\n")
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)

    url = await url_of(S3StorageClient("chats", **KEYS))

    assert url.startswith("https://minio.example/chats/a/b%20c.txt")
    assert "%2Feu-south-1%2Fs3%2F" in url


async def test_given_config_is_merged_and_wins(session: RecordingSession) -> None:
    config = Config(read_timeout=3, s3={"addressing_style": "path"})
    client = S3StorageClient("chats", region_name="us-east-1", config=config, **KEYS)

    url = urlsplit(await url_of(client))

    assert url.netloc == "s3.us-east-1.amazonaws.com"
    used = session.made[-1].meta.config
    assert used.read_timeout == 3
    assert used.connect_timeout == 5
    assert used.signature_version == "s3v4"


async def test_region_comes_from_aws_region_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-north-1")

    assert ".s3.eu-north-1." in await url_of(S3StorageClient("chats", **KEYS))


async def test_missing_region_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    client = S3StorageClient("chats", **KEYS)

    with pytest.raises(StorageError, match="no AWS region"):
        await client.get_read_url("key")
    await client.close()


async def test_missing_credentials_are_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    client = S3StorageClient("chats", region_name="us-east-1")

    with pytest.raises(StorageError, match=r"chats.*'the/key'.*credentials"):
        await client.get_read_url("the/key")
    await client.close()


@pytest.mark.parametrize("bucket", ["", None, 7])
def test_bucket_must_be_named(bucket: Any) -> None:
    with pytest.raises(ConfigurationError, match="bucket"):
        S3StorageClient(bucket)


def test_unknown_argument_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="acces_key"):
        S3StorageClient("chats", acces_key="typo")


def test_config_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="config"):
        S3StorageClient("chats", config={"read_timeout": 3})


def test_client_and_arguments_exclude_each_other() -> None:
    with pytest.raises(ConfigurationError, match="region_name"):
        S3StorageClient("chats", client=object(), region_name="eu-west-1")


def test_lifetime_above_a_week_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="7 days"):
        S3StorageClient("chats", url_lifetime_seconds=604_801)


def test_missing_boto3_gives_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)

    with pytest.raises(MissingDependencyError, match=r"pip install 'chainlit-dynamodb\[s3\]'"):
        S3StorageClient("chats")


def test_constructor_makes_no_client_and_no_thread(session: RecordingSession) -> None:
    before = threading.active_count()

    S3StorageClient("chats", region_name="eu-west-1", **KEYS)

    assert session.made == []
    assert threading.active_count() == before


async def test_client_is_made_once_for_many_first_calls(
    s3_arguments: dict[str, Any], bucket: str, session: RecordingSession
) -> None:
    client = S3StorageClient(bucket, **s3_arguments)
    await asyncio.gather(*(client.get_read_url(str(number)) for number in range(40)))
    await client.close()

    assert len(session.made) == 1


async def test_given_client_is_used_and_not_closed(s3_arguments: dict[str, Any], bucket: str) -> None:
    own = boto3.client("s3", config=Config(signature_version="s3v4"), **s3_arguments)
    client = S3StorageClient(bucket, client=own)
    key = str(uuid.uuid4())
    await client.upload_file(key, b"data")

    await client.close()

    assert own.get_object(Bucket=bucket, Key=key)["Body"].read() == b"data"
    own.close()


async def test_own_client_is_closed_once(session: RecordingSession, monkeypatch: pytest.MonkeyPatch) -> None:
    client = S3StorageClient("chats", region_name="eu-west-1", **KEYS)
    await client.get_read_url("key")
    closed: list[int] = []
    monkeypatch.setattr(session.made[0], "close", lambda: closed.append(1))

    await asyncio.gather(client.close(), client.close())

    assert closed == [1]


async def test_prefix_is_a_folder_inside_the_bucket(
    s3_arguments: dict[str, Any], s3_engine: Any, bucket: str, s3_storage: Storage
) -> None:
    client = S3StorageClient(bucket, prefix="/chats/prod/", **s3_arguments)
    key = f"{uuid.uuid4()}/../a.txt"

    stored = await client.upload_file(key, b"data")
    listed = s3_engine.list_objects_v2(Bucket=bucket, Prefix="chats/prod/")["Contents"]
    read = await s3_storage.read(stored["url"])
    await client.delete_file(key)
    await client.close()

    assert stored["object_key"] == key
    assert [entry["Key"] for entry in listed] == [f"chats/prod/{key.replace('..', '..~')}"]
    assert read.content == b"data"
    assert "Contents" not in s3_engine.list_objects_v2(Bucket=bucket, Prefix="chats/prod/")


async def test_file_above_eight_megabytes_goes_in_parts(
    s3_arguments: dict[str, Any], s3_engine: Any, bucket: str
) -> None:
    client = S3StorageClient(bucket, **s3_arguments)
    small, big = str(uuid.uuid4()), str(uuid.uuid4())

    await client.upload_file(small, b"x" * (8 * MEGABYTE))
    await client.upload_file(big, b"x" * (8 * MEGABYTE + 1))
    await client.close()

    assert "-" not in s3_engine.head_object(Bucket=bucket, Key=small)["ETag"]
    assert s3_engine.head_object(Bucket=bucket, Key=big)["ETag"].endswith('-2"')


async def test_parts_of_a_failed_upload_are_removed(
    s3_arguments: dict[str, Any], s3_engine: Any, bucket: str
) -> None:
    client = S3StorageClient(bucket, **s3_arguments)
    key = str(uuid.uuid4())
    await client.upload_file(key, b"taken")

    with pytest.raises(ObjectExistsError):
        await client.upload_file(key, b"x" * (9 * MEGABYTE), overwrite=False)
    await client.close()

    assert not s3_engine.list_multipart_uploads(Bucket=bucket).get("Uploads")


async def test_missing_bucket_is_a_storage_error_with_bucket_and_key(s3_arguments: dict[str, Any]) -> None:
    client = S3StorageClient("no-such-bucket", **s3_arguments)

    with pytest.raises(StorageError, match=r"no-such-bucket.*'the/key'.*NoSuchBucket") as caught:
        await client.upload_file("the/key", b"data")
    with pytest.raises(StorageError, match="NoSuchBucket"):
        await client.delete_file("the/key")
    await client.close()

    assert caught.value.__cause__ is not None


async def test_unreachable_endpoint_is_a_storage_error(s3_arguments: dict[str, Any]) -> None:
    config = Config(retries={"total_max_attempts": 1})
    arguments = {**s3_arguments, "endpoint_url": "http://127.0.0.1:1", "config": config}
    client = S3StorageClient("chats", **arguments)

    with pytest.raises(StorageError, match="chats") as caught:
        await client.upload_file("the/key", b"data")
    await client.close()

    assert isinstance(caught.value.__cause__, EndpointConnectionError)


async def test_senseless_endpoint_is_a_storage_error() -> None:
    client = S3StorageClient("chats", endpoint_url="localhost", region_name="eu-west-1", **KEYS)

    with pytest.raises(StorageError, match="Invalid endpoint"):
        await client.get_read_url("key")
    await client.close()


async def test_denied_delete_is_no_success() -> None:
    own = boto3.client("s3", region_name="eu-west-1", **KEYS)
    client = S3StorageClient("chats", client=own)
    with Stubber(own) as stub:
        stub.add_client_error("delete_object", "AccessDenied", "no", 403)
        with pytest.raises(StorageError, match="AccessDenied"):
            await client.delete_file("key")
    await client.close()
    own.close()


async def test_wrong_secret_signs_urls_that_are_refused(
    s3_arguments: dict[str, Any], bucket: str, s3_storage: Storage
) -> None:
    client = S3StorageClient(bucket, **{**s3_arguments, "aws_secret_access_key": "wrong"})

    assert (await s3_storage.read(await url_of(client))).status_code == 403


async def test_loop_runs_on_while_the_sdk_blocks(tmp_path: Path) -> None:
    released = threading.Event()

    class Slow:
        def put_object(self, **_: Any) -> None:
            released.wait(20)

        def generate_presigned_url(self, *_: Any, **__: Any) -> str:
            return "https://signed"

    client = S3StorageClient("chats", client=Slow())
    upload = asyncio.create_task(client.upload_file("key", b"data"))
    await asyncio.sleep(0.05)

    assert not upload.done()
    released.set()
    assert (await upload)["url"] == "https://signed"
    await client.close()


async def test_conflict_with_an_upload_at_the_same_time_is_tried_again() -> None:
    own = boto3.client("s3", region_name="eu-west-1", **KEYS)
    client = S3StorageClient("chats", client=own)
    with Stubber(own) as stub:
        for _ in range(2):
            stub.add_client_error("put_object", "ConditionalRequestConflict", "try again", 409)
        stub.add_client_error("put_object", "PreconditionFailed", "taken", 412)
        with pytest.raises(ObjectExistsError, match="taken"):
            await client.upload_file("key", b"data", overwrite=False)
        stub.assert_no_pending_responses()
    await client.close()
    own.close()
