"""Values of any size, though an item ends at 400 KB.

A value above the threshold is compressed if that saves. What is still too large for its row is cut into parts, which
are items of the same partition and sort right behind their owner, so that one query brings them along. Parts are
written before the row that names them and deleted after it names others, and each value has a generation of its own:
a reader never sees a mixture.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import uuid4

from chainlit_dynamodb.chat.schema import PK, SK, Key, is_part_sk, part_key, parts_prefix
from chainlit_dynamodb.chat.writer import weight_bytes
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.expressions import Condition, Update, all_of, begins_with, equals
from chainlit_dynamodb.dynamodb.packing import UNREADABLE, Packed, Split, pack, split
from chainlit_dynamodb.dynamodb.table import Query, Table, chunks
from chainlit_dynamodb.errors import ConditionFailedError, ItemTooLargeError

logger = logging.getLogger("chainlit.DynamoDB")

COMPRESS_ABOVE_BYTES: Final = 4 * 1024
SPLIT_ABOVE_BYTES: Final = 64 * 1024
"""A row with half a dozen values of this size still fits, and changing one of them does not pay for the others."""
PART_BYTES: Final = 256 * 1024
_WORTHWHILE: Final = 0.9
_LAST_RESORT_BYTES: Final = 1024
_THREAD_ABOVE_BYTES: Final = 128 * 1024
_CONCURRENT_PARTS: Final = 4
_READ_TRIES: Final = 10
_DATA: Final = "data"
_PLAIN_BYTES: Final = b"\x01"
"""In front of a part's bytes, so that they are not taken for a packed value, whatever they begin with."""


@dataclass
class _Staged:
    """Values made fit for their row, and the parts they need."""

    fitted: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, list[Item]] = field(default_factory=dict)

    def of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self.fitted[name] for name in values}


class LargeValues:
    """Writes and reads rows whose values may be of any size."""

    def __init__(self, table: Table, *, compress_above_bytes: int | None = COMPRESS_ABOVE_BYTES) -> None:
        """Take the table.

        Args:
            table: Where rows and parts are.
            compress_above_bytes: The size above which values are compressed; `None` never compresses. Reading
                understands both.
        """
        self._table = table
        self._compress_above_bytes = compress_above_bytes

    async def update(
        self,
        key: Key,
        update: Update,
        *,
        condition: Condition | None = None,
        split_above_bytes: int = SPLIT_ABOVE_BYTES,
    ) -> Item:
        """Change attributes of a row, whatever their size.

        Args:
            key: The row.
            update: What to change.
            condition: Must hold, or nothing changes.
            split_above_bytes: The size above which a value does not stay in the row.

        Returns:
            The changed attributes as they were.

        Raises:
            ConditionFailedError: The condition did not hold.

        Cost: 1 write unit per KB of the row after compression, and of each part.
        """
        try:
            return await self._update(key, update, condition, split_above_bytes)
        except ItemTooLargeError:
            return await self._update(key, update, condition, _LAST_RESORT_BYTES)

    async def _update(self, key: Key, update: Update, condition: Condition | None, split_above_bytes: int) -> Item:
        staged = await self._stage(key, {**update.default, **update.assign}, split_above_bytes)
        fitted = replace(update, assign=staged.of(update.assign), default=staged.of(update.default))
        try:
            old = await self._table.update(key.attributes(), fitted, condition=condition, give_back="UPDATED_OLD")
        except (ConditionFailedError, ItemTooLargeError):
            await self._delete(part for parts in staged.parts.values() for part in parts)
            raise
        await self._tidy(key, old, staged, update.default)
        return old

    async def stage(self, key: Key, value: Any, attribute: str) -> Any:
        """Make one value fit for a row that the caller writes, storing its parts now.

        Cost: 1 write unit per KB of each part; none for a value that fits.
        """
        staged = await self._stage(key, {attribute: value}, SPLIT_ABOVE_BYTES)
        return staged.fitted[attribute]

    async def complete(self, rows: Sequence[Item], *, patient: bool = False) -> list[Item]:
        """Unpack and put together the values of rows, and leave out the parts.

        A row whose values were replaced since it was read is read again, whole, so that new values do not stand
        beside old ones.

        Args:
            rows: Rows with `PK` and `SK`; parts among them save reading them.
            patient: Keep trying as long as writes do, because a write depends on it.

        Returns:
            The rows without the parts, and without those that are gone by now. A value that cannot be put together
            is a marked text.

        Cost: nothing if the parts are there, else 1 read unit per 4 KB of each missing part.
        """
        parts = {Key(row[PK], row[SK]): row for row in rows if is_part_sk(row[SK])}
        owners = [row for row in rows if not is_part_sk(row[SK])]
        parts |= await self._read_parts(set(_part_keys(owners)) - set(parts), patient=patient)
        found = [await self._completed(row, parts, patient=patient) if _is_packed(row) else row for row in owners]
        return [row for row in found if row is not None]

    async def drop(self, key: Key, name: str, value: Any) -> None:
        """Delete the parts of a value no row names any more. Cost: 1 write unit per KB of each part."""
        if isinstance(value, Split):
            await self._delete(part.attributes() for part in _keys_of(key, name, value))

    async def delete_parts(self, key: Key) -> None:
        """Delete the parts of a row that is gone, also those that an interrupted write has left.

        Cost: 1 read unit, and 1 write unit per KB of each part.
        """
        mine = all_of(equals(PK, key.pk), begins_with(SK, parts_prefix(key)))
        async for parts in self._table.query_pages(Query(mine, attributes=[PK, SK], consistent=True, patient=True)):
            await self._delete(parts)

    async def _stage(self, key: Key, values: Mapping[str, Any], split_above_bytes: int) -> _Staged:
        staged = _Staged()
        for name, value in values.items():
            staged.fitted[name] = await self._fit(key, name, value, split_above_bytes, staged)
        for some in chunks((part for parts in staged.parts.values() for part in parts), _CONCURRENT_PARTS):
            await asyncio.gather(*map(self._table.put, some))
        return staged

    async def _fit(self, key: Key, name: str, value: Any, split_above_bytes: int, staged: _Staged) -> Any:
        if isinstance(value, (Packed, Split)) or not _may_be_large(value):
            return value
        plain_bytes = weight_bytes(value)
        packed = await self._compressed(value, plain_bytes)
        if packed is None and plain_bytes <= split_above_bytes:
            return value
        packed = packed or await _off_loop(plain_bytes, pack, value, compress=False)
        if len(packed.content) <= split_above_bytes:
            return packed
        note, contents = await _off_loop(packed.raw_bytes, split, packed, uuid4().hex[:16], PART_BYTES)
        staged.parts[name] = [_part(key, name, note, n, content) for n, content in enumerate(contents)]
        return note

    async def _compressed(self, value: Any, plain_bytes: int) -> Packed | None:
        if self._compress_above_bytes is None or plain_bytes <= self._compress_above_bytes:
            return None
        packed = await _off_loop(plain_bytes, pack, value, compress=True)
        return packed if len(packed.content) < packed.raw_bytes * _WORTHWHILE else None

    async def _tidy(self, key: Key, old: Item, staged: _Staged, default: Mapping[str, Any]) -> None:
        """Delete the parts of values that were replaced, and ours where the row had a value already."""
        doomed: list[Item] = []
        for name, before in old.items():
            ours = staged.fitted.get(name)
            if isinstance(before, Split) and isinstance(ours, Split) and before.generation == ours.generation:
                continue  # a repeated request found its own first try
            if name in default:
                doomed += staged.parts.get(name, ())
            elif isinstance(before, Split):
                doomed += [part.attributes() for part in _keys_of(key, name, before)]
        await self._delete(doomed)

    async def _delete(self, items: Iterable[Mapping[str, Any]]) -> None:
        await self._table.batch_delete([{PK: item[PK], SK: item[SK]} for item in items])

    async def _read_parts(self, keys: Iterable[Key], *, patient: bool) -> dict[Key, Item]:
        rows = await self._table.batch_get([key.attributes() for key in keys], patient=patient)
        return {Key(row[PK], row[SK]): row for row in rows}

    async def _completed(self, row: Item, parts: Mapping[Key, Item], *, patient: bool) -> Item | None:
        for _ in range(_READ_TRIES):
            values, lost = await _unpacked(row, parts)
            if not lost:
                return {**row, **values}
            fresh = await self._table.get({PK: row[PK], SK: row[SK]}, patient=patient)
            if fresh is None:
                return None
            if all(fresh.get(name) == row[name] for name in lost):
                break
            row, parts = fresh, await self._read_parts(_part_keys([fresh]), patient=patient)
        logger.warning("%s %s: damaged: %s", row[PK], row[SK], ", ".join(lost))
        return {**row, **values, **dict.fromkeys(lost, UNREADABLE)}


async def _unpacked(row: Item, parts: Mapping[Key, Item]) -> tuple[dict[str, Any], list[str]]:
    """Give the packed values of a row, and the names of those whose parts are not what they should be."""
    values: dict[str, Any] = {}
    lost: list[str] = []
    for name, value in row.items():
        if isinstance(value, Split):
            value = await _off_loop(value.raw_bytes, _join, row, name, value, parts)
            lost += [name] if value is None else []
        if isinstance(value, Packed):
            values[name] = await _off_loop(value.raw_bytes, value.unpack)
    return values, lost


def _may_be_large(value: Any) -> bool:
    """Tell apart, at no cost, the short values that most are."""
    if isinstance(value, str):
        return len(value) > 1024
    return isinstance(value, (dict, list)) and bool(value)


def _part(key: Key, name: str, note: Split, number: int, content: bytes) -> Item:
    place = part_key(key, name, note.generation, number).attributes()
    return {**place, _DATA: _PLAIN_BYTES + content}


def _keys_of(key: Key, name: str, note: Split) -> list[Key]:
    return [part_key(key, name, note.generation, number) for number in range(note.count)]


def _part_keys(rows: Iterable[Item]) -> Iterable[Key]:
    for row in rows:
        for name, value in row.items():
            if isinstance(value, Split):
                yield from _keys_of(Key(row[PK], row[SK]), name, value)


def _is_packed(row: Item) -> bool:
    return any(isinstance(value, (Packed, Split)) for value in row.values())


def _join(row: Item, name: str, note: Split, parts: Mapping[Key, Item]) -> Packed | None:
    found = [parts.get(key, {}).get(_DATA) for key in _keys_of(Key(row[PK], row[SK]), name, note)]
    return note.join([content for part in found if (content := _content(part)) is not None])


def _content(data: Any) -> bytes | None:
    try:
        return base64.b64decode(data, validate=True)[len(_PLAIN_BYTES) :] if isinstance(data, str) else None
    except binascii.Error:
        return None


async def _off_loop(size: int, function: Any, *args: Any, **options: Any) -> Any:
    """Do what takes long in a thread."""
    if size <= _THREAD_ABOVE_BYTES:
        return function(*args, **options)
    return await asyncio.to_thread(function, *args, **options)
