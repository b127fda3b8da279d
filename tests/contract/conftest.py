"""A data layer on each engine, over both transports, and Chainlit sessions to call it from."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
import pytest

from chainlit_dynamodb import DynamoDBDataLayer, LocalStorageClient
from chainlit_dynamodb.dynamodb.transport import AioTransport, Target, resolve_target
from chainlit_dynamodb.testing.engines import DYNAMODB_LOCAL, MINISTACK
from tests.conftest import REGION

GIVEN_CLIENT = "given-client"


@lru_cache
def client_of(url: str) -> Any:
    """Give the boto3 client of an engine; making one costs more than most tests."""
    return boto3.client("dynamodb", region_name=REGION, endpoint_url=url)


@lru_cache
def target_of(url: str) -> Target:
    """Give region, endpoint and credentials of an engine, found once: it takes longer than most tests."""
    return resolve_target(None, url, os.environ)


@pytest.fixture(params=[DYNAMODB_LOCAL, MINISTACK, GIVEN_CLIENT])
def backend(request: pytest.FixtureRequest) -> str:
    """Each engine over our transport, then DynamoDB Local through a boto3 client that was given."""
    return str(request.param)


@pytest.fixture
def dynamodb_url(backend: str, request: pytest.FixtureRequest) -> str:
    """The endpoint of the engine in turn."""
    engine = DYNAMODB_LOCAL if backend == GIVEN_CLIENT else backend
    return str(request.getfixturevalue(engine.replace("-", "_") + "_url"))


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
async def make_layer(
    table_name: str, dynamodb_url: str, backend: str, storage: LocalStorageClient
) -> AsyncIterator[Callable[..., DynamoDBDataLayer]]:
    """Make layers on one table: as many processes would have."""
    made: list[DynamoDBDataLayer] = []

    def make(**options: Any) -> DynamoDBDataLayer:
        if backend == GIVEN_CLIENT:
            options.setdefault("client", client_of(dynamodb_url))
        options = {"storage_provider": storage, "endpoint_url": dynamodb_url, **options}
        layer = DynamoDBDataLayer(table_name, **options)
        transport = layer._store.table._transport
        if isinstance(transport, AioTransport):
            transport._target = target_of(dynamodb_url)
        made.append(layer)
        return layer

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
