"""Azure without an account key, on a small fake of the one call it takes: the user delegation key."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chainlit_dynamodb.errors import ConfigurationError, StorageError
from chainlit_dynamodb.storage import azure_session
from chainlit_dynamodb.storage.azure_blob import AzureBlobStorageClient
from chainlit_dynamodb.storage.azure_data_lake import AzureStorageClient
from chainlit_dynamodb.storage.base import StorageClient

from .fake_service import Answer, Asked, FakeService, fake_service, write_certificate
from .lost_requests import LostRequests

Make = Callable[..., StorageClient]
HOUR = 3600
REFUSED = Answer(403, b"", {"x-ms-error-code": "AuthorizationPermissionMismatch"})


class Token:
    """A credential of azure-identity.aio, as far as the SDKs use it."""

    def __init__(self) -> None:
        self.closed = False

    async def get_token(self, *_: str, **__: Any) -> Any:
        from azure.core.credentials import AccessToken

        return AccessToken("the-token", int(time.time()) + HOUR)

    async def close(self) -> None:
        self.closed = True


class BlockingToken:
    """A credential of azure-identity."""

    def get_token(self, *_: str, **__: Any) -> Any:
        from azure.core.credentials import AccessToken

        return AccessToken("the-token", int(time.time()) + HOUR)


def delegation_key(asked: Asked) -> Answer:
    """Return a key as Azure does, valid for the time that was asked for."""
    start, ends = (asked.body.decode().split(f"<{tag}>")[1].split("<")[0] for tag in ("Start", "Expiry"))
    fields = {
        "SignedOid": "the-object",
        "SignedTid": "the-tenant",
        "SignedStart": start,
        "SignedExpiry": ends,
        "SignedService": "b",
        "SignedVersion": "2024-11-04",
        "Value": base64.b64encode(b"k" * 32).decode(),
    }
    xml = "".join(f"<{tag}>{text}</{tag}>" for tag, text in fields.items())
    body = f'<?xml version="1.0" encoding="utf-8"?><UserDelegationKey>{xml}</UserDelegationKey>'
    return Answer(200, body.encode(), {"Content-Type": "application/xml"})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls") / "certificate.pem")


@pytest.fixture
def azure(certificate: Path) -> Iterator[FakeService]:
    with fake_service(delegation_key, certificate) as service:
        yield service


@pytest.fixture(params=[AzureBlobStorageClient, AzureStorageClient], ids=["blob", "data lake"])
def make_at(request: pytest.FixtureRequest, certificate: Path) -> Make:
    def make(url: str, credential: Any, lifetime: int = HOUR) -> StorageClient:
        client: StorageClient = request.param(
            container="chats",
            credential=credential,
            account_url=f"{url}/account",
            url_lifetime_seconds=lifetime,
            options={"connection_verify": str(certificate)},
        )
        return client

    return make


@pytest.fixture
def make(make_at: Make, azure: FakeService) -> Make:
    return partial(make_at, azure.url)


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


@pytest.mark.parametrize("token", [Token(), BlockingToken()], ids=["asynchronous", "blocking"])
async def test_url_is_signed_with_a_delegation_key(make: Make, azure: FakeService, token: Any) -> None:
    client = make(token)
    now = datetime.now(timezone.utc)

    query = query_of(await client.get_read_url("a/b.txt"))
    await client.close()

    (asked,) = azure.asked
    assert (asked.method, asked.query["comp"]) == ("POST", ["userdelegationkey"])
    assert asked.headers["authorization"] == "Bearer the-token"
    assert (query["skoid"], query["sktid"], query["sp"], query["sr"]) == ("the-object", "the-tenant", "r", "b")
    assert query["spr"] == "https"
    assert abs(moment(query["st"]) - (now - timedelta(minutes=15))) < timedelta(seconds=10)
    assert abs(moment(query["se"]) - (now + timedelta(hours=1))) < timedelta(seconds=10)
    assert moment(query["ske"]) > moment(query["se"])


async def test_many_urls_side_by_side_ask_for_one_key(make: Make, azure: FakeService) -> None:
    client = make(Token())

    urls = await asyncio.gather(*(client.get_read_url(str(number)) for number in range(50)))
    await client.close()

    assert len(set(urls)) == 50
    assert len(azure.asked) == 1


async def test_key_is_renewed_before_a_url_would_outlive_it(
    make: Make, azure: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make(Token())
    first = query_of(await client.get_read_url("first"))
    real_now = azure_session.utc_now

    monkeypatch.setattr(azure_session, "utc_now", lambda: real_now() + timedelta(hours=23))
    kept = query_of(await client.get_read_url("kept"))
    monkeypatch.setattr(azure_session, "utc_now", lambda: real_now() + timedelta(hours=24, minutes=1))
    renewed = query_of(await client.get_read_url("renewed"))
    await client.close()

    assert first["ske"] == kept["ske"] < renewed["ske"]
    assert len(azure.asked) == 2
    assert moment(renewed["se"]) < moment(renewed["ske"])


async def test_given_token_is_not_closed(make: Make) -> None:
    token = Token()
    client = make(token)
    await client.get_read_url("a")

    await client.close()

    assert not token.closed


async def test_refused_key_is_a_storage_error(certificate: Path) -> None:
    with fake_service(lambda _: REFUSED, certificate) as service:
        client = AzureBlobStorageClient(
            "chats",
            credential=Token(),
            account_url=f"{service.url}/account",
            options={"connection_verify": str(certificate)},
        )
        with pytest.raises(StorageError, match=r"chats.*'the/key'.*AuthorizationPermissionMismatch"):
            await client.get_read_url("the/key")
        await client.close()


async def test_file_that_no_url_can_be_signed_for_is_not_stored(make_at: Make, certificate: Path) -> None:
    with fake_service(lambda _: REFUSED, certificate) as service:
        client = make_at(service.url, Token())
        with pytest.raises(StorageError, match="AuthorizationPermissionMismatch"):
            await client.upload_file("the/key", b"data")
        await client.close()

    assert [asked.query["comp"] for asked in service.asked] == [["userdelegationkey"]]


def test_lifetime_that_no_key_outlives_is_refused(make: Make) -> None:
    make(Token(), 6 * 24 * HOUR)
    with pytest.raises(ConfigurationError, match="6 days"):
        make(Token(), 6 * 24 * HOUR + 1)


async def test_no_credential_is_the_identity_of_the_machine_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    import azure.identity.aio

    made: list[tuple[Token, dict[str, Any]]] = []

    def identity(**arguments: Any) -> Token:
        made.append((Token(), arguments))
        return made[-1][0]

    monkeypatch.setattr(azure.identity.aio, "DefaultAzureCredential", identity)
    monkeypatch.delenv("AZURE_AUTHORITY_HOST", raising=False)
    lost = LostRequests()
    client = AzureBlobStorageClient("chats", "account", endpoint_suffix="core.chinacloudapi.cn", options=lost.options)
    assert made == []  # not before the first call

    with pytest.raises(StorageError, match="lost"):
        await client.delete_file("key")
    await client.close()

    ((token, arguments),) = made
    assert arguments == {"authority": "login.chinacloudapi.cn"}
    assert token.closed
