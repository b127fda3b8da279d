"""The keys requests are signed with: AWS's chain, looked up and renewed off the event loop."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiodynamo.credentials import Key
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.session import Session

from chainlit_dynamodb.dynamodb.retry import is_transient
from chainlit_dynamodb.errors import ChainlitDynamoDBError, CredentialsError, TransientError
from chainlit_dynamodb.log_lines import unlogged
from chainlit_dynamodb.unheard import leave_unheard

NO_CREDENTIALS: Final = (
    "No AWS credentials found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, log in with "
    "`aws sso login`, or give this machine a role."
)
_NOT_RENEWED: Final = (BotoCoreError, ClientError, RuntimeError)
_WITHOUT_REMEDY: Final = (NoCredentialsError, PartialCredentialsError, ProfileNotFound, SSOError, TokenRetrievalError)
"""What no waiting mends: something must be configured, or somebody must log in."""
_OPERATION: Final = "GetCredentials"
_AT_THE_END_SECONDS: Final = 5


class AwsCredentials:
    """Keys from botocore's chain: environment, profile, SSO, web identity, container, instance.

    One renewal is under way at a time. Meanwhile, and when it fails, the old key signs until it ends.
    """

    def __init__(self, session: Session) -> None:
        """Keep the session; nothing is looked up before the first request."""
        self._session = session
        self._found: Any = None
        self._key: Key | None = None
        self._renewal: asyncio.Task[Key] | None = None

    async def get_key(self) -> Key:
        """Return the current key; looking it up and renewing it happen off the event loop.

        Raises:
            CredentialsError: There are none, or somebody must log in.
            TransientError: They could not be loaded or renewed this time.
        """
        if self._key is None or self._ends_within(_AT_THE_END_SECONDS):
            return await self._first_key()
        if self._ends_within(None):
            self._renewed()
        return self._key

    async def replace(self, key: Key) -> bool:
        """Look the credentials up anew, because AWS refused a key.

        Returns:
            Whether there is another key now.

        Raises:
            CredentialsError: There is none.
            TransientError: They could not be loaded this time.
        """
        if key == self._key:
            self._found = self._key = None
        return await self.get_key() != key

    async def _first_key(self) -> Key:
        if self._found is not None and not self._ends_within(_AT_THE_END_SECONDS):
            return await asyncio.to_thread(self._look_up)  # botocore lets one renew and the others go on
        return await asyncio.shield(self._renewed())

    def _ends_within(self, seconds: int | None) -> bool:
        refresh_needed = getattr(self._found, "refresh_needed", None)
        return bool(refresh_needed and refresh_needed(seconds))

    def _renewed(self) -> asyncio.Task[Key]:
        renewal = self._renewal
        if renewal is None or renewal.done() or renewal.get_loop() is not asyncio.get_running_loop():
            renewal = self._renewal = asyncio.create_task(self._renew())
            renewal.add_done_callback(leave_unheard)
        return renewal

    async def _renew(self) -> Key:
        self._key = await asyncio.to_thread(self._look_up)
        return self._key

    def _look_up(self) -> Key:
        try:
            if self._found is None:
                self._found = self._session.get_credentials()
            if self._found is None:
                raise CredentialsError(NO_CREDENTIALS)
            with unlogged():
                keys = self._found.get_frozen_credentials()
        except _NOT_RENEWED as exc:
            raise credentials_failure(exc) from exc
        return Key(keys.access_key, keys.secret_key, keys.token)


def credentials_failure(error: Exception) -> ChainlitDynamoDBError:
    """Describe why credentials could not be loaded or renewed: for good, or this time.

    Args:
        error: What botocore raised.
    """
    kind = type(error).__name__
    response = error.response if isinstance(error, ClientError) else {}
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    is_refusal = isinstance(error, ClientError) and not is_transient(code, status)
    if is_refusal or isinstance(error, _WITHOUT_REMEDY):
        return CredentialsError(f"AWS credentials could not be loaded: {kind} {code}".rstrip())
    return TransientError(_OPERATION, kind, "AWS credentials could not be loaded this time")
