"""URLs of the running Chainlit server that open one file of a folder, until they end."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Final

FILES_PATH: Final = "/chainlit-dynamodb/files"

_TOKEN: Final = re.compile(
    r"(?P<signed>(?P<digest>[0-9a-f]{64})\.(?P<expiry>[0-9]{1,12}))\.(?P<signature>[\w-]{43})", re.A
)


class SignedURLs:
    """Signs URLs and checks them; all methods block when they first need the secret."""

    def __init__(self, secret: Callable[[], bytes], lifetime_seconds: int) -> None:
        """Take the secret.

        Args:
            secret: Reads what URLs are signed with; asked when the first one is signed or checked.
            lifetime_seconds: How long URLs live.
        """
        self._read_secret = secret
        self._secret: bytes | None = None
        self._lifetime = lifetime_seconds

    def url(self, digest: str) -> str:
        """Sign a URL.

        Args:
            digest: The hash of a key.

        Returns:
            A root-relative URL.

        Raises:
            OSError: The secret cannot be read.
        """
        signed = f"{digest}.{int(time.time()) + self._lifetime}"
        # As Chainlit's own pages do; it sets both, for --root-path and for an app mounted in another one.
        root = os.environ.get("CHAINLIT_PARENT_ROOT_PATH", "") + os.environ.get("CHAINLIT_ROOT_PATH", "")
        return f"{root.rstrip('/')}{FILES_PATH}/{signed}.{self._signature(signed)}"

    def accepted_digest(self, token: str) -> str | None:
        """Check the last part of a URL.

        Args:
            token: The text as it came from the network.

        Returns:
            The hash of the key it opens, or `None` if it is altered, expired, or signed with another secret.

        Raises:
            OSError: The secret cannot be read.
        """
        match = _TOKEN.fullmatch(token)
        if match is None or not hmac.compare_digest(self._signature(match["signed"]), match["signature"]):
            return None
        return match["digest"] if time.time() < int(match["expiry"]) else None

    def _signature(self, signed: str) -> str:
        if self._secret is None:
            self._secret = self._read_secret()
        mac = hmac.digest(self._secret, signed.encode(), hashlib.sha256)
        return urlsafe_b64encode(mac).decode().rstrip("=")
