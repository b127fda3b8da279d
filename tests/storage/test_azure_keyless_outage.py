"""Azure without an account key, while the service that gives out user delegation keys fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chainlit_dynamodb.errors import StorageError
from chainlit_dynamodb.storage import azure_session
from chainlit_dynamodb.storage.azure_blob import AzureBlobStorageClient

from .fake_service import Answer, Asked, FakeService, fake_service, write_certificate
from .test_azure_keyless import REFUSED, Token, delegation_key, moment, query_of

SLOW_SECONDS = 0.5


class Service:
    """Gives out keys, or refuses after a while."""

    def __init__(self) -> None:
        self.fails = False

    def __call__(self, asked: Asked) -> Answer:
        if self.fails:
            time.sleep(SLOW_SECONDS)
            return REFUSED
        return delegation_key(asked)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def azure(service: Service, tmp_path: Path) -> Iterator[FakeService]:
    with fake_service(service, write_certificate(tmp_path / "certificate.pem")) as azure:
        yield azure


@pytest.fixture
def client(azure: FakeService, tmp_path: Path) -> AzureBlobStorageClient:
    return AzureBlobStorageClient(
        "chats",
        credential=Token(),
        account_url=f"{azure.url}/account",
        options={"connection_verify": str(tmp_path / "certificate.pem")},
    )


def later(monkeypatch: pytest.MonkeyPatch, **time_passed: float) -> None:
    now = azure_session.utc_now
    monkeypatch.setattr(azure_session, "utc_now", lambda: now() + timedelta(**time_passed))


async def sign(client: AzureBlobStorageClient, count: int, name: str = "file") -> list[Any]:
    urls = (client.get_read_url(f"{name}-{number}") for number in range(count))
    return await asyncio.gather(*urls, return_exceptions=True)


async def test_urls_share_one_attempt_and_its_failure(
    client: AzureBlobStorageClient, azure: FakeService, service: Service
) -> None:
    service.fails = True
    start = time.monotonic()

    together = await sign(client, 20)
    a_moment_later = await sign(client, 20, "other")
    took = time.monotonic() - start
    await client.close()

    assert all(isinstance(answer, StorageError) for answer in [*together, *a_moment_later])
    assert len(azure.asked) == 1
    assert took < 2 * SLOW_SECONDS + 1


async def test_a_failure_is_shared_for_a_moment_only(
    client: AzureBlobStorageClient, azure: FakeService, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure_session, "FAILURE_SECONDS", 0.1)
    service.fails = True
    await sign(client, 1)
    service.fails = False
    await asyncio.sleep(0.2)

    (url,) = await sign(client, 1)
    await client.close()

    assert query_of(url)["sig"]
    assert len(azure.asked) == 2


async def test_a_key_close_to_its_end_signs_while_there_is_no_newer_one(
    client: AzureBlobStorageClient, azure: FakeService, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = await sign(client, 1)
    service.fails = True
    later(monkeypatch, hours=24, minutes=1)

    urls = await sign(client, 20, "late")
    await client.close()

    queries = [query_of(url) for url in urls]
    assert {query["ske"] for query in queries} == {query_of(first)["ske"]}
    assert all(moment(query["se"]) == moment(query["ske"]) for query in queries)  # no longer than the key
    assert len(azure.asked) == 2


async def test_a_key_that_has_ended_signs_nothing(
    client: AzureBlobStorageClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign(client, 1)
    service.fails = True
    later(monkeypatch, hours=25, minutes=1)

    (answer,) = await sign(client, 1, "late")
    await client.close()

    assert isinstance(answer, StorageError)


async def test_a_key_is_renewed_in_the_background_long_before_its_end(
    client: AzureBlobStorageClient, azure: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = await sign(client, 1)
    later(monkeypatch, hours=13)

    (meanwhile,) = await sign(client, 1, "meanwhile")
    await asyncio.sleep(0.3)
    (after,) = await sign(client, 1, "after")
    await client.close()

    assert query_of(meanwhile)["ske"] == query_of(first)["ske"] < query_of(after)["ske"]
    assert len(azure.asked) == 2


async def test_a_service_that_hangs_holds_nobody_up_for_long(
    client: AzureBlobStorageClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure_session, "RENEWAL_SECONDS", 0.1)
    await sign(client, 1)
    service.fails = True
    later(monkeypatch, hours=24, minutes=1)
    start = time.monotonic()

    (url,) = await sign(client, 1, "late")
    took = time.monotonic() - start
    await client.close()

    assert query_of(url)["sig"]
    assert took < SLOW_SECONDS
