"""Makes a storage client from one URL, so that a deployment can choose its storage by environment.

    s3://bucket/prefix?region=eu-west-1
    az://account/container/prefix
    abfss://container@account.dfs.core.windows.net/prefix
    gs://bucket/prefix
    file:///var/lib/chat/files

Secrets never belong into a URL: each cloud finds its credentials in its own way.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Final

from chainlit_dynamodb.errors import ConfigurationError
from chainlit_dynamodb.storage.base import StorageClient
from chainlit_dynamodb.storage.clients import EXAMPLES
from chainlit_dynamodb.storage.url import parsed_url

VARIABLE: Final = "CHAINLIT_STORAGE_URL"


def storage_from_url(url: str | None = None) -> StorageClient:
    """Make the storage client that a URL names.

    Everything the URL does not say comes from the environment: AWS and Google credentials as their SDKs find
    them; for Azure `AZURE_STORAGE_KEY`, else the identity of the machine. Only the SDK of that cloud is imported.

    Args:
        url: The URL; else that in `CHAINLIT_STORAGE_URL`. What stands after `?` becomes arguments of the client:
            `url_lifetime_seconds` for all; `region`, `endpoint_url` for `s3`; `account_url`, `endpoint_suffix` for
            `az`; `account_url`, `blob_url` for `abfss`; `project_id`, `client_email`, `endpoint` for `gs`.

    Returns:
        The client.

    Raises:
        MissingDependencyError: The cloud's SDK is not installed.
        ConfigurationError: There is no URL, or it cannot be understood.
    """
    given = os.environ.get(VARIABLE, "") if url is None else url
    if not given:
        raise ConfigurationError(f"No storage URL: set {VARIABLE} to one of {EXAMPLES}")
    parsed = parsed_url(given)
    module = import_module(f"chainlit_dynamodb.storage.{parsed.client.module}")
    made: StorageClient = getattr(module, parsed.client.class_name).from_url(parsed)
    return made
