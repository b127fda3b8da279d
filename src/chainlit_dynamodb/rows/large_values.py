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
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, ParamSpec, TypeVar
from uuid import uuid4

from chainlit_dynamodb.dynamodb.codec import MAX_INLINE_BYTES, Item, weight_bytes
from chainlit_dynamodb.dynamodb.expressions import Update, all_of, begins_with, equals
from chainlit_dynamodb.dynamodb.packing import (
    MAX_INFLATED_BYTES,
    PLAIN_BYTES,
    UNREADABLE,
    Packed,
    Sealed,
    Split,
    pack,
    split,
)
from chainlit_dynamodb.dynamodb.retry import RetryPolicy
from chainlit_dynamodb.dynamodb.table import Query, Table, chunks
from chainlit_dynamodb.errors import CipherError
from chainlit_dynamodb.schema import (
    BURIED_AT,
    PART_DATA,
    PK,
    SK,
    STAMP,
    STORED_AS_IS,
    Key,
    is_part_sk,
    may_have_parts,
    parse_part_sk,
    part_key,
    parts_prefix,
)

logger = logging.getLogger("chainlit.DynamoDB")

P = ParamSpec("P")
T = TypeVar("T")

COMPRESS_ABOVE_BYTES: Final = 4 * 1024
PART_BYTES: Final = 256 * 1024
_WORTHWHILE: Final = 0.9
_SURELY_SMALL_CHARS: Final = 1024
_THREAD_ABOVE_BYTES: Final = 128 * 1024
_CONCURRENT_PARTS: Final = 4
_READ_TRIES: Final = 10
_GENERATION_TIME_DIGITS: Final = 11
STRAY_SECONDS: Final = 7200
"""Longer than a write is tried and clocks differ: a part that no row names by then never will be."""
MAX_READ_INFLATED_BYTES: Final = 4 * MAX_INFLATED_BYTES
"""More than this no browser opens; what would exceed it is taken for damaged."""


@dataclass(frozen=True)
class Fitted:
    """An update whose values fit into their row.

    Attributes:
        update: The update.
        parts: The parts that were stored for it, by attribute.
    """

    update: Update
    parts: Mapping[str, Sequence[Item]] = field(default_factory=dict)


class LargeValues:
    """Makes values fit for their row, and puts them together again."""

    def __init__(self, table: Table, *, compress_above_bytes: int | None) -> None:
        """Take the table of rows and parts; see `Rows` for the arguments."""
        self._table = table
        self._compress_above_bytes = compress_above_bytes

    async def fit(self, key: Key, update: Update, inline_bytes: int) -> Fitted:
        """Make the values of an update fit for their row, storing their parts now.

        Args:
            key: The row.
            update: What is to change.
            inline_bytes: How large a value may be to stay in the row.

        Cost: 1 write unit per KB of each part; none where everything fits.
        """
        large = self._large(update, inline_bytes) if may_have_parts(key) else {}
        if not large:
            return Fitted(update)
        fitted: dict[str, Any] = {}
        parts: dict[str, list[Item]] = {}
        for name, value in large.items():
            fitted[name], parts[name] = await self._fit(key, name, value, inline_bytes)
        for some in chunks((part for those in parts.values() for part in those), _CONCURRENT_PARTS):
            await asyncio.gather(*map(self._table.put, some))
        assign = {name: fitted.get(name, value) for name, value in update.assign.items()}
        default = {name: fitted.get(name, value) for name, value in update.default.items()}
        return Fitted(replace(update, assign=assign, default=default), parts)

    async def discard(self, fitted: Fitted) -> None:
        """Delete the parts of an update that did not happen. Cost: 1 write unit per KB of each part."""
        await self._delete(part for parts in fitted.parts.values() for part in parts)

    async def tidy(self, key: Key, fitted: Fitted, old: Item) -> None:
        """Delete the parts of values that an update replaced, and ours where the row had a value already.

        Args:
            key: The row.
            fitted: The update, which has happened.
            old: The attributes it changed, as they were.

        Cost: 1 write unit per KB of each such part.
        """
        doomed: list[Item] = []
        for name, before in old.items():
            if _is_own_first_try(before, fitted.update.assign.get(name, fitted.update.default.get(name))):
                continue
            if name in fitted.update.default:
                doomed += fitted.parts.get(name, ())
            elif isinstance(before, Split):
                doomed += [part.attributes() for part in _keys_of(key, name, before)]
        if doomed:
            await self._delete(doomed)

    async def complete(
        self, rows: Sequence[Item], *, leave: Collection[str] = (), policy: RetryPolicy | None = None
    ) -> list[Item]:
        """Unpack and put together the values of rows, and leave out the parts.

        A row whose values were replaced since it was read is read again, whole, so that new values do not stand
        beside old ones.

        Args:
            rows: Rows with `PK` and `SK`; parts among them save reading them.
            leave: Attributes that stay as they came if they are large.
            policy: How long to try.

        Returns:
            The rows without the parts, and without those that are gone by now. A value that cannot be put together
            is a marked text.

        Raises:
            CipherError: A value is sealed, and there is no cipher.

        Cost: nothing if the parts are there, else 1 read unit per 4 KB of each missing part.
        """
        owners = [row for row in rows if not is_part_sk(row[SK])]
        packed = [_is_packed(row, leave) for row in owners]
        if not any(packed):
            return owners
        parts = {Key(row[PK], row[SK]): row for row in rows if is_part_sk(row[SK])}
        parts |= await self._read_parts(set(_part_keys(owners, leave)) - set(parts), policy)
        room = _Room(MAX_READ_INFLATED_BYTES)
        found = [
            await self._completed(row, parts, leave, room, policy) if is_packed else row
            for row, is_packed in zip(owners, packed, strict=True)
        ]
        return [row for row in found if row is not None]

    def strays(self, rows: Sequence[Item]) -> list[Key]:
        """Return the parts that no row names and no write that is still tried can have stored. Cost: none."""
        parts = [row for row in rows if is_part_sk(row[SK])]
        if not parts:
            return []
        named = {_place(row[SK], name, note) for row in rows for name, note in row.items() if isinstance(note, Split)}
        oldest = _generation_time(time.time() - STRAY_SECONDS)
        places = [(Key(row[PK], row[SK]), parse_part_sk(row[SK])) for row in parts]
        return [key for key, place in places if place not in named and place[2] < oldest]

    async def delete_parts(self, key: Key) -> None:
        """Delete the parts of a row that is gone, also those that an interrupted write has left.

        Cost: 1 read unit, and 1 write unit per KB of each part.
        """
        mine = all_of(equals(PK, key.pk), begins_with(SK, parts_prefix(key)))
        query = Query(mine, attributes=[PK, SK], consistent=True, policy=self._table.retry.write)
        async for parts in self._table.query_pages(query):
            await self._delete(parts)

    def _large(self, update: Update, inline_bytes: int) -> dict[str, Any]:
        return {
            name: value
            for name, value in _values_of(update)
            if name not in STORED_AS_IS and self._is_large(value, inline_bytes)
        }

    def _is_large(self, value: Any, inline_bytes: int) -> bool:
        if isinstance(value, str):
            if len(value) <= _SURELY_SMALL_CHARS:
                return False
        elif not isinstance(value, (dict, list)) or not value:
            return False
        above = self._compress_above_bytes
        return weight_bytes(value) > (inline_bytes if above is None else min(above, inline_bytes))

    async def _fit(self, key: Key, name: str, value: Any, inline_bytes: int) -> tuple[Any, list[Item]]:
        plain_bytes = weight_bytes(value)
        packed = await self._compressed(value, plain_bytes)
        if packed is None and plain_bytes <= inline_bytes:
            return value, []
        if packed is None:
            packed = await _off_loop(plain_bytes, pack, value, compress=False)
        if len(packed.content) <= inline_bytes:
            return packed, []
        note, contents = await _off_loop(packed.raw_bytes, split, packed, _new_generation(), PART_BYTES)
        return note, [_part(key, name, note, number, content) for number, content in enumerate(contents)]

    async def _compressed(self, value: Any, plain_bytes: int) -> Packed | None:
        if self._compress_above_bytes is None or plain_bytes <= self._compress_above_bytes:
            return None
        packed = await _off_loop(plain_bytes, pack, value, compress=True)
        return packed if len(packed.content) < packed.raw_bytes * _WORTHWHILE else None

    async def _delete(self, items: Iterable[Mapping[str, Any]]) -> None:
        await self._table.batch_delete([{PK: item[PK], SK: item[SK]} for item in items])

    async def _read_parts(self, keys: Iterable[Key], policy: RetryPolicy | None) -> dict[Key, Item]:
        rows = await self._table.batch_get([key.attributes() for key in keys], policy=policy)
        return {Key(row[PK], row[SK]): row for row in rows}

    async def _completed(
        self, row: Item, parts: Mapping[Key, Item], leave: Collection[str], room: _Room, policy: RetryPolicy | None
    ) -> Item | None:
        for _ in range(_READ_TRIES):
            values, lost = await _unpacked(row, parts, leave, room)
            if not lost:
                return {**row, **values}
            fresh = await self._table.get({PK: row[PK], SK: row[SK]}, policy=policy)
            if fresh is None or BURIED_AT in fresh:
                return None
            if all(fresh.get(name) == row[name] for name in lost):
                break
            row, parts = fresh, await self._read_parts(_part_keys([fresh], leave), policy)
        logger.warning("%s %s: damaged: %s", row[PK], row[SK], ", ".join(lost))
        return {**row, **values, **dict.fromkeys(lost, UNREADABLE)}


class _Room:
    """How far the values of one read may still inflate."""

    def __init__(self, left_bytes: int) -> None:
        self._left_bytes = left_bytes

    def has(self, packed: Packed) -> bool:
        """Take the room that a value needs, if there is so much."""
        if packed.inflated_bytes > min(self._left_bytes, MAX_INFLATED_BYTES):
            return False
        self._left_bytes -= packed.inflated_bytes
        return True


async def _unpacked(
    row: Item, parts: Mapping[Key, Item], leave: Collection[str], room: _Room
) -> tuple[dict[str, Any], list[str]]:
    """Return the packed values of a row, and the names of those that are damaged, or would take too much memory."""
    values: dict[str, Any] = {}
    lost: list[str] = []
    for name, value in _large_of(row, leave):
        packed = value if isinstance(value, Packed) else await _joined(row, name, value, parts)
        if packed is None or not room.has(packed):
            lost.append(name)
        else:
            values[name] = await _off_loop(packed.raw_bytes, packed.unpack)
    return values, lost


def _new_generation() -> str:
    """Return what tells the parts of a value from those of others: when it was written, and chance."""
    return _generation_time(time.time()) + uuid4().hex[: 16 - _GENERATION_TIME_DIGITS]


def _generation_time(seconds: float) -> str:
    return f"{int(seconds * 1000):0{_GENERATION_TIME_DIGITS}x}"


def _place(sk: str, name: str, note: Split) -> tuple[str, str, str]:
    return parse_part_sk(part_key(Key("", sk), name, note.generation, 0).sk)


def _values_of(update: Update) -> Iterable[tuple[str, Any]]:
    yield from update.default.items()
    yield from update.assign.items()


def _is_own_first_try(before: Any, ours: Any) -> bool:
    """Return whether a repeated request found what its own first try had stored."""
    return isinstance(before, Split) and isinstance(ours, Split) and before.generation == ours.generation


def has_happened(fitted: Fitted, row: Item) -> bool:
    """Return whether a refused write is there already: the row has its stamp, or names parts that are its own.

    Its stamp is gone where another process has written something else since; its parts must not go then.
    """
    stamp = fitted.update.assign.get(STAMP)
    return (stamp is not None and row.get(STAMP) == stamp) or _is_named(fitted, row)


def _is_named(fitted: Fitted, row: Item) -> bool:
    """Return whether a row names parts that were stored for an update."""
    ours = {**fitted.update.default, **fitted.update.assign}
    return any(_is_own_first_try(row.get(name), ours.get(name)) for name in fitted.parts)


def _part(key: Key, name: str, note: Split, number: int, content: bytes) -> Item:
    place = part_key(key, name, note.generation, number).attributes()
    return {**place, PART_DATA: PLAIN_BYTES + content}


def _keys_of(key: Key, name: str, note: Split) -> list[Key]:
    return [part_key(key, name, note.generation, number) for number in range(note.count)]


def _large_of(row: Item, leave: Collection[str]) -> Iterable[tuple[str, Packed | Split]]:
    for name, value in row.items():
        if isinstance(value, Sealed):
            raise CipherError(f"{row[PK]} {row[SK]} is sealed. Pass the cipher= that sealed it to DynamoDBDataLayer.")
        if isinstance(value, (Packed, Split)) and not (name in leave and _is_large(value)):
            yield name, value


def _is_large(value: Packed | Split) -> bool:
    return isinstance(value, Split) or value.raw_bytes > MAX_INLINE_BYTES


def _part_keys(rows: Iterable[Item], leave: Collection[str]) -> Iterable[Key]:
    for row in rows:
        for name, value in _large_of(row, leave):
            if isinstance(value, Split):
                yield from _keys_of(Key(row[PK], row[SK]), name, value)


def _is_packed(row: Item, leave: Collection[str]) -> bool:
    return any(isinstance(value, Sealed) for value in row.values()) or any(_large_of(row, leave))


async def _joined(row: Item, name: str, note: Split, parts: Mapping[Key, Item]) -> Packed | None:
    found = [parts.get(key, {}).get(PART_DATA) for key in _keys_of(Key(row[PK], row[SK]), name, note)]
    return await _off_loop(note.raw_bytes, _join, note, found)


def _join(note: Split, found: list[Any]) -> Packed | None:
    return note.join([content for data in found if (content := _content(data)) is not None])


def _content(data: Any) -> bytes | None:
    try:
        return base64.b64decode(data, validate=True)[len(PLAIN_BYTES) :] if isinstance(data, str) else None
    except binascii.Error:
        return None


async def _off_loop(size_bytes: int, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Do what takes long in a thread."""
    if size_bytes <= _THREAD_ABOVE_BYTES:
        return function(*args, **options)
    return await asyncio.to_thread(function, *args, **options)
