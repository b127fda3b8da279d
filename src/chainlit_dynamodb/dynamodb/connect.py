"""Chooses the transport of a table: through a given client, else over aiohttp."""

from __future__ import annotations

import os

from chainlit_dynamodb.dynamodb.aio_transport import AioTransport
from chainlit_dynamodb.dynamodb.given_client import ClientTransport, DynamoDBClient
from chainlit_dynamodb.dynamodb.transport import Transport


def make_transport(
    table_name: str,
    client: DynamoDBClient | None = None,
    region_name: str | None = None,
    endpoint_url: str | None = None,
) -> Transport:
    """Make the transport for a table: through the client if one is given, else over aiohttp. Opens nothing."""
    if client is not None:
        return ClientTransport(table_name, client)
    return AioTransport(table_name, region_name, endpoint_url, os.environ)
