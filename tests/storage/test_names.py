"""Object names, header values and lifetimes: the pure part."""

from __future__ import annotations

import re
from email.message import Message
from urllib.parse import unquote, urljoin

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainlit_dynamodb.errors import ConfigurationError, StorageError
from chainlit_dynamodb.storage.base import StorageClient
from chainlit_dynamodb.storage.headers import checked_disposition, checked_mime, content_disposition
from chainlit_dynamodb.storage.lifetime import url_lifetime
from chainlit_dynamodb.storage.names import object_name

HEADER = re.compile(
    r"(attachment|inline); filename=\"([ !#$&-.0-\[\]-~]+)\"; filename\*=UTF-8''([!#$&+\-.^_`|~%\w]+)", re.A
)
UNTOUCHED = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cf"], exclude_characters="/\\"),
    min_size=1,
    max_size=200,
).filter(lambda name: name == name.strip())
SEGMENTS = st.lists(st.sampled_from([".", "..", "a", "", "~", ".~", "..~", "..~~", "...", "%2e%2e"])).map("/".join)


@given(st.text(), st.booleans())
@example("", False)
@example('a".pdf\r\nX: 1', True)
@example("\ud800", False)
@example("\ufb01\uff0f\u00bd.txt", False)
def test_any_file_name_makes_a_clean_ascii_header(name: str, inline: bool) -> None:
    match = HEADER.fullmatch(content_disposition(name, inline=inline))

    assert match
    assert match[1] == ("inline" if inline else "attachment")


@given(UNTOUCHED)
def test_a_sane_file_name_survives_exactly(name: str) -> None:
    message = Message()
    message["Content-Disposition"] = content_disposition(name)

    assert unquote(content_disposition(name).partition("filename*=UTF-8''")[2]) == name
    assert checked_disposition(content_disposition(name))
    if name.isascii() and not set(name) & set('"%'):
        assert f'filename="{name}"' in str(message["Content-Disposition"])


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("plan.pdf", "attachment; filename=\"plan.pdf\"; filename*=UTF-8''plan.pdf"),
        ("Übung 1.pdf", "attachment; filename=\"Ubung 1.pdf\"; filename*=UTF-8''%C3%9Cbung%201.pdf"),
        ("../../etc/passwd", "attachment; filename=\".._.._etc_passwd\"; filename*=UTF-8''.._.._etc_passwd"),
        ('"; x="', "attachment; filename=\"_; x=_\"; filename*=UTF-8''%22%3B%20x%3D%22"),
        ("50%.txt", "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
        ("cod\u202efdp.exe", "attachment; filename=\"codfdp.exe\"; filename*=UTF-8''codfdp.exe"),
        ("\r\n", "attachment; filename=\"file\"; filename*=UTF-8''file"),
    ],
)
def test_file_name_reads_as_expected(name: str, header: str) -> None:
    assert content_disposition(name) == header


def test_long_file_name_keeps_its_extension() -> None:
    header = content_disposition("n" * 5000 + ".pdf")

    assert header.endswith("n.pdf")
    assert len(header) < 500


@given(SEGMENTS.filter(bool), SEGMENTS.filter(bool))
def test_two_keys_never_share_a_name(one: str, other: str) -> None:
    assert (one == other) == (object_name(one, "") == object_name(other, ""))


@given(SEGMENTS.filter(bool))
def test_a_browser_leaves_the_name_as_it_is(key: str) -> None:
    url = "https://host/bucket/" + object_name(key, "").replace("%", "%25")

    assert urljoin(url, url.removeprefix("https://host")) == url
    assert not {".", ".."} & set(url.split("/"))


def test_an_ordinary_key_is_its_own_name() -> None:
    assert object_name("user/thread/element/plan v1.2.pdf", "") == "user/thread/element/plan v1.2.pdf"
    assert object_name("user/plan.pdf", "chats/prod") == "chats/prod/user/plan.pdf"


def test_key_longer_than_the_storage_allows_is_refused() -> None:
    assert len(object_name("k" * 1024, "")) == 1024
    with pytest.raises(StorageError, match="longer than 1024"):
        object_name("é" * 513, "")


@pytest.mark.parametrize("mime", ["image/png", "text/plain; charset=utf-8", "weird"])
def test_media_type_that_fits_a_header_is_left_alone(mime: str) -> None:
    assert checked_mime(mime) == mime


@pytest.mark.parametrize("mime", [None, "", " ", "a\nb", "text/plain\r", "é", "a\x00"])
def test_media_type_that_does_not_fit_becomes_octet_stream(mime: str | None) -> None:
    assert checked_mime(mime) == "application/octet-stream"


def test_lifetime_is_the_argument_then_the_environment_then_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORAGE_EXPIRY_TIME", raising=False)
    assert url_lifetime(None) == 3600
    monkeypatch.setenv("STORAGE_EXPIRY_TIME", "120")
    assert url_lifetime(None) == 120
    assert url_lifetime(7) == 7


@pytest.mark.parametrize("value", ["", "0", "-1", "an hour", "1.5"])
def test_senseless_lifetime_is_refused_by_name(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EXPIRY_TIME", value)
    with pytest.raises(ConfigurationError, match="STORAGE_EXPIRY_TIME"):
        url_lifetime(None)


def test_lifetime_argument_of_zero_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="url_lifetime_seconds"):
        url_lifetime(0)


def test_half_a_client_cannot_be_made() -> None:
    class Half(StorageClient):
        async def close(self) -> None: ...

    with pytest.raises(TypeError, match="abstract"):
        Half("half", "half")  # type: ignore[abstract]
