"""Where Chainlit will listen, and whether it can."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import Final

from chainlit_dynamodb.errors import ConfigurationError

_DEFAULT_HOST: Final = "127.0.0.1"
_DEFAULT_PORT: Final = "8000"


def check_port(arguments: Sequence[str]) -> None:
    """Check that the address Chainlit will listen on is free; Chainlit itself exits with 0 when it is not.

    Args:
        arguments: All that follows `chainlit run`.

    Raises:
        ConfigurationError: The port is taken, or is none.
    """
    host = _value("--host", arguments) or os.environ.get("CHAINLIT_HOST") or _DEFAULT_HOST
    port = _value("--port", arguments) or os.environ.get("CHAINLIT_PORT") or _DEFAULT_PORT
    if not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ConfigurationError(f"{port!r} is not a port.")
    try:
        _bind(host, int(port))
    except OSError as error:
        raise ConfigurationError(_reason(host, port, error)) from error


def _reason(host: str, port: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken by another program. Stop it, or choose another port with --port."
    return f"Cannot listen on {host}:{port}: {error.strerror}."


def _value(option: str, arguments: Sequence[str]) -> str | None:
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == option:
            return value if equals else next(iter(arguments[position + 1 :]), None)
    return None


def _bind(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        if os.name == "posix":  # as the server does: connections of the last run may still linger
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
