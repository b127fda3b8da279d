"""Layers on each engine that may be abandoned, and the raw rows they leave."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chainlit_dynamodb import DynamoDBDataLayer, LocalStorageClient
from chainlit_dynamodb.testing.engines import DYNAMODB_LOCAL, MINISTACK
from tests.contract.chats import leave
from tests.contract.conftest import client_of
from tests.wiring import aio_transport, wired

MakeLayer = Callable[..., DynamoDBDataLayer]
Rows = Callable[[], list[dict[str, Any]]]

dynamodb_local = pytest.mark.parametrize("engine", [DYNAMODB_LOCAL], indirect=True)
"""For what does not depend on the engine, or needs its pages of 1 MB: DynamoDB Local alone."""


@pytest.fixture(params=[DYNAMODB_LOCAL, MINISTACK])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return str(request.param)


@pytest.fixture
def dynamodb_url(engine: str, request: pytest.FixtureRequest) -> str:
    """The endpoint of the engine in turn."""
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
async def make_layer(table_name: str, dynamodb_url: str, storage: LocalStorageClient) -> AsyncIterator[MakeLayer]:
    """Make layers on one table: as many processes would have."""
    made: list[DynamoDBDataLayer] = []

    def make(endpoint_url: str = dynamodb_url, **options: Any) -> DynamoDBDataLayer:
        options = {"storage_provider": storage, "close_seconds": 2.0, **options}
        made.append(wired(table_name, aio_transport(endpoint_url, table_name), **options))
        return made[-1]

    yield make
    for layer in made:
        await layer.close()


@pytest.fixture
def layer(make_layer: MakeLayer) -> DynamoDBDataLayer:
    """The data layer."""
    return make_layer()


@pytest.fixture
def rows(dynamodb_client: Any, table_name: str) -> Rows:
    """Read the whole table raw, in a stable order."""

    def read() -> list[dict[str, Any]]:
        pages = dynamodb_client.get_paginator("scan").paginate(TableName=table_name, ConsistentRead=True)
        found = [row for page in pages for row in page["Items"]]
        return sorted(found, key=lambda row: (row["PK"]["S"], row["SK"]["S"]))

    return read


@pytest.fixture(autouse=True)
def no_session() -> Iterator[None]:
    """Leave the chats a test was in."""
    yield
    leave()
