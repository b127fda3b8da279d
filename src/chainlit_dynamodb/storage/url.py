"""A storage URL, taken apart and checked; what it means is for the client that it names."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from chainlit_dynamodb.errors import ConfigurationError
from chainlit_dynamodb.storage.clients import CLIENTS, EXAMPLES, ClientEntry

_LIFETIME: Final = "url_lifetime_seconds"
_ENTRIES: Final = {entry.scheme: entry for entry in CLIENTS}
_OTHER_SCHEMES: Final = {"abfs": "abfss"}


@dataclass(frozen=True)
class StorageURL:
    """The parts of a storage URL, percent-decoded.

    Attributes:
        client: The client that its scheme names.
        user: What stands before the `@`, `""` if nothing does.
        host: What stands between `//` and the next slash, without the user.
        path: What follows, with its slashes.
        options: What stands behind the `?`, as arguments of the client.
    """

    client: ClientEntry
    user: str
    host: str
    path: str
    options: dict[str, Any]

    @property
    def prefix(self) -> str:
        """The path without the slashes around it."""
        return self.path.strip("/")

    def host_as(self, what: str) -> str:
        """Return the host.

        Args:
            what: What it names, for messages: `bucket`.

        Raises:
            ConfigurationError: The URL has none.
        """
        if not self.host:
            raise ConfigurationError(f"The storage URL names no {what}: {EXAMPLES}")
        return self.host


def parsed_url(url: str) -> StorageURL:
    """Take a storage URL apart.

    Args:
        url: The text, as a deployment gives it.

    Returns:
        Its parts.

    Raises:
        ConfigurationError: It cannot be understood, holds a secret, or has arguments that its client does not know.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise ConfigurationError(f"The storage URL cannot be understood: {exc}") from exc
    client = _ENTRIES.get(_OTHER_SCHEMES.get(parts.scheme, parts.scheme))
    if client is None or parts.fragment or port:
        # Without the URL itself: what cannot be understood may hold a secret.
        raise ConfigurationError(f"The storage URL ({parts.scheme or 'no scheme'}) must be one of {EXAMPLES}")
    if parts.password or (parts.username and "@" not in client.example):
        raise ConfigurationError("Keep secrets out of the storage URL; the environment has a place for them")
    host = unquote(parts.netloc.rpartition("@")[2])
    return StorageURL(
        client, unquote(parts.username or ""), host, unquote(parts.path), _options(parts, client.options)
    )


def _options(parts: SplitResult, known: Set[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    allowed = sorted({*known, _LIFETIME})
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in allowed or name in options or not value:
            raise ConfigurationError(
                f"The storage URL has {name!r} behind its '?', where {parts.scheme} knows {', '.join(allowed)}"
            )
        options[name] = value
    if _LIFETIME in options:
        if not options[_LIFETIME].isdecimal():
            raise ConfigurationError(f"The storage URL: {_LIFETIME} must be a whole number of seconds")
        options[_LIFETIME] = int(options[_LIFETIME])
    return options
