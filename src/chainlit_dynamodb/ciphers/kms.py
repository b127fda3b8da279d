"""Keys wrapped by AWS KMS, through botocore, which is in use for credentials anyway."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as NotConnectedError
from botocore.session import Session

from chainlit_dynamodb.ciphers.aes import cryptography
from chainlit_dynamodb.dynamodb.credentials import credentials_failure
from chainlit_dynamodb.dynamodb.failures import transport_failure
from chainlit_dynamodb.dynamodb.retry import is_transient
from chainlit_dynamodb.errors import ChainlitDynamoDBError, CipherError, ConfigurationError, TransientError
from chainlit_dynamodb.log_lines import unlogged

_NO_ANSWER: Final = (NotConnectedError, HTTPClientError)
_OF_CREDENTIALS: Final = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
_BUSY: Final = frozenset({"DependencyTimeoutException", "KMSInternalException", "KeyUnavailableException"})
_OTHER_KEY: Final = frozenset({"IncorrectKeyException", "InvalidCiphertextException"})
"""What wrapped it was another key; the latter also where the user is another."""
_SETTINGS: Final = Config(connect_timeout=5, read_timeout=8, retries={"total_max_attempts": 1})
"""The layer tries again itself, for as long as it makes sense."""


class KmsKeys:
    """Wraps keys with a symmetric key of AWS KMS, bound to their user by the encryption context `user`.

    A server needs `kms:GenerateDataKey` and `kms:Decrypt`; whoever changes the KMS key also `kms:Encrypt`.
    """

    def __init__(
        self,
        key_id: str,
        *,
        old_key_ids: Sequence[str] = (),
        key_table: str | None = None,
        client: Any = None,
        region_name: str | None = None,
        endpoint_url: str | None = None,
    ) -> None:
        """Name the KMS key; nothing is opened.

        Args:
            key_id: Wraps new keys: an id, an ARN or `alias/...`.
            old_key_ids: Have wrapped keys that are not wrapped anew yet.
            key_table: The table that holds the wrapped keys; `None` for the table of the chats.
            client: A boto3 KMS client of your own; it is used off the event loop and never closed.
            region_name: Wins over `AWS_REGION`, `AWS_DEFAULT_REGION` and the profile.
            endpoint_url: Wins over `AWS_ENDPOINT_URL_KMS`, `AWS_ENDPOINT_URL` and the profile.

        Raises:
            ConfigurationError: An argument makes no sense.
            MissingDependencyError: cryptography is not installed.
        """
        if not key_id or not key_id.strip():
            raise ConfigurationError("key_id must be the id, the ARN or the alias of a KMS key.")
        if isinstance(old_key_ids, str):
            raise ConfigurationError("old_key_ids must be a list.")
        cryptography()
        self.key_table = key_table
        self._key_ids = (key_id, *old_key_ids)
        self._client = client
        self._owns_client = client is None
        self._region_name = region_name
        self._endpoint_url = endpoint_url
        self._making = threading.Lock()

    async def new_key(self, owner: str) -> tuple[bytes, bytes]:
        """Return a new key, and the same wrapped. Cost: a request to KMS."""
        request = {"KeyId": self._key_ids[0], "KeySpec": "AES_256"}
        answer = await self._call("generate_data_key", owner, **request)
        return answer["Plaintext"], answer["CiphertextBlob"]

    async def unwrap(self, wrapped: bytes, owner: str) -> bytes:
        """Return a key.

        Raises:
            CipherError: KMS refuses it, or no key that was named has wrapped it for this user.
            TransientError: KMS is busy, or could not be reached.

        Cost: a request to KMS for each KMS key that is tried.
        """
        for key_id in self._key_ids:
            try:
                answer = await self._call("decrypt", owner, KeyId=key_id, CiphertextBlob=wrapped)
            except _OtherKeyError:
                continue
            secret: bytes = answer["Plaintext"]
            return secret
        raise CipherError(f"None of {', '.join(self._key_ids)} has wrapped this key of user {owner!r}.")

    async def rewrap(self, wrapped: bytes, owner: str) -> bytes:
        """Return the same key, wrapped with the KMS key for new ones. Cost: as `unwrap`, and a request to KMS."""
        secret = await self.unwrap(wrapped, owner)
        answer = await self._call("encrypt", owner, KeyId=self._key_ids[0], Plaintext=secret)
        again: bytes = answer["CiphertextBlob"]
        return again

    async def close(self) -> None:
        """Close the client, if it was made here."""
        if self._owns_client and self._client is not None:
            client, self._client = self._client, None
            await asyncio.to_thread(client.close)

    async def _call(self, method: str, owner: str, **request: Any) -> dict[str, Any]:
        context = {"user": owner} if owner else {"owner": "none"}
        try:
            return await asyncio.to_thread(self._send, method, {**request, "EncryptionContext": context})
        except (BotoCoreError, ClientError) as exc:
            raise _failure(method, request["KeyId"], exc) from exc

    def _send(self, method: str, request: dict[str, Any]) -> dict[str, Any]:
        with unlogged():
            with self._making:
                client = self._client = self._client or self._made()
            answer: dict[str, Any] = getattr(client, method)(**request)
        return answer

    def _made(self) -> Any:
        region = self._region_name or os.environ.get("AWS_REGION")
        return Session().create_client("kms", region, endpoint_url=self._endpoint_url, config=_SETTINGS)


class _OtherKeyError(CipherError):
    """Another KMS key has wrapped this one."""


def _failure(method: str, key_id: str, error: BotoCoreError | ClientError) -> ChainlitDynamoDBError:
    operation = "".join(map(str.capitalize, method.split("_")))
    if isinstance(error, _NO_ANSWER):
        return transport_failure(operation, error, "KMS")
    if isinstance(error, _OF_CREDENTIALS):
        return credentials_failure(error)
    if not isinstance(error, ClientError):
        return CipherError(f"{operation}: {error}")
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    if code in _BUSY or is_transient(code, status):
        return TransientError(operation, code, "KMS is throttling or briefly unavailable")
    if code in _OTHER_KEY:
        return _OtherKeyError(f"{operation}: {code}")
    return CipherError(
        f"{operation}: {code}: KMS refused {key_id}. Does the key exist in this region, is it enabled, and does the "
        f"IAM policy allow kms:{operation} on it?"
    )
