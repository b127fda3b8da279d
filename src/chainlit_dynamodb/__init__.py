"""Chainlit chats on Amazon DynamoDB: history, feedback, favourites and attachments.

Importing this package imports neither Chainlit nor any SDK: every name below is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from chainlit_dynamodb.log_lines import keep_lines_whole

if TYPE_CHECKING:
    from chainlit_dynamodb.ciphers.kms import KmsKeys
    from chainlit_dynamodb.ciphers.local import LocalKeys
    from chainlit_dynamodb.ciphers.provider import KeyProvider
    from chainlit_dynamodb.data_layer import DynamoDBDataLayer
    from chainlit_dynamodb.dynamodb.retry import RetryPolicies, RetryPolicy
    from chainlit_dynamodb.dynamodb.transport import Transport
    from chainlit_dynamodb.errors import (
        AccessDeniedError,
        BacklogFullError,
        ChainlitDynamoDBError,
        CipherError,
        ConfigurationError,
        CredentialsError,
        CursorError,
        InvalidIdError,
        ItemTooLargeError,
        MissingDependencyError,
        ObjectExistsError,
        RequestError,
        SchemaError,
        StorageError,
        TransientStorageError,
    )
    from chainlit_dynamodb.storage.azure_blob import AzureBlobStorageClient
    from chainlit_dynamodb.storage.azure_data_lake import AzureDataLakeStorageClient, AzureStorageClient
    from chainlit_dynamodb.storage.base import StorageClient
    from chainlit_dynamodb.storage.cors import CorsCheck
    from chainlit_dynamodb.storage.from_url import storage_from_url
    from chainlit_dynamodb.storage.gcs import GCSStorageClient
    from chainlit_dynamodb.storage.local import LocalStorageClient
    from chainlit_dynamodb.storage.provider import StorageProvider
    from chainlit_dynamodb.storage.s3 import S3StorageClient

__version__ = "0.1.0"

_MODULES: Final = {
    "AccessDeniedError": "errors",
    "AzureBlobStorageClient": "storage.azure_blob",
    "AzureDataLakeStorageClient": "storage.azure_data_lake",
    "AzureStorageClient": "storage.azure_data_lake",
    "BacklogFullError": "errors",
    "ChainlitDynamoDBError": "errors",
    "CipherError": "errors",
    "ConfigurationError": "errors",
    "CorsCheck": "storage.cors",
    "CredentialsError": "errors",
    "CursorError": "errors",
    "DynamoDBDataLayer": "data_layer",
    "GCSStorageClient": "storage.gcs",
    "InvalidIdError": "errors",
    "ItemTooLargeError": "errors",
    "KeyProvider": "ciphers.provider",
    "KmsKeys": "ciphers.kms",
    "LocalKeys": "ciphers.local",
    "LocalStorageClient": "storage.local.client",
    "MissingDependencyError": "errors",
    "ObjectExistsError": "errors",
    "RequestError": "errors",
    "RetryPolicies": "dynamodb.retry",
    "RetryPolicy": "dynamodb.retry",
    "S3StorageClient": "storage.s3",
    "SchemaError": "errors",
    "StorageClient": "storage.base",
    "StorageError": "errors",
    "StorageProvider": "storage.provider",
    "TransientStorageError": "errors",
    "Transport": "dynamodb.transport",
    "storage_from_url": "storage.from_url",
}

__all__ = [
    "AccessDeniedError",
    "AzureBlobStorageClient",
    "AzureDataLakeStorageClient",
    "AzureStorageClient",
    "BacklogFullError",
    "ChainlitDynamoDBError",
    "CipherError",
    "ConfigurationError",
    "CorsCheck",
    "CredentialsError",
    "CursorError",
    "DynamoDBDataLayer",
    "GCSStorageClient",
    "InvalidIdError",
    "ItemTooLargeError",
    "KeyProvider",
    "KmsKeys",
    "LocalKeys",
    "LocalStorageClient",
    "MissingDependencyError",
    "ObjectExistsError",
    "RequestError",
    "RetryPolicies",
    "RetryPolicy",
    "S3StorageClient",
    "SchemaError",
    "StorageClient",
    "StorageError",
    "StorageProvider",
    "TransientStorageError",
    "Transport",
    "storage_from_url",
]


keep_lines_whole()


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
