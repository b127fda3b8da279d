"""The gateway on each engine, through each transport."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache
from typing import Any

import boto3
import pytest
from botocore.config import Config

from chainlit_dynamodb.dynamodb.aio_transport import AioTransport
from chainlit_dynamodb.dynamodb.endpoint import Target, resolve_target
from chainlit_dynamodb.dynamodb.given_client import ClientTransport
from chainlit_dynamodb.dynamodb.retry import RetryPolicies, RetryPolicy
from chainlit_dynamodb.dynamodb.table import Table
from chainlit_dynamodb.dynamodb.transport import Transport
from tests.conftest import REGION
from tests.engines.wire import Wire

AIOHTTP, BOTO3 = "aiohttp", "boto3"
KINDS = [AIOHTTP, BOTO3]
MakeTransport = Callable[..., Transport]


@pytest.fixture(params=KINDS)
def transport_kind(request: pytest.FixtureRequest) -> str:
    """Each transport in turn."""
    kind: str = request.param
    return kind


def boto3_client(url: str, **config: Any) -> Any:
    """Return the client a user of the seed would pass; it tries once, so that our own retries are seen."""
    settings = {"retries": {"total_max_attempts": 1}, "max_pool_connections": 32, **config}
    return boto3.session.Session().client("dynamodb", region_name=REGION, endpoint_url=url, config=Config(**settings))


@lru_cache
def _target(url: str) -> Target:
    """Return what every test of an engine shares: finding it takes longer than most tests."""
    return resolve_target(REGION, url, os.environ)


@pytest.fixture(scope="session")
def client_of() -> Iterator[Callable[[str], Any]]:
    """One client per engine: making one takes longer than most tests."""
    clients: dict[str, Any] = {}

    def client(url: str) -> Any:
        if url not in clients:
            clients[url] = boto3_client(url)
        return clients[url]

    yield client
    for opened in clients.values():
        opened.close()


@pytest.fixture
def dynamodb_client(dynamodb_url: str, client_of: Callable[[str], Any]) -> Any:
    """A boto3 client of the engine in turn."""
    return client_of(dynamodb_url)


@pytest.fixture
async def make_transport(transport_kind: str) -> AsyncIterator[MakeTransport]:
    """Make transports of the kind in turn, closed after the test."""
    made: list[Transport] = []
    clients: list[Any] = []

    def make(url: str, table_name: str = "chats", **config: Any) -> Transport:
        if transport_kind == AIOHTTP:
            made.append(AioTransport(table_name, REGION, url, os.environ))
        else:
            clients.append(boto3_client(url, **config))
            made.append(ClientTransport(table_name, clients[-1]))
        return made[-1]

    yield make
    for transport in made:
        await transport.close()
    for client in clients:
        client.close()


def tried_for(seconds: float) -> RetryPolicies:
    """Return policies by which reads and writes are tried equally long."""
    return RetryPolicies(RetryPolicy(seconds), RetryPolicy(seconds))


@pytest.fixture
async def transport(
    table_name: str, dynamodb_url: str, transport_kind: str, dynamodb_client: Any
) -> AsyncIterator[Transport]:
    """The transport in turn, to a fresh table on the engine in turn."""
    made: Transport = ClientTransport(table_name, dynamodb_client)
    if transport_kind == AIOHTTP:
        made = AioTransport.to(_target(dynamodb_url), table_name)
    yield made
    await made.close()


@pytest.fixture
def table(table_name: str, transport: Transport) -> Table:
    """A fresh table on the engine in turn, through the transport in turn."""
    return Table(table_name, transport, tried_for(5))


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """A server that answers what it is told."""
    async with Wire() as server:
        yield server


@pytest.fixture
def dynamodb_engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine in turn."""
    name: str = request.node.callspec.params["dynamodb_url"]
    return name
