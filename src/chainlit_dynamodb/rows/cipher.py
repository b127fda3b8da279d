"""Content sealed before it leaves the process, and opened when it comes back: a table that its users need not know.

Each attribute is sealed by itself, so that an update may name some of them, and for its place: the row and the
attribute. What is sealed has been compressed and cut into parts before. An index holds what the row holds.

What nobody can open because its key is erased is not there: a row that is read with others, or whole, is left out; of
one that is read in part, or written, the sealed attributes are.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from cachetools import LRUCache

from chainlit_dynamodb.ciphers.aes import AesKey
from chainlit_dynamodb.dynamodb.codec import Item, unpacked
from chainlit_dynamodb.dynamodb.expressions import Condition, Update
from chainlit_dynamodb.dynamodb.packing import UNREADABLE, Packed, Sealed, Split, read
from chainlit_dynamodb.dynamodb.retry import RetryPolicy
from chainlit_dynamodb.dynamodb.table import KeyDict, Page, Query, Table, Write
from chainlit_dynamodb.errors import ConditionFailedError
from chainlit_dynamodb.rows.keys import Keyring, place_of
from chainlit_dynamodb.schema import (
    FEEDBACK,
    FEEDBACK_LEFT_OPEN,
    LEFT_OPEN,
    PK,
    SK,
    THREAD_SK,
    USER_ID,
    Key,
    user_threads_pk,
)

logger = logging.getLogger("chainlit.DynamoDB")

_THREAD_ABOVE_BYTES: Final = 256 * 1024
_VALUE_BYTES: Final = 512
"""What opening a value takes besides its bytes, in bytes: a page of an index has thousands of short ones."""
_SAID: Final = 10_000
_TEXT: Final = b"t"
_JSON: Final = b"j"
_BYTES: Final = b"b"
_PACKED: Final = b"p"
AttributePath = tuple[str, ...]
"""The name of an attribute, and of an entry inside if it is that which is sealed."""

_to_json: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class _Opened(NamedTuple):
    """A row without what could not be opened, and whether something could not because its key is erased."""

    row: Item
    is_erased: bool


class SealedTable(Table):
    """A table whose content is sealed. What was written before there was a cipher is read as it is."""

    def __init__(self, table: Table, keys: Keyring) -> None:
        """Take the table underneath, which `close` closes, and the keys."""
        super().__init__(table.name, table.transport, table.retry)
        self._keys = keys
        self._said: LRUCache[str, bool] = LRUCache(_SAID)

    async def get(
        self, key: KeyDict, *, attributes: Sequence[str] = (), policy: RetryPolicy | None = None
    ) -> Item | None:
        """Read one item as `Table.get` does. Cost: the same, and that of a key: see `Keyring.find`."""
        row = await super().get(key, attributes=attributes, policy=policy)
        if row is None:
            return None
        ((opened, is_erased),) = await self._opened([{**row, **key}], policy)
        return None if is_erased and not attributes else opened

    async def batch_get(
        self, keys: Sequence[KeyDict], *, attributes: Sequence[str] = (), policy: RetryPolicy | None = None
    ) -> list[Item]:
        """Read items as `Table.batch_get` does. Cost: the same, and that of their keys: see `Keyring.find`."""
        rows = await super().batch_get(keys, attributes=attributes, policy=policy)
        return [opened.row for opened in await self._opened(rows, policy) if not opened.is_erased]

    async def query_page(self, query: Query) -> Page:
        """Read a page as `Table.query_page` does. Cost: the same, and that of its keys: see `Keyring.find`."""
        page = await super().query_page(query)
        is_part_enough = bool(query.index or query.attributes)
        found = await self._opened(page.items, query.policy)
        return Page([opened.row for opened in found if is_part_enough or not opened.is_erased], page.next_key)

    async def update(
        self, key: KeyDict, update: Update, *, condition: Condition | None = None, return_values: str = "NONE"
    ) -> Item:
        """Change an item as `Table.update` does. Cost: the same, and that of a key: see `Keyring.for_writing`."""
        owner = update.assign.get(USER_ID) if key[SK] == THREAD_SK else None
        if owner:  # first the key is the owner's, then the thread
            await self._keys.for_writing(key[PK], user_threads_pk(owner), takes_over=False)
        sealed = await self._sealed_update(key, update)
        try:
            old = await super().update(key, sealed, condition=condition, return_values=return_values)
        except ConditionFailedError as exc:
            if owner and exc.item.get(USER_ID):  # it may be somebody else's, and had no key yet
                await self._keys.for_writing(key[PK], user_threads_pk(exc.item[USER_ID]))
            exc.item = await self._opened_for_a_write(key, exc.item)
            raise
        if owner:  # it may have been somebody else's: nobody takes over a key with a thread that they do not get
            await self._keys.for_writing(key[PK], user_threads_pk(owner))
        return await self._opened_for_a_write(key, old)

    async def close(self) -> None:
        """Close the table, and forget the keys."""
        await super().close()
        await self._keys.close()

    async def put(self, item: Item) -> None:
        """Write an item as `Table.put` does. Cost: the same, and that of a key: see `Keyring.for_writing`."""
        await super().put(await self._sealed_item(item))

    async def replace(self, item: Item, *, condition: Condition) -> Item | None:
        """Write an item as `Table.replace` does; what was there comes back without content, so it needs no key.

        Cost: the same, and that of a key where the item has content.
        """
        try:
            old = await super().replace(await self._sealed_item(item), condition=condition)
        except ConditionFailedError as exc:
            exc.item = _without_content(exc.item)
            raise
        return None if old is None else _without_content(old)

    async def delete(self, key: KeyDict, *, condition: Condition | None = None) -> Item | None:
        """Delete an item as `Table.delete` does; it comes back without content, so this needs no key."""
        old = await super().delete(key, condition=condition)
        return None if old is None else _without_content(old)

    async def transact(self, writes: Sequence[Write]) -> None:
        """Do writes as `Table.transact` does. Cost: the same, and that of keys: see `Keyring.for_writing`."""
        await super().transact([await self._sealed_write(write) for write in writes])

    async def _sealed_write(self, write: Write) -> Write:
        if write.update is None:
            return write
        return replace(write, update=await self._sealed_update(write.key, write.update))

    async def _sealed_item(self, item: Item) -> Item:
        return await self._sealed(Key(item[PK], item[SK]), item)

    async def _sealed_update(self, key: KeyDict, update: Update) -> Update:
        row = Key(key[PK], key[SK])
        assign, default = await self._sealed(row, update.assign), await self._sealed(row, update.default)
        return replace(update, assign=assign, default=default)

    async def _sealed(self, row: Key, values: Mapping[str, Any]) -> dict[str, Any]:
        contents = {path: content_of(value) for path, value in _contents(values)}
        if not contents:
            return dict(values)
        key = await self._keys.for_writing(row.pk)
        if sum(map(len, contents.values())) > _THREAD_ABOVE_BYTES:
            sealed = await asyncio.to_thread(_seal, key, row, contents)
        else:
            sealed = _seal(key, row, contents)
        return _with(values, sealed)

    async def _opened_for_a_write(self, key: KeyDict, row: Item) -> Item:
        ((opened, _),) = await self._opened([{**row, **key}], self.retry.write)
        return {name: value for name, value in opened.items() if name in row}

    async def _opened(self, rows: list[Item], policy: RetryPolicy | None) -> list[_Opened]:
        wanted: dict[str, set[bytes]] = {}
        size_bytes = 0
        for row in rows:
            for _, sealed in _sealed_in(row):
                wanted.setdefault(row[PK], set()).add(sealed.key_id)
                size_bytes += len(sealed.content) + _VALUE_BYTES
        if not wanted:
            return [_Opened(row, False) for row in rows]
        keys = await self._keys.find(wanted, policy)
        self._say_what_is_erased(wanted, keys)
        if size_bytes > _THREAD_ABOVE_BYTES:
            return await asyncio.to_thread(_open_all, rows, keys)
        return _open_all(rows, keys)

    def _say_what_is_erased(self, wanted: Mapping[str, set[bytes]], keys: Mapping[str, AesKey]) -> None:
        """Say so once: it is read again and again."""
        for pk, key_ids in wanted.items():
            if pk not in self._said and (pk not in keys or key_ids != {keys[pk].id}):
                self._said[pk] = True
                logger.warning("%s: the key of what is stored there is erased: it is as if it were not there", pk)


def content_of(value: Any) -> bytes:
    """Return a value as the bytes that are sealed: a mark of its kind, and the value."""
    if isinstance(value, str):
        return _TEXT + value.encode()
    if isinstance(value, bytes):
        return _BYTES + value
    if isinstance(value, (Packed, Split)):
        return _PACKED + value.data()
    return _JSON + _to_json(value).encode()


def value_of(content: bytes) -> Any:
    """Return what `content_of` was given, as it comes from a table that is not sealed: bytes as base64."""
    kind, data = content[:1], content[1:]
    if kind == _TEXT:
        return data.decode()
    if kind == _JSON:
        return json.loads(data)
    if kind == _PACKED and (found := read(data)) is not None:
        return unpacked(found)
    return base64.b64encode(data).decode()


def _contents(values: Mapping[str, Any]) -> Iterator[tuple[AttributePath, Any]]:
    """Give what is to be sealed. What is empty, true or false is not: it says no more than its length would."""
    for name, value in values.items():
        if name == FEEDBACK and isinstance(value, dict):
            yield from (((name, entry), v) for entry, v in value.items() if _is_content(entry, v, FEEDBACK_LEFT_OPEN))
        elif _is_content(name, value, LEFT_OPEN):
            yield (name,), value


def _is_content(name: str, value: Any, left_open: frozenset[str]) -> bool:
    if name in left_open or value is None or isinstance(value, bool):
        return False
    return not isinstance(value, (str, dict, list)) or bool(value)


def _sealed_in(row: Item) -> Iterator[tuple[AttributePath, Sealed]]:
    for name, value in row.items():
        if isinstance(value, Sealed):
            yield (name,), value
        elif name == FEEDBACK and isinstance(value, dict):
            yield from (((name, entry), inner) for entry, inner in value.items() if isinstance(inner, Sealed))


def _with(values: Mapping[str, Any], changed: Mapping[AttributePath, Any]) -> Item:
    """Return attributes with some of them, or entries of some, changed."""
    result = dict(values)
    for (name, *inside), value in changed.items():
        result[name] = {**result[name], inside[0]: value} if inside else value
    return result


def _without(values: Mapping[str, Any], paths: Iterable[AttributePath]) -> Item:
    result = dict(values)
    for name, *inside in paths:
        if inside:
            result[name] = {entry: value for entry, value in result[name].items() if entry != inside[0]}
        else:
            del result[name]
    return result


def _without_content(row: Item) -> Item:
    return _without(row, [path for path, _ in _sealed_in(row)])


def _place(row: Key, path: AttributePath) -> bytes:
    return place_of(row, "\0".join(path))


def _seal(key: AesKey, row: Key, contents: Mapping[AttributePath, bytes]) -> dict[AttributePath, Sealed]:
    return {path: Sealed(key.id, key.seal(content, _place(row, path))) for path, content in contents.items()}


def _open_all(rows: Iterable[Item], keys: Mapping[str, AesKey]) -> list[_Opened]:
    return [_open(row, keys.get(row[PK])) for row in rows]


def _open(row: Item, key: AesKey | None) -> _Opened:
    opened: dict[AttributePath, Any] = {}
    erased: list[AttributePath] = []
    for path, sealed in _sealed_in(row):
        if key is None or key.id != sealed.key_id:
            erased.append(path)
            continue
        content = key.open(sealed.content, _place(Key(row[PK], row[SK]), path))
        if content is None:
            logger.error("%s %s: %s was changed or moved since it was sealed", row[PK], row[SK], path[0])
        opened[path] = UNREADABLE if content is None else value_of(content)
    return _Opened(_without(_with(row, opened), erased), bool(erased))
