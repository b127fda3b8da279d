"""The process around the transport: its proxies, trusted certificates, passwords and logging."""

from __future__ import annotations

import base64
import logging.config
import os
from pathlib import Path

import pytest

from chainlit_dynamodb.dynamodb.endpoint import resolve_target
from chainlit_dynamodb.dynamodb.expressions import Update
from chainlit_dynamodb.dynamodb.table import Table
from chainlit_dynamodb.errors import ConfigurationError, TransientError
from tests.conftest import REGION
from tests.engines.certificates import certified
from tests.engines.conftest import AIOHTTP, MakeTransport, tried_for
from tests.engines.tunnel import Tunnel
from tests.engines.wire import HOST, Wire, answer, refusal
from tests.ports import free_port

KEY = {"PK": "p", "SK": "s"}
FOUND = answer({"Item": {"x": {"N": "1"}}})
NOWHERE = "http://dynamodb.invalid:8000"

only_aiohttp = pytest.mark.parametrize("transport_kind", [AIOHTTP], indirect=True)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without proxies, wherever the tests run."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


async def test_requests_go_through_the_proxy_of_the_environment(
    wire: Wire, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", wire.url)
    wire.will_answer(FOUND)
    table = Table("chats", make_transport(NOWHERE), tried_for(1))
    assert [await table.get(KEY), await table.get(KEY)] == [{"x": 1}] * 2
    assert [received.url for received in wire.received] == [f"{NOWHERE}/"] * 2


async def test_a_proxy_without_a_scheme_is_meant_to_have_one(
    wire: Wire, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", wire.url.removeprefix("http://"))
    await Table("chats", make_transport(NOWHERE), tried_for(1)).get(KEY)
    assert wire.received[0].url == f"{NOWHERE}/"


async def test_a_proxy_of_another_scheme_is_none_of_ours(
    wire: Wire, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{HOST}:{free_port()}")
    await Table("chats", make_transport(wire.url), tried_for(1)).get(KEY)
    assert wire.received[0].url == "/"


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
async def test_hosts_that_need_no_proxy_are_asked_directly(
    wire: Wire, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{HOST}:{free_port()}")
    monkeypatch.setenv(name, f"example.com,{HOST}")
    await Table("chats", make_transport(wire.url), tried_for(1)).get(KEY)
    assert wire.received[0].url == "/"


async def test_a_proxy_is_told_its_password_and_dynamodb_the_signature(
    wire: Wire, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", wire.url.replace("://", "://who:p%40ss@"))
    await Table("chats", make_transport(NOWHERE), tried_for(1)).get(KEY)
    headers = wire.received[0].headers
    assert headers["proxy-authorization"] == f"Basic {base64.b64encode(b'who:p@ss').decode()}"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=test/")


async def test_a_proxy_that_does_not_answer_is_a_transient_error(
    make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{HOST}:{free_port()}")
    with pytest.raises(TransientError):
        await Table("chats", make_transport(NOWHERE), tried_for(0.05)).get(KEY)


@pytest.mark.parametrize("proxy", ["socks5://who:secret@h:1", "http://who:secret@h:port", "http://"])
def test_a_proxy_that_is_no_http_url_is_a_matter_of_configuration(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        resolve_target(REGION, None, {})
    assert "secret" not in str(caught.value)


def test_the_password_of_a_proxy_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://who:secret@h:1")
    target = resolve_target(REGION, None, {})
    assert target.proxy_url == "http://who:secret@h:1"
    assert "secret" not in repr(target)


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
async def test_certificates_of_the_bundle_are_trusted_through_a_proxy_too(
    make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    tls, bundle = certified(tmp_path)
    monkeypatch.setenv(name, str(bundle))
    async with Wire(tls=tls) as wire, Tunnel() as tunnel:
        wire.will_answer(FOUND)
        direct = Table("chats", make_transport(wire.url), tried_for(1))
        assert await direct.get(KEY) == {"x": 1}
        assert tunnel.asked == []
        monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
        proxied = Table("chats", make_transport(wire.url), tried_for(1))
        assert await proxied.get(KEY) == {"x": 1}
        assert tunnel.asked == [wire.url.removeprefix("https://")]
        await direct.close()
        await proxied.close()


async def test_certificates_nobody_vouches_for_are_not_trusted(make_transport: MakeTransport, tmp_path: Path) -> None:
    tls, _ = certified(tmp_path)
    async with Wire(tls=tls) as wire:
        with pytest.raises(TransientError):
            await Table("chats", make_transport(wire.url), tried_for(0.05)).get(KEY)
        assert wire.received == []


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bundle_that_cannot_be_read_is_a_matter_of_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with pytest.raises(ConfigurationError, match="AWS_CA_BUNDLE") as caught:
        resolve_target(REGION, None, {})
    assert str(bundle) in str(caught.value)


async def test_passwords_for_browsing_sign_nothing(
    wire: Wire, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text(f"machine {HOST} login who password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    await Table("chats", make_transport(wire.url), tried_for(1)).get(KEY)
    assert wire.received[0].headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=test/")


@only_aiohttp
async def test_no_logging_configuration_brings_content_into_the_log(
    wire: Wire, make_transport: MakeTransport, caplog: pytest.LogCaptureFixture
) -> None:
    table = Table("chats", make_transport(wire.url), tried_for(5))
    await table.get(KEY)  # whatever makes loggers has made them
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})  # as uvicorn does
    with caplog.at_level(logging.DEBUG):
        for name in logging.root.manager.loggerDict:
            caplog.set_level(logging.DEBUG, name)
        wire.will_answer(refusal("ThrottlingException"), answer({"Item": {"x": {"S": "what the user read"}}}))
        await table.update(KEY, Update(assign={"x": "what the user wrote"}))
        assert await table.get(KEY) == {"x": "what the user read"}
    assert "UpdateItem" in caplog.text
    assert "what the user" not in caplog.text
