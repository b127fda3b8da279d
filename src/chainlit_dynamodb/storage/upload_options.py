"""What a developer wants to be sent with every upload: encryption, an owner, who pays."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from chainlit_dynamodb.errors import ConfigurationError


def checked_options(given: Mapping[str, Any] | None, allowed: Set[str], owner: str) -> dict[str, Any]:
    """Return upload options, if each of them is one.

    Args:
        given: By their names in the SDK.
        allowed: The names that may be given.
        owner: The class, for messages.

    Raises:
        ConfigurationError: One is unknown, or set by the client itself.
    """
    if wrong := sorted(map(str, set(given or {}) - allowed)):
        known = ", ".join(sorted(allowed))
        raise ConfigurationError(f"{owner}: upload_options cannot hold {', '.join(wrong)}, only: {known}")
    return dict(given or {})
