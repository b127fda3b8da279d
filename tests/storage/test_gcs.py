"""What only Google Cloud Storage does: keys in every form, V4 signatures, signing by IAM, parts, and errors."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import traceback
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import google_crc32c
import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.auth import credentials as google_credentials
from google.auth import iam

from chainlit_dynamodb.errors import ConfigurationError, MissingDependencyError, ObjectExistsError, StorageError
from chainlit_dynamodb.storage import gcs
from chainlit_dynamodb.storage.gcs import GCSStorageClient
from tests.ports import free_port

from .conftest import SIGNER, name_of
from .fake_service import Answer, Asked, FakeService, fake_service

MEGABYTE = 1024 * 1024


async def url_of(client: GCSStorageClient, key: str = "a/b c.txt") -> str:
    url = await client.get_read_url(key)
    await client.close()
    return url


def check_v4_signature(url: str, public_key: rsa.RSAPublicKey) -> dict[str, str]:
    """Check a URL as Google does: rebuild what was signed from the URL alone. Gives its query."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, strict_parsing=True))
    signature = bytes.fromhex(query.pop("X-Goog-Signature"))
    canonical_query = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(query.items()))
    request = ["GET", parts.path, canonical_query, f"host:{parts.netloc}\n", "host", "UNSIGNED-PAYLOAD"]
    scope = query["X-Goog-Credential"].partition("/")[2]
    digest = hashlib.sha256("\n".join(request).encode()).hexdigest()
    signed = "\n".join(["GOOG4-RSA-SHA256", query["X-Goog-Date"], scope, digest])
    public_key.verify(signature, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return query


@pytest.mark.parametrize("key", ["a.txt", "ünï/日本.txt", "a b#c?d&e=f%41+~.txt", "quo\"te's;.txt", "../x", "a/./b"])
async def test_url_has_a_valid_v4_signature(key: str, private_key: rsa.RSAPrivateKey, private_pem: str) -> None:
    client = GCSStorageClient("chats", "project", SIGNER, private_pem, url_lifetime_seconds=77)

    query = check_v4_signature(await url_of(client, key), private_key.public_key())

    assert query["X-Goog-Expires"] == "77"
    assert query["X-Goog-Credential"].startswith(f"{SIGNER}/")


async def test_altered_url_has_no_valid_signature(private_key: rsa.RSAPrivateKey, private_pem: str) -> None:
    from cryptography.exceptions import InvalidSignature

    url = await url_of(GCSStorageClient("chats", "project", SIGNER, private_pem), "a.txt")

    for altered in (url.replace("a.txt", "b.txt"), url.replace("Expires=3600", "Expires=3601")):
        assert altered != url
        with pytest.raises(InvalidSignature):
            check_v4_signature(altered, private_key.public_key())


@pytest.mark.parametrize(
    "form",
    [
        lambda pem: pem,
        lambda pem: pem.replace("\n", "\\n"),
        lambda pem: f'"{pem}"'.replace("\n", "\\n"),
        lambda pem: pem.replace("\n", "\r\n"),
        lambda pem: base64.b64encode(pem.encode()).decode(),
        lambda pem: base64.encodebytes(pem.encode()).decode(),
    ],
    ids=["PEM", "literal \\n", "quoted", "CRLF", "base64", "base64 in lines"],
)
async def test_private_key_may_have_any_form(
    form: Callable[[str], str], private_key: rsa.RSAPrivateKey, private_pem: str
) -> None:
    client = GCSStorageClient(
        project_id="project", client_email=SIGNER, private_key=form(private_pem), bucket_name="chats"
    )

    check_v4_signature(await url_of(client), private_key.public_key())


@pytest.mark.parametrize("garbage", ["", "garbage", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_garbage_as_a_private_key_is_named_and_not_quoted(garbage: str) -> None:
    with pytest.raises(ConfigurationError, match="private_key") as caught:
        GCSStorageClient("chats", "project", SIGNER, garbage)
    assert "AAAA" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_private_key_needs_its_account(private_pem: str) -> None:
    with pytest.raises(ConfigurationError, match="client_email"):
        GCSStorageClient("chats", "project", private_key=private_pem)


@pytest.mark.parametrize("bucket", ["", None, 7])
def test_bucket_must_be_named(bucket: Any) -> None:
    with pytest.raises(ConfigurationError, match="bucket_name"):
        GCSStorageClient(bucket)


def test_key_and_credentials_exclude_each_other(private_pem: str) -> None:
    with pytest.raises(ConfigurationError, match="credentials"):
        GCSStorageClient("chats", "p", SIGNER, private_pem, credentials=object())


def test_lifetime_above_a_week_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="7 days"):
        GCSStorageClient("chats", url_lifetime_seconds=604_801)


def test_missing_sdk_gives_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud", None)

    with pytest.raises(MissingDependencyError, match=r"pip install 'chainlit-dynamodb\[gcs\]'"):
        GCSStorageClient("chats")


async def test_missing_credentials_are_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    from google.auth.exceptions import DefaultCredentialsError

    def none(**_: Any) -> Any:
        raise DefaultCredentialsError("no credentials here")

    monkeypatch.setattr("google.auth.default", none)
    client = GCSStorageClient("chats")

    with pytest.raises(StorageError, match=r"chats.*'the/key'.*no credentials here"):
        await client.get_read_url("the/key")
    await client.close()


class MachineCredentials(google_credentials.Credentials):  # type: ignore[misc]
    """What a virtual machine or a workload has: tokens, and no key."""

    def __init__(self, email: str | None = SIGNER) -> None:
        super().__init__()
        self.refreshed = 0
        if email:
            self.service_account_email = email

    def refresh(self, request: Any) -> None:
        self.refreshed += 1
        self.token = "the-token"


@pytest.fixture
def sign_blob(private_key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeService]:
    def answer(asked: Asked) -> Answer:
        if len(service.asked) == 1:
            return Answer(503)  # IAM is busy once
        message = base64.b64decode(json.loads(asked.body)["payload"])
        signature = private_key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return Answer(200, json.dumps({"keyId": "1", "signedBlob": base64.b64encode(signature).decode()}).encode())

    with fake_service(answer) as service:
        monkeypatch.setattr(iam, "_IAM_SIGN_ENDPOINT", f"{service.url}/serviceAccounts/{{}}:signBlob")
        yield service


@pytest.mark.parametrize("named", ["by the credentials", "by the argument"])
async def test_default_credentials_sign_by_iam(
    named: str, sign_blob: FakeService, private_key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = MachineCredentials(SIGNER if named == "by the credentials" else None)
    monkeypatch.setattr("google.auth.default", lambda **_: (own, "project"))
    client = GCSStorageClient("chats", client_email=None if named == "by the credentials" else SIGNER)

    query = check_v4_signature(await url_of(client), private_key.public_key())

    assert query["X-Goog-Credential"].startswith(f"{SIGNER}/")
    assert [asked.path for asked in sign_blob.asked] == [f"/serviceAccounts/{SIGNER}:signBlob"] * 2
    assert sign_blob.asked[-1].headers["authorization"] == "Bearer the-token"
    assert own.refreshed == 1


async def test_credentials_of_a_person_need_an_account_to_sign_as(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("google.auth.default", lambda **_: (MachineCredentials(None), "project"))
    client = GCSStorageClient("chats")

    with pytest.raises(StorageError, match="client_email="):
        await client.get_read_url("key")
    await client.close()


async def test_file_that_no_url_can_be_signed_for_is_not_stored() -> None:
    with fake_service(lambda asked: uploaded(asked, service)) as service:
        client = GCSStorageClient("chats", credentials=MachineCredentials(None), endpoint=service.url)
        with pytest.raises(StorageError, match="client_email="):
            await client.upload_file("key", b"data")
        await client.close()

    assert writes(service) == []


async def test_refusal_by_iam_is_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_service(lambda _: Answer(403, b'{"error": "iam.serviceAccounts.signBlob denied"}')) as service:
        monkeypatch.setattr(iam, "_IAM_SIGN_ENDPOINT", f"{service.url}/{{}}:signBlob")
        client = GCSStorageClient("chats", credentials=MachineCredentials())
        with pytest.raises(StorageError, match=r"chats.*'the/key'.*signBlob denied"):
            await client.get_read_url("the/key")
        await client.close()


async def test_credentials_never_go_over_plain_http(private_pem: str) -> None:
    with fake_service(lambda _: Answer(200, b"{}", {"Content-Type": "application/json"})) as service:
        client = GCSStorageClient("chats", "project", SIGNER, private_pem, endpoint=service.url)
        await client.upload_file("key", b"data")
        await client.close()

    assert writes(service)
    assert all("authorization" not in asked.headers for asked in service.asked)


def writes(service: FakeService) -> list[Asked]:
    """Leave out that the SDK asks for the bucket's location, once and in the background, for its traces."""
    return [asked for asked in service.asked if asked.method != "GET"]


def uploaded(asked: Asked, service: FakeService) -> Answer:
    """Answer as Google does to an upload, whole or in parts."""
    if asked.query.get("uploadType") == ["resumable"]:
        return Answer(200, b"", {"Location": f"{service.url}/session"})
    if asked.method == "PUT":
        last, _, total = asked.headers["content-range"].partition("-")[2].partition("/")
        if int(last) + 1 != int(total):
            return Answer(308, b"", {"Range": f"bytes=0-{last}"})
    content = b"".join(one.body for one in service.asked if one.method == "PUT")
    crc32c = base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()
    return Answer(200, json.dumps({"crc32c": crc32c}).encode(), {"Content-Type": "application/json"})


@pytest.mark.parametrize("size", [10, 20 * MEGABYTE])
async def test_upload_carries_condition_type_and_file_name(size: int, private_pem: str) -> None:
    def answer(asked: Asked) -> Answer:
        return uploaded(asked, service)

    with fake_service(answer) as service:
        client = GCSStorageClient("chats", "project", SIGNER, private_pem, endpoint=service.url)
        header = "attachment; filename=\"U.pdf\"; filename*=UTF-8''%C3%9C.pdf"
        await client.upload_file("key", b"x" * size, "application/pdf", overwrite=False, content_disposition=header)
        await client.close()

    start, *parts = writes(service)
    assert start.query["ifGenerationMatch"] == ["0"]
    assert header.encode() in start.body.replace(b'\\"', b'"')
    assert b"application/pdf" in start.body + start.headers.get("x-upload-content-type", "").encode()
    assert [len(part.body) for part in parts] == ([] if size == 10 else [8 * MEGABYTE, 8 * MEGABYTE, 4 * MEGABYTE])


@pytest.mark.parametrize("lost", [False, True], ids=["refused", "lost"])
async def test_an_error_does_not_quote_the_url_of_an_unfinished_upload(
    lost: bool, private_pem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcs, "RETRY_SECONDS", 0.5)

    def answer(asked: Asked) -> Answer:
        if asked.query.get("uploadType") != ["resumable"]:
            return Answer(403, b'{"error": {"message": "no"}}', {"Content-Type": "application/json"})
        origin = f"http://127.0.0.1:{free_port()}" if lost else service.url
        return Answer(200, b"", {"Location": f"{origin}/upload?upload_id=THE-SESSION"})

    with fake_service(answer) as service:
        client = GCSStorageClient("chats", "project", SIGNER, private_pem, endpoint=service.url)
        with pytest.raises(StorageError, match=r"gs://chats, key 'the/key': could not upload") as caught:
            await client.upload_file("the/key", b"x" * 9 * MEGABYTE)
        await client.close()

    told = "".join(traceback.format_exception(caught.value))
    assert "Traceback" in told
    assert "THE-SESSION" not in told


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("size", [10, 9 * MEGABYTE])
async def test_throttling_is_tried_again(status: int, size: int, private_pem: str) -> None:
    def answer(asked: Asked) -> Answer:
        if len(writes(service)) == 1:
            return Answer(status)
        return uploaded(asked, service)

    with fake_service(answer) as service:
        client = GCSStorageClient("chats", "project", SIGNER, private_pem, endpoint=service.url)
        stored = await client.upload_file("key", b"x" * size)
        await client.close()

    assert stored["object_key"] == "key"


async def test_refusal_by_condition_is_an_object_that_exists(private_pem: str) -> None:
    with fake_service(lambda _: Answer(412, b'{"error": {"message": "conditionNotMet"}}')) as service:
        client = GCSStorageClient("chats", "project", SIGNER, private_pem, endpoint=service.url)
        with pytest.raises(ObjectExistsError, match="'the/key'"):
            await client.upload_file("the/key", b"data", overwrite=False)
        await client.close()


async def test_file_name_is_stored_on_the_object(gcp_storage_emulator_url: str, private_pem: str) -> None:
    bucket, key = f"names-{uuid.uuid4()}", str(uuid.uuid4())
    client = GCSStorageClient(bucket, "project", SIGNER, private_pem, endpoint=gcp_storage_emulator_url)
    async with httpx.AsyncClient(base_url=gcp_storage_emulator_url, trust_env=False) as engine:
        await engine.post("/storage/v1/b", json={"name": bucket})
        await client.upload_file(key, b"data", content_disposition='attachment; filename="a.pdf"')
        found = (await engine.get(f"/storage/v1/b/{bucket}/o/{key}")).json()
    await client.close()

    assert found["contentDisposition"] == 'attachment; filename="a.pdf"'


async def test_missing_bucket_is_a_storage_error_with_bucket_and_key(
    fake_gcs_server_url: str, private_pem: str
) -> None:
    client = GCSStorageClient("no-such-bucket", "project", SIGNER, private_pem, endpoint=fake_gcs_server_url)

    with pytest.raises(StorageError, match=r"no-such-bucket.*'the/key'.*NotFound"):
        await client.upload_file("the/key", b"data")
    await client.close()


async def test_delete_in_a_missing_bucket_is_no_success(private_pem: str) -> None:
    missing = Answer(404, b'{"error": {"message": "The specified bucket does not exist."}}')
    with fake_service(lambda _: missing) as service:
        client = GCSStorageClient("chats", "project", SIGNER, private_pem, endpoint=service.url)
        with pytest.raises(StorageError, match="bucket does not exist"):
            await client.delete_file("key")
        await client.close()


async def test_denied_delete_is_no_success(private_pem: str) -> None:
    with fake_service(lambda _: Answer(403, b'{"error": {"message": "storage.objects.delete denied"}}')) as service:
        client = GCSStorageClient("chats", "project", SIGNER, private_pem, endpoint=service.url)
        with pytest.raises(StorageError, match="denied"):
            await client.delete_file("key")
        await client.close()


async def test_keys_that_google_cannot_hold_are_hashed(private_pem: str) -> None:
    client = GCSStorageClient("chats", "project", SIGNER, private_pem, endpoint="http://127.0.0.1:1", prefix="p")
    keys = ["a\nb", "a\rb", ".well-known/acme-challenge/x", "~sha256/x", "..", "a"]
    names = [await name_of(client, key) for key in keys]
    await client.close()

    assert all(name.startswith("p/~sha256/") for name in names[:4])
    assert names[4:] == ["p/..~", "p/a"]
    assert len(set(names)) == len(names)
