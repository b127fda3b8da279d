"""The one place where answers of DynamoDB and errors of a transport become errors of this package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from chainlit_dynamodb.dynamodb.codec import decode_item
from chainlit_dynamodb.dynamodb.retry import RETRIED_CODES, is_transient
from chainlit_dynamodb.errors import (
    AccessDeniedError,
    ChainlitDynamoDBError,
    ConditionFailedError,
    CredentialsError,
    ItemTooLargeError,
    RequestError,
    SchemaError,
    TransactionCancelledError,
    TransientError,
)

_CREDENTIAL_CODES: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)
_OTHER_KEYS: Final = (
    "key element does not match",
    "Missing the key",
    "number of conditions on the keys is invalid",
    "required keys was not given a value",
)
_OTHER_INDEX: Final = ("does not have", "not found", "does not project")
_TOO_LARGE: Final = ("Item size", "item size", "exceeded the maximum allowed size")


def transport_failure(operation: str, error: BaseException, endpoint: str = "DynamoDB") -> TransientError:
    """Describe a request that got no answer: timeout, reset, refused or broken connection."""
    kind = type(error).__name__
    return TransientError(operation, kind, f"no answer from {endpoint}. Is the endpoint reachable?")


def table_of(request: Mapping[str, Any], table_name: str) -> str:
    """Return the table that a request names, for messages; else the one that is given."""
    return str(request.get("TableName") or next(iter(request.get("RequestItems", ())), table_name))


def service_failure(operation: str, table_name: str, status: int, body: bytes) -> ChainlitDynamoDBError:
    """Describe an HTTP answer that is not a success.

    Args:
        operation: The DynamoDB operation.
        table_name: For the message.
        status: HTTP status.
        body: The answer, DynamoDB's JSON unless something in between spoke.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        answer = {}
    code = str(answer.get("__type", "")).rpartition("#")[2] or f"HTTP {status}"
    message = str(answer.get("message") or answer.get("Message") or "")
    reasons, item = answer.get("CancellationReasons"), answer.get("Item")
    return coded_failure(operation, table_name, code, message, reasons, item, status=status)


def coded_failure(
    operation: str,
    table_name: str,
    code: str,
    message: str,
    reasons: Any = None,
    item: Any = None,
    *,
    status: int = 400,
) -> ChainlitDynamoDBError:
    """Describe a refusal by its service code.

    The service's own message may hold chat content and is never passed on.

    Args:
        operation: The DynamoDB operation.
        table_name: For the message.
        code: The service code.
        message: The service's message.
        reasons: The `CancellationReasons` of a transaction.
        item: The item for which a condition did not hold, as the service gives it.
        status: HTTP status.
    """
    if is_transient(code, status):
        return TransientError(operation, code, "DynamoDB is throttling or briefly unavailable")
    if code == "TransactionCanceledException":
        return _cancelled(operation, reasons)
    if code == "ConditionalCheckFailedException":
        found = decode_item(item) if isinstance(item, dict) else None
        return ConditionFailedError(operation, code, "the condition of the write did not hold", found)
    if code in _CREDENTIAL_CODES:
        return CredentialsError(
            f"{operation}: {code}: AWS refused the credentials. Check AWS_ACCESS_KEY_ID and its companions, "
            "AWS_PROFILE, or the role of this machine; temporary credentials may have expired."
        )
    if code in ("ResourceNotFoundException", "TableNotFoundException"):
        return _not_found(table_name)
    if code in ("AccessDeniedException", "AccessDenied"):
        advice = f"allow dynamodb:{operation} on table {table_name} and its index in the IAM policy"
        return AccessDeniedError(operation, code, advice)
    if code == "ValidationException":
        return _invalid(operation, table_name, message)
    return RequestError(operation, code, "DynamoDB refused the request")


def _not_found(table_name: str) -> SchemaError:
    return SchemaError(
        f"Table {table_name} does not exist in this account and region. Check the name and the region, "
        f"or create it: chainlit-dynamodb create-table {table_name}"
    )


def _invalid(operation: str, table_name: str, message: str) -> ChainlitDynamoDBError:
    if any(phrase in message for phrase in _TOO_LARGE):
        return ItemTooLargeError(operation, "ValidationException", "the item would exceed 400 KB")
    if "index" in message.lower() and any(phrase in message.lower() for phrase in _OTHER_INDEX):
        return SchemaError(
            f"Table {table_name} lacks the index this package lists threads with. "
            f"See what differs: chainlit-dynamodb create-table {table_name}"
        )
    if any(phrase in message for phrase in _OTHER_KEYS):
        return SchemaError(
            f"Table {table_name} has other keys than this package needs. "
            f"See what differs: chainlit-dynamodb create-table {table_name}"
        )
    return RequestError(operation, "ValidationException", "DynamoDB refused the request as invalid")


def _cancelled(operation: str, reasons: Any) -> RequestError:
    given = reasons if isinstance(reasons, list) else []
    found = [reason.get("Code") if isinstance(reason, dict) else None for reason in given]
    codes = [None if code in (None, "None") else str(code) for code in found]
    refused = {code for code in codes if code is not None}
    if refused and refused <= RETRIED_CODES:
        return TransientError(operation, "TransactionCanceledException", ", ".join(sorted(refused)))
    return TransactionCancelledError(operation, codes)
