"""A data layer on each engine, over both transports, and Chainlit sessions to call it from."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
import pytest

from chainlit_dynamodb import DynamoDBDataLayer, KeyProvider, LocalKeys, LocalStorageClient
from chainlit_dynamodb.dynamodb.given_client import ClientTransport
from chainlit_dynamodb.dynamodb.table import BATCH_WRITE_ITEMS, chunks
from chainlit_dynamodb.ops.create_table import create_table
from chainlit_dynamodb.testing.engines import DYNAMODB_LOCAL, MINISTACK
from tests.conftest import REGION
from tests.contract.chats import GIVEN_CLIENT, SEALED
from tests.wiring import aio_transport, wired


@lru_cache
def client_of(url: str) -> Any:
    """Give the boto3 client of an engine; making one costs more than most tests."""
    return boto3.client("dynamodb", region_name=REGION, endpoint_url=url)


@pytest.fixture(params=[DYNAMODB_LOCAL, MINISTACK, GIVEN_CLIENT, SEALED])
def backend(request: pytest.FixtureRequest) -> str:
    """Each engine over our transport, then DynamoDB Local through a given boto3 client, and with a cipher."""
    return str(request.param)


@contextmanager
def _table_on(url: str) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex}"
    create_table(client_of(url), name)
    yield name
    client_of(url).delete_table(TableName=name)


@pytest.fixture(scope="session")
def dynamodb_local_table(dynamodb_local_url: str) -> Iterator[str]:
    """A table on DynamoDB Local, for one test after the other."""
    with _table_on(dynamodb_local_url) as name:
        yield name


@pytest.fixture(scope="session")
def session_key_table(dynamodb_local_url: str) -> Iterator[str]:
    """A table on DynamoDB Local for wrapped keys, for one test after the other."""
    with _table_on(dynamodb_local_url) as name:
        yield name


@pytest.fixture(scope="session")
def ministack_table(ministack_url: str) -> Iterator[str]:
    """A table on ministack, for one test after the other."""
    with _table_on(ministack_url) as name:
        yield name


@pytest.fixture
def engine(backend: str) -> str:
    """The engine in turn, as fixtures name it."""
    return (DYNAMODB_LOCAL if backend in (GIVEN_CLIENT, SEALED) else backend).replace("-", "_")


@pytest.fixture
def dynamodb_url(engine: str, request: pytest.FixtureRequest) -> str:
    """The endpoint of the engine in turn."""
    return str(request.getfixturevalue(f"{engine}_url"))


@pytest.fixture
def table_name(engine: str, dynamodb_client: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty table on the engine in turn. Emptying one is thirty times as fast as making one."""
    name = str(request.getfixturevalue(f"{engine}_table"))
    yield name
    _empty(dynamodb_client, name)


@pytest.fixture
def key_table(dynamodb_client: Any, session_key_table: str) -> Iterator[str]:
    """An empty table for wrapped keys."""
    yield session_key_table
    _empty(dynamodb_client, session_key_table)


def _empty(client: Any, name: str) -> None:
    for page in client.get_paginator("scan").paginate(TableName=name, ProjectionExpression="PK, SK"):
        for some in chunks(page["Items"], BATCH_WRITE_ITEMS):
            client.batch_write_item(RequestItems={name: [{"DeleteRequest": {"Key": key}} for key in some]})


@pytest.fixture
def dynamodb_client(dynamodb_url: str) -> Any:
    """A boto3 client of the engine in turn."""
    return client_of(dynamodb_url)


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[LocalStorageClient]:
    """A storage for files, in a folder."""
    client = LocalStorageClient(tmp_path / "files")
    yield client
    await client.close()


@pytest.fixture
def cipher(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> KeyProvider | None:
    """Who wraps the keys that seal content, if it is sealed in turn."""
    if backend != SEALED:
        return None
    return LocalKeys(tmp_path / "keys", key_table=str(request.getfixturevalue("key_table")))


@pytest.fixture
async def make_layer(
    table_name: str, dynamodb_url: str, backend: str, storage: LocalStorageClient, cipher: KeyProvider | None
) -> AsyncIterator[Callable[..., DynamoDBDataLayer]]:
    """Make layers on one table: as many processes would have."""
    made: list[DynamoDBDataLayer] = []

    def make(table_name: str = table_name, **options: Any) -> DynamoDBDataLayer:
        options = {"storage_provider": storage, "cipher": cipher, **options}
        if "client" in options:
            made.append(DynamoDBDataLayer(table_name, **options))
        elif backend == GIVEN_CLIENT:
            made.append(wired(table_name, ClientTransport(table_name, client_of(dynamodb_url)), **options))
        else:
            made.append(wired(table_name, aio_transport(dynamodb_url, table_name), **options))
        return made[-1]

    yield make
    for layer in made:
        await layer.close()


@pytest.fixture
def layer(make_layer: Callable[..., DynamoDBDataLayer]) -> DynamoDBDataLayer:
    """The data layer."""
    return make_layer()


@pytest.fixture
def rows(dynamodb_client: Any, table_name: str) -> Callable[[], list[dict[str, Any]]]:
    """Read the whole table raw, in a stable order."""

    def read() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = dynamodb_client.scan(TableName=table_name, ConsistentRead=True)["Items"]
        return sorted(found, key=lambda row: (row["PK"]["S"], row["SK"]["S"]))

    return read


@pytest.fixture
def put_row(dynamodb_client: Any, table_name: str) -> Callable[..., None]:
    """Write a raw row."""

    def put(pk: str, sk: str, **attributes: Any) -> None:
        key = {"PK": {"S": pk}, "SK": {"S": sk}}
        dynamodb_client.put_item(TableName=table_name, Item={**key, **attributes})

    return put
