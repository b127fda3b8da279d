"""Chainlit's server, which serves no app whose data layer cannot work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from socket import socket

import click
import uvicorn

import chainlit_dynamodb
from chainlit_dynamodb.errors import ChainlitDynamoDBError


def check_before_serving(advice: str = "") -> None:
    """Let the next server of this process check the app's data layer first.

    Chainlit loads the app, makes its server and runs it in one go, so that is where the check comes in. What fails
    ends the process with one line on stderr and exit code 1.

    Args:
        advice: What is said after each failure.
    """
    serve = uvicorn.Server.serve

    async def checked(server: uvicorn.Server, sockets: list[socket] | None = None) -> None:
        uvicorn.Server.serve = serve  # type: ignore[method-assign]  # servers of the app itself are none of ours
        with _one_line(advice):
            await _check_data_layer()
        await serve(server, sockets)

    uvicorn.Server.serve = checked  # type: ignore[assignment,method-assign]


@contextmanager
def _one_line(advice: str) -> Iterator[None]:
    try:
        yield
    except ChainlitDynamoDBError as error:
        raise click.ClickException(" ".join(f"{error} {advice}".split())) from error


async def _check_data_layer() -> None:
    layer = import_module("chainlit.data").get_data_layer()
    if not isinstance(layer, chainlit_dynamodb.DynamoDBDataLayer):
        return
    try:
        await layer.check()
    except ChainlitDynamoDBError:
        await layer.close()
        raise
