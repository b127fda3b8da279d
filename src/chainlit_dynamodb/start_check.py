"""What an app needs to keep its chats, tried out once before anybody logs in."""

from __future__ import annotations

import asyncio
from typing import Final

from chainlit_dynamodb.attachments import StorageAttachments
from chainlit_dynamodb.chat.changes import File
from chainlit_dynamodb.dynamodb.expressions import equals
from chainlit_dynamodb.dynamodb.failures import transport_failure
from chainlit_dynamodb.dynamodb.retry import RetryPolicy
from chainlit_dynamodb.dynamodb.table import Query, Table
from chainlit_dynamodb.errors import StorageError
from chainlit_dynamodb.rows.keys import Keyring
from chainlit_dynamodb.schema import INDEX_NAME, INDEX_PK, INDEX_PROJECTION, user_key, user_threads_pk

PROBE: Final = "chainlit-dynamodb/start-check"
"""Nobody's name: of a user who is looked up, and of a file that is stored and deleted."""

_PATIENCE: Final = RetryPolicy(3.0)
_TABLE_SECONDS: Final = 10.0
_STORAGE_SECONDS: Final = 15.0


async def check_start(table: Table, attachments: StorageAttachments | None, keys: Keyring | None) -> None:
    """Try whether table, index, storage and keys can be used as they are configured.

    Args:
        table: Is only read from.
        attachments: Stores a file of a few bytes and deletes it; `None` where no files are kept.
        keys: Wraps a key and unwraps it; `None` where nothing is sealed.

    Raises:
        ConfigurationError: There are no credentials, no region, no such table, or it has other keys or another index;
            or a key can not be wrapped.
        RequestError: DynamoDB refused to read, or does not answer; or whoever wraps keys does not.
        StorageError: A file can not be stored, signed for and deleted.

    Cost: 1.5 read units; one upload and one deletion; two requests to whoever wraps keys.
    """
    await _check_table(table)
    if keys is not None:
        await keys.check(_PATIENCE)
    if attachments is not None:
        await _check_storage(attachments)


async def _check_table(table: Table) -> None:
    try:
        await asyncio.wait_for(_read(table), _TABLE_SECONDS)
    except asyncio.TimeoutError as exc:
        raise transport_failure("GetItem", exc) from exc


async def _read(table: Table) -> None:
    await table.get(user_key(PROBE).attributes(), policy=_PATIENCE)
    listed = equals(INDEX_PK, user_threads_pk(PROBE))
    await table.query_page(Query(listed, INDEX_NAME, page_items=1, attributes=INDEX_PROJECTION, policy=_PATIENCE))


async def _check_storage(attachments: StorageAttachments) -> None:
    try:
        await asyncio.wait_for(_store_and_delete(attachments), _STORAGE_SECONDS)
    except asyncio.TimeoutError as exc:
        raise StorageError(
            f"The storage provider has not stored a file within {_STORAGE_SECONDS:g} s. Is it reachable?"
        ) from exc


async def _store_and_delete(attachments: StorageAttachments) -> None:
    object_key = await attachments.upload(File(PROBE, b"It can be stored.", "text/plain", "start-check.txt"))
    try:
        await attachments.url(object_key)
    finally:
        await attachments.delete(object_key)
