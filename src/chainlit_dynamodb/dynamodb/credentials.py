"""The keys requests are signed with: AWS's chain, looked up and renewed off the event loop."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiodynamo.credentials import Key
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from chainlit_dynamodb.errors import CredentialsError

NO_CREDENTIALS: Final = (
    "No AWS credentials found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, log in with "
    "`aws sso login`, or give this machine a role."
)
_NOT_RENEWED: Final = (BotoCoreError, ClientError, RuntimeError)
_MUST_RENEW_SECONDS: Final = 600
"""botocore renews credentials 15 minutes before they end, and waits for new ones in the last 10."""


class AwsCredentials:
    """Keys from botocore's chain: environment, profile, SSO, web identity, container, instance."""

    def __init__(self, session: Session) -> None:
        """Keep the session; nothing is looked up before the first request."""
        self._session = session
        self._found: Any = None
        self._lock = asyncio.Lock()

    async def get_key(self) -> Key:
        """Return the current key; looking it up and renewing it happen off the event loop.

        Raises:
            CredentialsError: There are none, or they could not be loaded or renewed.
        """
        if self._found is None or self._ends_within(_MUST_RENEW_SECONDS):
            async with self._lock:
                return await asyncio.to_thread(self._look_up)
        if self._ends_within(None):
            return await asyncio.to_thread(self._look_up)  # botocore lets one renew and the others go on
        return _frozen(self._found)

    def _ends_within(self, seconds: int | None) -> bool:
        refresh_needed = getattr(self._found, "refresh_needed", None)
        return bool(refresh_needed and refresh_needed(seconds))

    def _look_up(self) -> Key:
        if self._found is None:
            try:
                self._found = self._session.get_credentials()
            except _NOT_RENEWED as exc:
                raise CredentialsError(f"AWS credentials could not be loaded: {type(exc).__name__}") from exc
        if self._found is None:
            raise CredentialsError(NO_CREDENTIALS)
        return _frozen(self._found)


def _frozen(credentials: Any) -> Key:
    try:
        keys = credentials.get_frozen_credentials()
    except _NOT_RENEWED as exc:
        raise CredentialsError(f"AWS credentials could not be renewed: {type(exc).__name__}") from exc
    return Key(keys.access_key, keys.secret_key, keys.token)
