"""How long read URLs live."""

from __future__ import annotations

import os
from typing import Final

from chainlit_dynamodb.errors import ConfigurationError

DEFAULT_URL_LIFETIME_SECONDS: Final = 3600


def url_lifetime(seconds: int | None) -> int:
    """Decide how long read URLs live.

    Args:
        seconds: The constructor argument, which wins over the environment.

    Returns:
        The argument, else `STORAGE_EXPIRY_TIME` from the environment, else an hour.

    Raises:
        ConfigurationError: The value is not a whole number above zero.
    """
    source = "STORAGE_EXPIRY_TIME" if seconds is None else "url_lifetime_seconds"
    value = os.environ.get("STORAGE_EXPIRY_TIME", DEFAULT_URL_LIFETIME_SECONDS) if seconds is None else seconds
    try:
        lifetime = int(value)
    except ValueError:
        lifetime = 0
    if lifetime <= 0:
        raise ConfigurationError(f"{source} must be a whole number of seconds above 0, not {value!r}")
    return lifetime
