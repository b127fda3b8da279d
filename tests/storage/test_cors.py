"""What a browser on the chat's origin would be told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient, CorsRule

from chainlit_dynamodb.errors import ConfigurationError, StorageError
from chainlit_dynamodb.storage.azure_blob import AzureBlobStorageClient
from chainlit_dynamodb.storage.base import StorageClient
from chainlit_dynamodb.storage.cors import checked_origin
from chainlit_dynamodb.storage.gcs import GCSStorageClient
from chainlit_dynamodb.storage.local import LocalStorageClient
from chainlit_dynamodb.storage.s3 import S3StorageClient
from chainlit_dynamodb.testing.azurite import ACCOUNT_KEY

from .conftest import SIGNER, Storage
from .fake_service import Answer, Asked, fake_service

ORIGIN = "https://chat.example.com"
ALLOWED = {
    "Access-Control-Allow-Origin": ORIGIN,
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Range",
}


@pytest.fixture(params=["azure_blob_storage", "data_lake_storage"])
def azure_storage(request: pytest.FixtureRequest) -> Storage:
    value: Storage = request.getfixturevalue(request.param)
    return value


@pytest.fixture
def no_rules(azurite: BlobServiceClient) -> Iterator[None]:
    azurite.set_service_properties(cors=[])
    yield
    azurite.set_service_properties(cors=[])


async def verdict(storage: Storage, origin: str = ORIGIN) -> Any:
    client = storage.make(None)
    try:
        return await client.check_cors(origin)
    finally:
        await client.close()


@pytest.mark.usefixtures("no_rules")
async def test_azure_without_a_rule_is_told(azure_storage: Storage) -> None:
    check = await verdict(azure_storage)

    assert not check.ok
    assert check.missing == (f"No rule allows {ORIGIN} to GET",)
    assert check.rule.startswith("az storage cors add --account-name devstoreaccount1 --services b")
    assert f"--origins {ORIGIN}" in check.rule


@pytest.mark.usefixtures("no_rules")
async def test_azure_with_the_proposed_rule_is_fine(azure_storage: Storage, azurite: BlobServiceClient) -> None:
    words = (await verdict(azure_storage)).rule.split(" --")
    options = dict(word.split(" ", 1) for word in words[1:])
    rule = CorsRule(
        options["origins"].split(),
        options["methods"].split(),
        allowed_headers=options["allowed-headers"].split(","),
        exposed_headers=options["exposed-headers"].split(","),
        max_age_in_seconds=int(options["max-age"]),
    )
    azurite.set_service_properties(cors=[rule])

    assert (await verdict(azure_storage)).ok
    assert not (await verdict(azure_storage, "https://elsewhere.example.com")).ok


def s3(url: str, _: str) -> StorageClient:
    keys: Any = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return S3StorageClient("chats", endpoint_url=url, region_name="eu-west-1", **keys)


def azure_blob(url: str, _: str) -> StorageClient:
    return AzureBlobStorageClient("chats", None, ACCOUNT_KEY, account_url=f"{url}/account")


def gcs(url: str, pem: str) -> StorageClient:
    return GCSStorageClient("chats", "project", SIGNER, pem, endpoint=url)


@pytest.mark.parametrize("make", [s3, azure_blob, gcs])
@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        (Answer(200, b"", ALLOWED), []),
        (Answer(200, b"", {**ALLOWED, "Access-Control-Allow-Origin": "*"}), []),
        (Answer(403), ["No rule allows"]),
        (Answer(200, b"", {**ALLOWED, "Access-Control-Allow-Origin": "https://other"}), ["only https://other"]),
        (Answer(200, b"", {"Access-Control-Allow-Origin": "*"}), ["Range"]),
    ],
)
async def test_verdict_follows_the_preflight(make: Any, answer: Answer, missing: list[str], private_pem: str) -> None:
    with fake_service(lambda _: answer) as service:
        client = make(service.url, private_pem)
        check = await client.check_cors(ORIGIN + "/")
        await client.close()

    asked = next(one for one in service.asked if one.method == "OPTIONS")
    assert asked.headers["origin"] == ORIGIN
    assert asked.headers["access-control-request-method"] == "GET"
    assert check.ok is (not missing)
    assert len(check.missing) == len(missing)
    assert all(word in sentence for word, sentence in zip(missing, check.missing, strict=True))
    assert ORIGIN in check.rule


@pytest.mark.usefixtures("no_rules")
async def test_azure_with_a_rule_without_range_is_told_that(
    azure_storage: Storage, azurite: BlobServiceClient
) -> None:
    azurite.set_service_properties(cors=[CorsRule([ORIGIN], ["GET"], max_age_in_seconds=1)])

    (missing,) = (await verdict(azure_storage)).missing

    assert "Range" in missing


@pytest.mark.parametrize("make", [s3, gcs])
async def test_rule_is_json_to_paste(make: Any, private_pem: str) -> None:
    with fake_service(lambda _: Answer(403)) as service:
        client = make(service.url, private_pem)
        (rule,) = json.loads((await client.check_cors(ORIGIN)).rule)
        await client.close()

    assert [ORIGIN] in rule.values()


async def test_preflight_needs_no_permission_and_no_file() -> None:
    def answer(asked: Asked) -> Answer:
        assert asked.method == "OPTIONS"
        return Answer(200, b"", ALLOWED)

    with fake_service(answer) as service:
        client = s3(service.url, "")
        assert (await client.check_cors(ORIGIN)).ok
        await client.close()


async def test_unreachable_storage_is_a_storage_error() -> None:
    client = s3("http://127.0.0.1:1", "")
    with pytest.raises(StorageError, match="could not be asked about CORS"):
        await client.check_cors(ORIGIN)
    await client.close()


async def test_local_files_have_the_origin_of_the_chat(tmp_path: Any) -> None:
    client = LocalStorageClient(tmp_path)
    assert (await client.check_cors(ORIGIN)).ok
    await client.close()


@pytest.mark.parametrize("origin", ["", "chat.example.com", "https://", "https://a/b", "ftp://a", "*", "https://a?b"])
async def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="origin"):
        checked_origin(origin)


@pytest.mark.parametrize("origin", ["http://localhost:8000", "https://Chat.Example.com/", "https://[::1]:8000"])
def test_what_is_an_origin_is_taken_as_browsers_send_it(origin: str) -> None:
    assert checked_origin(origin) == origin.lower().rstrip("/")
