"""DynamoDB through a client the user gave."""

from __future__ import annotations

import asyncio
import base64
import inspect
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

from botocore import xform_name
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.parsers import ResponseParserError

from chainlit_dynamodb.dynamodb.credentials import NO_CREDENTIALS, credentials_failure
from chainlit_dynamodb.dynamodb.endpoint import NO_REGION
from chainlit_dynamodb.dynamodb.failures import coded_failure, table_of, transport_failure
from chainlit_dynamodb.errors import CredentialsError, RequestError
from chainlit_dynamodb.log_lines import unlogged

POOL_THREADS: Final = 32

_NO_ANSWER: Final = (HTTPClientError, NoConnectionError, IncompleteReadError, ResponseParserError)
_NOT_LOADED: Final = (CredentialRetrievalError, SSOError, TokenRetrievalError)
_LONGEST_EMPTY_ANSWER: Final = 4


class DynamoDBClient(Protocol):
    """What is used of a client: boto3's, or one with the same methods that give awaitables."""

    def get_item(self, *args: Any, **kwargs: Any) -> Any:
        """Read one item."""

    def batch_get_item(self, *args: Any, **kwargs: Any) -> Any:
        """Read up to 100 items."""

    def query(self, *args: Any, **kwargs: Any) -> Any:
        """Read from one partition."""

    def put_item(self, *args: Any, **kwargs: Any) -> Any:
        """Write an item."""

    def update_item(self, *args: Any, **kwargs: Any) -> Any:
        """Change an item."""

    def delete_item(self, *args: Any, **kwargs: Any) -> Any:
        """Delete an item."""

    def batch_write_item(self, *args: Any, **kwargs: Any) -> Any:
        """Write or delete up to 25 items."""

    def transact_write_items(self, *args: Any, **kwargs: Any) -> Any:
        """Do several writes or none."""


class ClientTransport:
    """A boto3 client the user gave, called in threads of our own; or one whose methods give awaitables."""

    def __init__(self, table_name: str, client: DynamoDBClient) -> None:
        """Keep the client. It is never closed here."""
        self._table_name = table_name
        self._client = client
        self._pool: ThreadPoolExecutor | None = None

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request once, off the event loop."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="chainlit-dynamodb")
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._pool, self._send, operation, request)
            with unlogged():
                answer = _with_text(await answer) if inspect.isawaitable(answer) else answer
        except Exception as exc:  # a given client may raise anything; `_failure` sorts it
            raise self._failure(operation, table_of(request, self._table_name), exc) from exc
        if not isinstance(answer, dict):
            raise RequestError(operation, type(answer).__name__, "the given client answered with no mapping")
        if _is_garbled(answer):
            raise transport_failure(operation, ValueError())
        return answer

    async def close(self) -> None:
        """Let go of the threads without waiting for one that hangs; the client stays open."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _send(self, operation: str, request: Mapping[str, Any]) -> Any:
        with unlogged():
            answer = getattr(self._client, xform_name(operation))(**_with_bytes(request))
        return answer if inspect.isawaitable(answer) else _with_text(answer)

    def _failure(self, operation: str, table_name: str, error: Exception) -> Exception:
        if isinstance(error, _NOT_LOADED) or self._is_of_credentials(error):
            return credentials_failure(error)
        if isinstance(error, ClientError):
            detail = error.response.get("Error", {})
            reasons, item = error.response.get("CancellationReasons"), _with_text(error.response.get("Item"))
            code, message = str(detail.get("Code", "")), str(detail.get("Message", ""))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
            return coded_failure(operation, table_name, code, message, reasons, item, status=status)
        if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
            return CredentialsError(NO_CREDENTIALS)
        if isinstance(error, NoRegionError):
            return CredentialsError(NO_REGION)
        if isinstance(error, _NO_ANSWER):
            return transport_failure(operation, error, self._endpoint())
        return RequestError(operation, type(error).__name__, "the given client refused the request")

    def _endpoint(self) -> str:
        return str(getattr(getattr(self._client, "meta", None), "endpoint_url", "DynamoDB"))

    def _is_of_credentials(self, error: Exception) -> bool:
        """Return whether STS or another lender of credentials refused: the client does not have its operation."""
        name = getattr(error, "operation_name", None)
        return isinstance(error, ClientError) and bool(name) and not hasattr(self._client, xform_name(name))


def _with_bytes(value: Any) -> Any:
    """Turn base64 text into the bytes that SDKs take for binary attributes."""
    if isinstance(value, Mapping):
        if len(value) == 1 and isinstance(value.get("B"), str):
            return {"B": base64.b64decode(value["B"])}
        return {k: _with_bytes(v) for k, v in value.items()}
    return [_with_bytes(v) for v in value] if isinstance(value, list) else value


def _with_text(value: Any) -> Any:
    """Turn the bytes that SDKs give for binary attributes into base64 text."""
    if isinstance(value, Mapping):
        return {k: _with_text(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_text(v) for v in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _is_garbled(answer: Mapping[str, Any]) -> bool:
    """Return whether an SDK made nothing of an answer: botocore takes what is no JSON for an empty object."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    length = str(headers.get("content-length", "2"))
    return len(answer) == 1 and bool(headers) and not 0 < int(length) <= _LONGEST_EMPTY_ANSWER
