"""Every error this package raises, in one tree.

    ChainlitDynamoDBError
      ConfigurationError            a constructor argument or environment value is missing or wrong
        MissingDependencyError      an optional SDK is not installed; also an ImportError
        CredentialsError            no AWS credentials or no region could be found, or they were refused
        CipherError                 a key is wrong, missing or refused, so content can not be sealed or opened
        SchemaError                 the table or its index is missing, or not as this package needs it
      InvalidIdError                an id cannot be part of a key; also a ValueError
      BacklogFullError              a write was lost: memory and disk are full of writes that wait
      CursorError                   a page cursor is garbage or belongs to another user; also a ValueError
      RequestError                  DynamoDB refused a request, or could not be reached
        TransientError              worth another try: throttling, 5xx, timeouts, lost connections
        AccessDeniedError           IAM does not allow the operation
        ConditionFailedError        the condition of a write did not hold
        TransactionCancelledError   a transaction did not happen; carries the reason of each part
        ItemTooLargeError           an item would exceed 400 KB
      StorageError                  the attachment storage refused, or could not be reached
        TransientStorageError       worth another try: it is busy, failed on its side, or could not be reached
        ObjectExistsError           an upload that must not overwrite found its key taken

Messages say what happened, where, and what to do. They hold no chat content and no secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class ChainlitDynamoDBError(Exception):
    """Root of all errors raised by this package.

    Attributes:
        is_logged: The log tells of it already, with the ids of what is lost.
    """

    is_logged: bool = False


class ConfigurationError(ChainlitDynamoDBError):
    """Something the developer configured is missing or wrong."""


class MissingDependencyError(ConfigurationError, ImportError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        """Name the package and the pip line that installs it.

        Args:
            package: The distribution that could not be imported.
            extra: The extra of this package that brings it.
        """
        super().__init__(f"{package} is not installed. Run: pip install 'chainlit-dynamodb[{extra}]'")


class CredentialsError(ConfigurationError):
    """AWS credentials or region are missing, expired or refused."""


class CipherError(ConfigurationError):
    """A key is wrong, missing or refused, so content can be neither sealed nor opened."""


class SchemaError(ConfigurationError):
    """The table or its index is missing or has another key layout."""


class InvalidIdError(ChainlitDynamoDBError, ValueError):
    """An id is empty, too long for a key, or holds control characters."""


class BacklogFullError(ChainlitDynamoDBError):
    """A write was lost, because memory and disk are full of writes that wait."""


class CursorError(ChainlitDynamoDBError, ValueError):
    """A page cursor was not issued for this listing."""


class RequestError(ChainlitDynamoDBError):
    """DynamoDB refused a request, or could not be reached."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        """Describe the refused request.

        Args:
            operation: The DynamoDB operation, as `UpdateItem`.
            code: DynamoDB's error code, or the name of the transport's error.
            message: What happened and what to do.
        """
        super().__init__(f"{operation}: {code}: {message}")
        self.operation = operation
        self.code = code


class TransientError(RequestError):
    """The same request may succeed a moment later."""


class AccessDeniedError(RequestError):
    """IAM does not allow the operation."""


class ConditionFailedError(RequestError):
    """The condition of a write did not hold.

    Attributes:
        item: The item it did not hold for, as plain values; empty where there is none, or where it is not told.
    """

    def __init__(self, operation: str, code: str, message: str, item: Mapping[str, Any] | None = None) -> None:
        """Keep the item. It is no part of the message: it may hold chat content."""
        super().__init__(operation, code, message)
        self.item = dict(item or {})


class TransactionCancelledError(RequestError):
    """No part of a transaction was written.

    Attributes:
        reasons: The code of each part in request order, `None` where that part was fine.
    """

    def __init__(self, operation: str, reasons: Sequence[str | None]) -> None:
        """Keep the reasons, aligned with the parts of the transaction."""
        super().__init__(operation, "TransactionCanceledException", ", ".join(str(r) for r in reasons))
        self.reasons = tuple(reasons)


class ItemTooLargeError(RequestError):
    """An item would exceed DynamoDB's limit of 400 KB."""


class StorageError(ChainlitDynamoDBError):
    """The attachment storage refused a request, or could not be reached."""


class TransientStorageError(StorageError):
    """The attachment storage may take the same request a moment later."""


class ObjectExistsError(StorageError):
    """An upload with `overwrite=False` found the key taken, and changed nothing."""
