"""Values between Python, JSON and DynamoDB.

`plain` takes anything Chainlit may hand over and returns a JSON-clean copy of it:

* `bool`, `str`, `int`, `float`, `None`, `dict`, `list`: themselves
* NaN and infinities: `None`; floats too small for DynamoDB: 0
* `Decimal` and other numbers: an int when whole, else a float
* whole floats: the int they are; numbers DynamoDB has no room for (over 38 digits): their decimal string
* bytes: base64 text; sets, tuples and other sequences: lists; dataclasses and Pydantic models: dicts
* dates and times: ISO 8601; UUIDs and paths: text; enum members: their value
* lone surrogates in text: U+FFFD; references back to a container that is being copied: `None`
* anything else, and what raises while it is copied: `<its type>`, with one warning per type

`encode` and `decode` translate such values to and from AttributeValues. What the service cannot hold as a
document (nesting over 32 levels) travels as JSON text in a binary attribute, see `packing`.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import math
from collections.abc import Mapping, Sequence, Set, ValuesView
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any, Final, cast
from uuid import UUID

from chainlit_dynamodb.dynamodb.packing import Packed, Sealed, Split, pack, read_attribute

logger = logging.getLogger("chainlit.DynamoDB")

AttributeValue = dict[str, Any]
Item = dict[str, Any]

MAX_NUMBER_DIGITS: Final = 38
MAX_NESTING: Final = 31
"""DynamoDB allows 32 levels; the item itself is one."""
MAX_INLINE_BYTES: Final = 64 * 1024
"""Packed values up to this length are unpacked while decoding, unless they inflate: a caller has a limit for all."""

_MAX_NATIVE_INT: Final = 10**MAX_NUMBER_DIGITS
_MIN_MAGNITUDE: Final = 1e-129
_MAX_COPY_DEPTH: Final = 128
_ESCAPE: Final = "\x00"


def plain(value: Any) -> Any:
    """Return a JSON-clean deep copy of any Python value. Never raises."""
    return _plain(value, ())


def _plain(value: Any, parents: tuple[int, ...]) -> Any:
    kind = type(value)
    if kind is str:
        return _text(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return _whole(value)
    if kind is float:
        return _fraction(value)
    try:
        return _plain_container(value, parents) if kind is dict or kind is list else _plain_other(value, parents)
    except Exception:  # noqa: BLE001 - foreign code, or a full stack; it must not cost the row
        return _named(kind)


def _plain_other(value: Any, parents: tuple[int, ...]) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value, parents)
    if isinstance(value, str):
        return _text(str.__str__(value))
    if isinstance(value, (Real, Decimal)):
        return _number(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (UUID, PurePath)):
        return _text(str(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode()
    return _plain_container(value, parents)


def _plain_container(value: Any, parents: tuple[int, ...]) -> Any:
    if id(value) in parents or len(parents) >= _MAX_COPY_DEPTH:
        return None
    inside = (*parents, id(value))
    if type(value) is list:  # spares the checks below, which take most of the time
        return [_plain(v, inside) for v in value]
    if isinstance(value, Mapping):
        return {_map_key(k): _plain(v, inside) for k, v in value.items()}
    if isinstance(value, Set):
        return sorted((_plain(v, inside) for v in value), key=repr)
    if isinstance(value, (Sequence, ValuesView)):
        return [_plain(v, inside) for v in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name, None), inside) for f in dataclasses.fields(value)}
    return _plain_foreign(value, inside)


def _plain_foreign(value: Any, parents: tuple[int, ...]) -> Any:
    for method in ("model_dump", "tolist"):  # Pydantic models; NumPy arrays and scalars
        convert = getattr(type(value), method, None)
        if callable(convert):
            return _plain(convert(value), parents)
    return _named(type(value))


def _named(kind: type) -> str:
    _warn_once_of(kind)
    return f"<{kind.__qualname__}>"


@lru_cache(maxsize=1024)
def _warn_once_of(kind: type) -> None:
    logger.warning("A value of type %s.%s is stored as its name only", kind.__module__, kind.__qualname__)


def _map_key(key: Any) -> str:
    if type(key) is str and key.isascii():
        return key
    if isinstance(key, str):
        return _text(str.__str__(key))
    simple = _plain(key, ())
    return simple if isinstance(simple, str) else json.dumps(simple)


def _text(value: str) -> str:
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, Integral):
        return _whole(int(value))
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        if value.adjusted() > 1000:
            return str(value)
        if value == value.to_integral_value():
            return _whole(int(value))
    return _fraction(float(value))


def _whole(value: int) -> int | str:
    if -_MAX_NATIVE_INT < value < _MAX_NATIVE_INT:
        return value
    try:
        return str(value)
    except ValueError:  # Python refuses decimal strings of more than 4300 digits
        return hex(value)


def _fraction(value: float) -> float | int | str | None:
    if not math.isfinite(value):
        return None
    if value.is_integer():
        return _whole(int(value))
    return value if abs(value) >= _MIN_MAGNITUDE else 0


def encode(value: Any) -> AttributeValue:
    """Translate a plain value to an AttributeValue.

    Args:
        value: What `plain` returned, with sealed values in it or not; a packed value, the note of a split one, or raw
            bytes.
    """
    if isinstance(value, (Packed, Split, Sealed)):
        return value.attribute()
    if isinstance(value, bytes):
        return {"B": base64.b64encode(value).decode()}
    try:
        return _encode(value, MAX_NESTING)
    except _TooDeepError:
        return pack(value, compress=False).attribute()


class _TooDeepError(Exception):
    """The value nests deeper than DynamoDB's documents can."""


def _encode(value: Any, levels_left: int) -> AttributeValue:
    kind = type(value)
    if kind is str:
        return {"S": value}
    if value is None:
        return {"NULL": True}
    if kind is bool:
        return {"BOOL": value}
    if kind is int or kind is float:
        return {"N": repr(value)}
    if kind is Sealed:
        return cast("AttributeValue", value.attribute())
    if levels_left == 0:
        raise _TooDeepError
    if kind is dict:
        return {"M": {_escape(k): _encode(v, levels_left - 1) for k, v in value.items()}}
    return {"L": [_encode(v, levels_left - 1) for v in value]}


def encode_item(item: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """Translate the attributes of an item."""
    return {name: encode(value) for name, value in item.items()}


def _escape(key: str) -> str:
    """Keep the empty key, which DynamoDB refuses, by putting a NUL in front of it."""
    return key if key and key[0] != _ESCAPE else _ESCAPE + key


def _unescape(key: str) -> str:
    return key if key[:1] != _ESCAPE else key[1:]


def decode(value: AttributeValue) -> Any:
    """Translate an AttributeValue to a plain value. Never raises on what the service can return.

    Compressed and large packed values come back packed, and split ones as a note of where they are: see
    `rows.large_values`. Sealed ones come back sealed: see `rows.cipher`. Only these are ever part of another value.
    """
    return _decode_binary(value["B"]) if "B" in value else _decode(value)


def _decode(value: AttributeValue) -> Any:
    ((tag, content),) = value.items()
    if tag == "S":
        return content
    if tag == "M":
        return {_unescape(k): _decode(v) for k, v in content.items()}
    if tag == "L":
        return [_decode(v) for v in content]
    if tag == "N":
        return _decode_number(content)
    if tag == "BOOL":
        return content
    if tag == "NULL":
        return None
    if tag == "B":
        found = read_attribute(content)
        return found if isinstance(found, Sealed) else content
    return sorted(_decode_number(n) for n in content) if tag == "NS" else sorted(content)


def decode_item(item: Mapping[str, AttributeValue]) -> Item:
    """Translate the attributes of an item."""
    return {name: decode(value) for name, value in item.items()}


def _decode_number(text: str) -> int | float:
    if text.lstrip("-").isdigit():
        return int(text)
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else float(number)


def _decode_binary(content: str) -> Any:
    found = read_attribute(content)
    return content if found is None else unpacked(found)


def unpacked(found: Packed | Split | Sealed) -> Any:
    """Return the value that was packed; what takes long to unpack, or is not here or not open, as it is."""
    if isinstance(found, (Split, Sealed)) or found.inflated_bytes or found.raw_bytes > MAX_INLINE_BYTES:
        return found
    return found.unpack()


def size_bytes(value: AttributeValue) -> int:
    """Estimate what an AttributeValue counts towards the limit of 400 KB.

    The rule is AWS's "DynamoDB item sizes and formats".
    """
    ((tag, content),) = value.items()
    if tag == "S":
        return len(content.encode())
    if tag == "B":
        return len(content.rstrip("=")) * 3 // 4
    if tag == "N":
        return len(content) // 2 + 2
    if tag == "M":
        return 3 + sum(1 + len(k.encode()) + size_bytes(v) for k, v in content.items())
    if tag == "L":
        return 3 + sum(1 + size_bytes(v) for v in content)
    return 1 if tag in ("BOOL", "NULL") else sum(len(str(v)) for v in content)


def item_size_bytes(item: Mapping[str, AttributeValue]) -> int:
    """Estimate what an item counts towards the limit of 400 KB, names included."""
    return sum(len(name.encode()) + size_bytes(value) for name, value in item.items())


def weight_bytes(value: Any, most_bytes: float = math.inf) -> int:
    """Estimate the memory of a plain value; of another one, it may be too little.

    Args:
        value: The value.
        most_bytes: What is heavier is not weighed to its end.
    """
    weight_bytes, waiting = 0, [value]
    while waiting and weight_bytes <= most_bytes:
        current = waiting.pop()
        kind = type(current)
        if kind is str or kind is bytes:
            weight_bytes += len(current) + 48
        elif kind is dict or kind is list:
            weight_bytes += 64
            if weight_bytes + len(current) * 32 > most_bytes:
                return weight_bytes + len(current) * 32
            waiting += current
            waiting += current.values() if kind is dict else ()
        else:
            weight_bytes += 32
    return weight_bytes
