"""Credentials and settings that cannot be used are explained, by errors of this package only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chainlit_dynamodb.dynamodb.endpoint import resolve_target
from chainlit_dynamodb.dynamodb.table import Table
from chainlit_dynamodb.errors import ChainlitDynamoDBError
from tests.conftest import REGION
from tests.engines.conftest import AIOHTTP, MakeTransport, tried_for
from tests.engines.wire import Wire


@pytest.mark.parametrize("transport_kind", [AIOHTTP], indirect=True)
async def test_a_token_that_no_header_can_hold_is_an_error_of_ours(
    wire: Wire, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "read-with-its-newline\n")
    with pytest.raises(ChainlitDynamoDBError):
        await Table("chats", make_transport(wire.url), tried_for(0.2)).get({"PK": "p", "SK": "s"})


def test_a_bundle_of_certificates_is_not_asked_for_where_nothing_is_encrypted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "gone.pem"))
    assert resolve_target(REGION, "http://127.0.0.1:8000", os.environ).tls is None
