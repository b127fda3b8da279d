"""Temporary credentials are renewed off the event loop, in time, and their failures are explained."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, DeferredRefreshableCredentials, RefreshableCredentials
from botocore.exceptions import ClientError, CredentialRetrievalError, UnauthorizedSSOTokenError

from chainlit_dynamodb.dynamodb.aio_transport import AioTransport
from chainlit_dynamodb.dynamodb.credentials import AwsCredentials
from chainlit_dynamodb.dynamodb.table import Table
from chainlit_dynamodb.errors import CredentialsError, TransientError
from tests.conftest import REGION
from tests.engines.wire import Wire, answer, refusal

_PATIENCE_SECONDS = 10
KEY = {"PK": "p", "SK": "s"}


def metadata(name: str, *, minutes: float) -> dict[str, str]:
    """Return credentials as a role's provider does."""
    expiry = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    return {"access_key": name, "secret_key": "s", "token": f"token-of-{name}", "expiry_time": expiry.isoformat()}


def refreshable(name: str, *, minutes: float, renew: Callable[[], dict[str, str]]) -> RefreshableCredentials:
    """Return credentials that will be renewed."""
    return RefreshableCredentials.create_from_metadata(metadata(name, minutes=minutes), renew, "stub")


class Session:
    """Stands for botocore's session."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def get_credentials(self) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def credentials_of(found: Any) -> AwsCredentials:
    """Return our credentials over what the session finds."""
    return AwsCredentials(Session(found))


async def test_static_credentials_are_used_as_they_are(wire: Wire) -> None:
    table = Table("chats", AioTransport("chats", REGION, wire.url, {}))
    await table.get(KEY)
    await table.close()
    assert "Credential=test/" in wire.received[0].headers["authorization"]
    assert "x-amz-security-token" not in wire.received[0].headers


async def test_the_loop_runs_on_while_credentials_are_renewed() -> None:
    may_finish = threading.Event()

    def renew() -> dict[str, str]:
        assert may_finish.wait(_PATIENCE_SECONDS)  # only a loop that runs on sets it
        return metadata("new", minutes=60)

    credentials = credentials_of(refreshable("old", minutes=-1, renew=renew))
    waiting = asyncio.create_task(credentials.get_key())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    may_finish.set()
    assert (await waiting).id == "new"


async def test_the_first_look_up_is_off_the_loop_too() -> None:
    may_finish = threading.Event()

    def renew() -> dict[str, str]:
        assert may_finish.wait(_PATIENCE_SECONDS)
        return metadata("assumed", minutes=60)

    credentials = credentials_of(DeferredRefreshableCredentials(renew, "stub"))
    waiting = asyncio.create_task(credentials.get_key())
    await asyncio.sleep(0.01)
    may_finish.set()
    assert (await waiting).token == "token-of-assumed"


async def test_concurrent_calls_renew_once() -> None:
    renewals: list[int] = []

    def renew() -> dict[str, str]:
        renewals.append(1)
        return metadata("new", minutes=60)

    credentials = credentials_of(refreshable("old", minutes=-1, renew=renew))
    keys = await asyncio.gather(*(credentials.get_key() for _ in range(20)))
    assert {key.id for key in keys} == {"new"}
    assert len(renewals) == 1


async def test_credentials_are_renewed_before_they_expire_and_the_old_ones_do_if_that_fails() -> None:
    def renew() -> dict[str, str]:
        raise CredentialRetrievalError(provider="stub", error_msg="busy")

    credentials = credentials_of(refreshable("old", minutes=12, renew=renew))
    assert (await credentials.get_key()).id == "old"


async def test_calls_go_on_with_the_old_credentials_while_new_ones_are_on_their_way() -> None:
    may_finish = threading.Event()

    def renew() -> dict[str, str]:
        assert may_finish.wait(_PATIENCE_SECONDS)
        return metadata("new", minutes=60)

    credentials = credentials_of(refreshable("old", minutes=12, renew=renew))
    first = asyncio.create_task(credentials.get_key())
    await asyncio.sleep(0.01)
    assert (await asyncio.wait_for(credentials.get_key(), 5)).id == "old"
    may_finish.set()
    assert (await first).id == "new"
    assert (await credentials.get_key()).id == "new"


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (CredentialRetrievalError(provider="stub", error_msg="no"), TransientError),
        (ClientError({"Error": {"Code": "Throttling", "Message": "no"}}, "AssumeRole"), TransientError),
        (
            RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
            TransientError,
        ),
        (UnauthorizedSSOTokenError(), CredentialsError),
        (ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole"), CredentialsError),
    ],
)
async def test_only_what_somebody_must_mend_is_final(failure: Exception, expected: type[Exception]) -> None:
    def renew() -> dict[str, str]:
        raise failure

    for found in (refreshable("old", minutes=-1, renew=renew), failure):
        with pytest.raises(expected, match=type(failure).__name__):
            await credentials_of(found).get_key()


async def test_the_old_key_signs_until_it_ends_while_renewing_fails() -> None:
    now = datetime.now(timezone.utc)

    def renew() -> dict[str, str]:
        raise CredentialRetrievalError(provider="stub", error_msg="away")

    ends = now + timedelta(minutes=20)
    credentials = credentials_of(
        RefreshableCredentials("old", "s", "t", ends, renew, "stub", time_fetcher=lambda: now)
    )
    assert (await credentials.get_key()).id == "old"
    now += timedelta(minutes=18)  # botocore itself refuses from 10 minutes before the end
    for _ in range(2):
        assert (await credentials.get_key()).id == "old"
        await asyncio.sleep(0.05)


async def test_a_key_that_aws_refuses_is_looked_up_anew(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [Credentials("stale", "s", "token-of-stale"), Credentials("fresh", "s", "token-of-fresh")]
    monkeypatch.setattr("botocore.session.Session.get_credentials", lambda _: keys.pop(0))
    wire.will_answer(refusal("ExpiredTokenException"), answer({}))
    table = Table("chats", AioTransport("chats", REGION, wire.url, {}))
    assert await table.get(KEY) is None
    await table.close()
    tokens = [received.headers["x-amz-security-token"] for received in wire.received]
    assert tokens == ["token-of-stale", "token-of-fresh"]


async def test_renewed_credentials_sign_the_next_request(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(timezone.utc)
    found = RefreshableCredentials(
        "first",
        "s",
        "token-of-first",
        now + timedelta(minutes=60),
        lambda: metadata("second", minutes=180),
        "stub",
        time_fetcher=lambda: now,
    )
    monkeypatch.setattr("botocore.session.Session.get_credentials", lambda _: found)
    table = Table("chats", AioTransport("chats", REGION, wire.url, {}))
    await table.get(KEY)
    now += timedelta(minutes=61)
    await table.get(KEY)
    await table.close()
    tokens = [received.headers["x-amz-security-token"] for received in wire.received]
    assert tokens == ["token-of-first", "token-of-second"]


async def test_the_signature_is_the_one_that_botocore_makes(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", wire.url)
    monkeypatch.setenv("NO_PROXY", "")
    table = Table("chats", AioTransport("chats", REGION, "http://dynamodb.invalid", {}))
    await table.put({**KEY, "text": "h\u00e9llo"})
    await table.close()
    (sent,) = wire.received
    headers = {name: sent.headers[name] for name in ("content-type", "host", "x-amz-date", "x-amz-target")}
    request = AWSRequest("POST", sent.url, headers, json.dumps(sent.body, separators=(",", ":")))
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials("test", "test"), "dynamodb", REGION)
    expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert sent.headers["authorization"].endswith(f"Signature={expected}")
