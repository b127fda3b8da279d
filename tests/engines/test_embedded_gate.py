"""The embedded engine answers who knows the secret in its data folder, and nobody else: with real requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from chainlit_dynamodb import DynamoDBDataLayer, S3StorageClient
from chainlit_dynamodb.dynamodb.aio_transport import AioTransport
from chainlit_dynamodb.dynamodb.endpoint import resolve_target
from chainlit_dynamodb.ops.create_bucket import create_bucket
from chainlit_dynamodb.ops.create_table import create_table
from chainlit_dynamodb.ops.embedded import EmbeddedEngine, embedded_engine
from chainlit_dynamodb.storage.data import Data

PAGE = "http://localhost:8000"
STRANGER = "https://attacker.example"
MEGABYTE = 1024 * 1024
HARMLESS = {".gitignore", "lock"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home") / "data"


@pytest.fixture(scope="module")
def engine(data: Path) -> Iterator[EmbeddedEngine]:
    with embedded_engine(data) as engine:
        create_table(engine.client("dynamodb"), "chats")
        create_bucket(engine.client("s3"), "files")
        yield engine


def client_with(engine: EmbeddedEngine, service: str, secret: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=engine.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key=secret,
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
    )


def storage_with(engine: EmbeddedEngine, secret: str) -> S3StorageClient:
    return S3StorageClient(
        "files",
        endpoint_url=engine.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key=secret,
    )


def ask(engine: EmbeddedEngine, method: str, path: str, **options: Any) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.request(method, path if path.startswith("http") else engine.url + path, **options)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/files"),
        ("GET", "/files/key"),
        ("PUT", "/files/key"),
        ("DELETE", "/files/key"),
        ("POST", "/"),
        ("GET", "/_ministack/health"),
        ("GET", "/health"),
        ("POST", "/_ministack/reset"),
        ("POST", "/_ministack/config"),
        ("GET", "/_localstack/health"),
    ],
)
def test_unsigned_requests_are_refused(engine: EmbeddedEngine, method: str, path: str) -> None:
    response = ask(engine, method, path, headers={"Origin": STRANGER})

    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


def test_an_unsigned_request_for_a_table_is_refused(engine: EmbeddedEngine) -> None:
    headers = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}
    unsigned = ask(engine, "POST", "/", headers=headers, content=b"{}")
    forged = (
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature="
    )
    guessed = ask(engine, "POST", "/", headers={**headers, "Authorization": forged + "0" * 64}, content=b"{}")

    assert (unsigned.status_code, guessed.status_code) == (403, 403)
    assert "TableNames" not in unsigned.text + guessed.text


@pytest.mark.parametrize("service", ["dynamodb", "s3"])
@pytest.mark.parametrize("secret", ["test", "0" * 64])
def test_another_secret_is_refused(engine: EmbeddedEngine, service: str, secret: str) -> None:
    client = client_with(engine, service, secret)

    with pytest.raises(ClientError, match="secret in its data folder"):
        client.list_tables() if service == "dynamodb" else client.list_buckets()


@pytest.mark.parametrize("service", ["dynamodb", "s3"])
def test_the_secret_of_the_folder_opens_it(engine: EmbeddedEngine, data: Path, service: str) -> None:
    client = client_with(engine, service, (data / "access-key").read_text())

    assert client.list_tables()["TableNames"] == ["chats"] if service == "dynamodb" else client.list_buckets()


async def test_the_data_layer_is_let_in(engine: EmbeddedEngine) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": engine.secret}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in keys.items():
            environment.setenv(name, value)
        target = resolve_target("us-east-1", engine.url, keys)
        layer = DynamoDBDataLayer("chats", transport=AioTransport.to(target, "chats"))
        await layer.update_thread("t1", name="ünïcode")
        thread = await layer.get_thread("t1")
        await layer.close()

    assert thread is not None
    assert thread["name"] == "ünïcode"


@pytest.mark.parametrize("key", ["plain.txt", "with space & ünïcode/日本.txt", "../x", "a=b+c~d%41.txt"])
@pytest.mark.parametrize("content", [b"small", b"x" * 9 * MEGABYTE], ids=["small", "in parts"])
async def test_files_of_any_name_and_size_are_stored_and_read(
    engine: EmbeddedEngine, key: str, content: Data
) -> None:
    client = storage_with(engine, engine.secret)
    url = (await client.upload_file(key, content))["url"]
    response = ask(engine, "GET", url)
    await client.delete_file(key)
    await client.close()

    assert response.content == content


async def test_urls_that_are_altered_signed_otherwise_or_expired_open_nothing(engine: EmbeddedEngine) -> None:
    client = storage_with(engine, engine.secret)
    url = (await client.upload_file("precious", b"data"))["url"]
    stranger = storage_with(engine, "test")
    expired = client._s3().generate_presigned_url("get_object", Params=client._target("precious"), ExpiresIn=1)
    wrong = [
        url.replace("precious", "others"),
        url.replace("Expires=3600", "Expires=9600"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url + "&x=1",
        (await stranger.get_read_url("precious")),
        url.replace("X-Amz-Signature=", "x=X-Amz-Signature="),
    ]
    time.sleep(1.1)  # noqa: ASYNC251 - until it has ended
    await client.close()
    await stranger.close()

    assert [ask(engine, "GET", each).status_code for each in [*wrong, expired]] == [403] * 7
    assert ask(engine, "PUT", url, content=b"evil").status_code == 403
    assert ask(engine, "DELETE", url).status_code == 403
    assert ask(engine, "GET", url).content == b"data"


async def test_a_host_name_that_a_page_made_lead_here_is_refused(engine: EmbeddedEngine) -> None:
    client = storage_with(engine, engine.secret)
    url = (await client.upload_file("key", b"data"))["url"]
    await client.close()

    assert ask(engine, "GET", url, headers={"Host": "attacker.example"}).status_code == 403


async def test_pages_of_this_machine_read_files_and_no_others_do(engine: EmbeddedEngine) -> None:
    client = storage_with(engine, engine.secret)
    url = (await client.upload_file("key", b"data"))["url"]
    own_check = await client.check_cors(PAGE)
    foreign_check = await client.check_cors(STRANGER)
    await client.close()

    own = ask(engine, "GET", url, headers={"Origin": PAGE})
    foreign = ask(engine, "GET", url, headers={"Origin": STRANGER})

    assert (own.headers["access-control-allow-origin"], own.headers["vary"]) == (PAGE, "Origin")
    assert "access-control-allow-origin" not in foreign.headers
    assert (own_check.ok, foreign_check.ok) == (True, False)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_pages_of_this_machine_may_read_only(engine: EmbeddedEngine, method: str) -> None:
    headers = {"Origin": PAGE, "Access-Control-Request-Method": method}
    response = ask(engine, "OPTIONS", "/files/key", headers=headers)

    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


def test_admin_pages_are_closed_for_who_knows_the_secret_too(engine: EmbeddedEngine) -> None:
    client = client_with(engine, "s3", engine.secret)
    with pytest.raises(ClientError):
        client.get_object(Bucket="_ministack", Key="health")
    assert client.list_buckets()["Buckets"]


async def test_files_and_folders_are_for_their_owner_only(engine: EmbeddedEngine, data: Path) -> None:
    client = storage_with(engine, engine.secret)
    await client.upload_file("key", b"data")
    await client.close()

    found = everything_in(data)
    assert [path for path in found if path.name not in HARMLESS and path.stat().st_mode & 0o077] == []
    assert {"engine.log", "access-key", "s3", "state"} <= {path.name for path in found}


def everything_in(folder: Path) -> list[Path]:
    return [folder, *folder.rglob("*")]
