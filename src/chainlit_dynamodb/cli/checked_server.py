"""Chainlit's server, which serves no app whose data layer cannot work, or whose login cannot."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from socket import socket
from typing import Any, Final

import click
import uvicorn

import chainlit_dynamodb
from chainlit_dynamodb.errors import ChainlitDynamoDBError

_LOGIN_ADVICE: Final = (
    "The app has a login, so Chainlit needs a secret to sign sessions with. Run: chainlit create-secret, and set "
    "CHAINLIT_AUTH_SECRET to what it prints, in the environment or in .env."
)


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


def check_secret_in_one_line() -> None:
    """Let Chainlit say in one line, not in a traceback, that the login of an app needs a secret."""
    chainlit: Any = import_module("chainlit.cli")
    ensure = chainlit.ensure_jwt_secret

    def checked() -> None:
        try:
            ensure()
        except ValueError as error:
            raise click.ClickException(_LOGIN_ADVICE) from error

    chainlit.ensure_jwt_secret = checked


@contextmanager
def _one_line(advice: str) -> Iterator[None]:
    try:
        yield
    except ChainlitDynamoDBError as error:
        click.ClickException(" ".join(f"{error} {advice}".split())).show()
        sys.stdout.flush()
        os._exit(1)  # as Chainlit ends: a thread that waits for a storage would hold up the end for minutes


async def _check_data_layer() -> None:
    layer = import_module("chainlit.data").get_data_layer()
    if not isinstance(layer, chainlit_dynamodb.DynamoDBDataLayer):
        return
    try:
        await layer.check()
    except ChainlitDynamoDBError:
        await layer.close()
        raise
