"""Keys wrapped by KMS: on ministack, and on clients that refuse."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
import uuid
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, NoRegionError

from chainlit_dynamodb import CipherError, ConfigurationError, CredentialsError, KeyProvider, KmsKeys
from chainlit_dynamodb.errors import ChainlitDynamoDBError, TransientError
from chainlit_dynamodb.ops.create_table import create_table
from tests.conftest import REGION
from tests.contract.chats import steps_of
from tests.contract.sealed import MARK, tell_everything
from tests.contract.test_wire_logs import Records, records
from tests.ports import free_port
from tests.wiring import aio_transport, wired

__all__ = ["records"]


class Strict:
    """A client that minds which key is to decrypt, as KMS does and ministack does not."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def decrypt(self, **request: Any) -> Any:
        if not request["CiphertextBlob"].startswith(request["KeyId"].encode()):  # ministack's begin with it
            raise refusal("IncorrectKeyException")
        return self._client.decrypt(**request)


@pytest.fixture
def kms(ministack_url: str) -> Any:
    """A client of KMS."""
    return boto3.client("kms", region_name=REGION, endpoint_url=ministack_url)


@pytest.fixture
def key_id(kms: Any) -> str:
    """A KMS key."""
    return str(kms.create_key()["KeyMetadata"]["KeyId"])


async def test_a_key_is_unwrapped_to_what_it_was(ministack_url: str, key_id: str) -> None:
    keys = KmsKeys(key_id, endpoint_url=ministack_url)
    secret, wrapped = await keys.new_key("alice")
    assert len(secret) == 32
    assert secret not in wrapped
    assert await KmsKeys(key_id, endpoint_url=ministack_url).unwrap(wrapped, "alice") == secret
    await keys.close()


async def test_no_record_at_root_debug_holds_a_key(ministack_url: str, key_id: str, records: Records) -> None:
    keys = KmsKeys(key_id, endpoint_url=ministack_url)
    secret, wrapped = await keys.new_key("alice")
    await keys.unwrap(wrapped, "alice")
    await keys.close()
    assert not records.hold(base64.b64encode(secret).decode(), '"Plaintext"')


async def test_an_alias_and_a_given_client_will_do(kms: Any, key_id: str) -> None:
    kms.create_alias(AliasName=f"alias/{key_id}", TargetKeyId=key_id)
    keys = KmsKeys(f"alias/{key_id}", client=kms)
    secret, wrapped = await keys.new_key("alice")
    await keys.close()
    assert await keys.unwrap(wrapped, "alice") == secret


@pytest.mark.parametrize("other", ["bob", ""])
async def test_a_key_is_its_users(kms: Any, key_id: str, other: str) -> None:
    keys = KmsKeys(key_id, client=kms)
    _, wrapped = await keys.new_key("alice")
    with pytest.raises(CipherError, match="has wrapped this key"):
        await keys.unwrap(wrapped, other)


async def test_chats_without_an_owner_have_a_key_too(kms: Any, key_id: str) -> None:
    keys = KmsKeys(key_id, client=kms)
    secret, wrapped = await keys.new_key("")
    assert await keys.unwrap(wrapped, "") == secret


async def test_another_kms_key_unwraps_what_old_ones_have_wrapped(kms: Any, key_id: str) -> None:
    secret, wrapped = await KmsKeys(key_id, client=kms).new_key("alice")
    new_id = kms.create_key()["KeyMetadata"]["KeyId"]
    kms = Strict(kms)
    with pytest.raises(CipherError):
        await KmsKeys(new_id, client=kms).unwrap(wrapped, "alice")
    rotating = KmsKeys(new_id, old_key_ids=[key_id], client=kms)
    assert await rotating.unwrap(wrapped, "alice") == secret
    again = await rotating.rewrap(wrapped, "alice")
    assert await KmsKeys(new_id, client=kms).unwrap(again, "alice") == secret


async def test_a_key_that_does_not_exist_is_a_clear_error(kms: Any) -> None:
    with pytest.raises(CipherError, match="GenerateDataKey: NotFoundException: KMS refused nothing"):
        await KmsKeys("nothing", client=kms).new_key("alice")


async def test_a_key_that_is_switched_off_is_a_clear_error(kms: Any, key_id: str) -> None:
    _, wrapped = await KmsKeys(key_id, client=kms).new_key("alice")
    kms.disable_key(KeyId=key_id)
    with pytest.raises(CipherError, match="is it enabled"):
        await KmsKeys(key_id, client=kms).unwrap(wrapped, "alice")


class Refusing:
    """A client whose every call fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def generate_data_key(self, **_: Any) -> Any:
        raise self.error


def refusal(code: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "GenerateDataKey")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refusal("ThrottlingException"), TransientError),
        (refusal("LimitExceededException"), TransientError),
        (refusal("KMSInternalException", 500), TransientError),
        (refusal("DependencyTimeoutException"), TransientError),
        (refusal("KeyUnavailableException"), TransientError),
        (refusal("Whatever", 503), TransientError),
        (EndpointConnectionError(endpoint_url="https://kms"), TransientError),
        (refusal("AccessDeniedException"), CipherError),
        (refusal("DisabledException"), CipherError),
        (refusal("KMSInvalidStateException"), CipherError),
        (NoRegionError(), CipherError),
        (NoCredentialsError(), CredentialsError),
    ],
)
async def test_what_passes_is_told_from_what_does_not(error: Exception, kind: type[ChainlitDynamoDBError]) -> None:
    with pytest.raises(kind):
        await KmsKeys("k", client=Refusing(error)).new_key("alice")


async def test_kms_that_cannot_be_reached_passes() -> None:
    keys = KmsKeys("k", endpoint_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(TransientError, match="no answer from KMS"):
        await keys.new_key("alice")


async def test_kms_is_asked_off_the_event_loop(key_id: str) -> None:
    class Slow:
        def generate_data_key(self, **_: Any) -> Any:
            time.sleep(0.2)
            return {"Plaintext": b"k" * 32, "CiphertextBlob": threading.current_thread().name.encode()}

    begun = asyncio.get_running_loop().time()
    asking = asyncio.create_task(KmsKeys("k", client=Slow()).new_key("alice"))
    await asyncio.sleep(0.01)
    assert asyncio.get_running_loop().time() - begun < 0.15
    assert (await asking)[1] != threading.main_thread().name.encode()


async def test_a_chat_is_sealed_with_keys_that_kms_wraps(kms: Any, key_id: str, ministack_url: str) -> None:
    tables = [f"test-{uuid.uuid4().hex}" for _ in range(2)]
    dynamodb = boto3.client("dynamodb", region_name=REGION, endpoint_url=ministack_url)
    for table in tables:
        create_table(dynamodb, table)
    layers = [
        wired(
            tables[0],
            aio_transport(ministack_url, tables[0]),
            cipher=KmsKeys(key_id, key_table=tables[1], endpoint_url=ministack_url),
        )
        for _ in range(2)
    ]
    await layers[0].check()
    await tell_everything(layers[0])
    assert MARK not in repr([dynamodb.scan(TableName=table)["Items"] for table in tables])
    assert (await steps_of(layers[1]))["s2"]["output"] == MARK
    keys = layers[1].keys
    assert keys is not None
    assert await keys.rewrap("alice")
    assert await keys.erase("alice")
    assert await layers[1].get_thread("t1") is None
    for layer in layers:
        await layer.close()
    for table in tables:
        dynamodb.delete_table(TableName=table)


@pytest.mark.parametrize("key_id", ["", " "])
def test_a_key_must_be_named(key_id: str) -> None:
    with pytest.raises(ConfigurationError, match="key_id"):
        KmsKeys(key_id)


def test_old_keys_are_a_list() -> None:
    with pytest.raises(ConfigurationError, match="list"):
        KmsKeys("new", old_key_ids="old")


def test_it_is_a_key_provider() -> None:
    provider: KeyProvider = KmsKeys("alias/chats", key_table="keys")
    assert provider.key_table == "keys"
