"""Values in a binary attribute: what DynamoDB has no form for, is smaller compressed, lies elsewhere, or is sealed.

A packed value is `magic, flags, raw length, content`. The content is UTF-8 text for strings and JSON for everything
else, compressed or not; or, if the value is split over other items, a note of where it is. A sealed value is `magic,
id of its key, ciphertext`; see `rows.cipher` for what is inside.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

UNREADABLE: Final = "[This value could not be read.]"
"""Stands where a stored value is damaged or incomplete."""

MAX_INFLATED_BYTES: Final = 64 * 1024 * 1024
"""What takes more memory is never compressed, so a compressed value that does was not stored by this layer."""

_MAGIC: Final = b"\x00cdb"
_SEALED_MAGIC: Final = b"\x00cds"
KEY_ID_BYTES: Final = 4
_HEADER: Final = struct.Struct(">4sBQ")
_NOTE: Final = struct.Struct(">16sI16s")
PLAIN_BYTES: Final = b"\x01"
"""In front of bytes that are to stay bytes, so that they are not taken for a value, whatever they begin with."""
_MAX_PARTS: Final = 100_000
"""As many as part numbers have room for."""
_OBJECTS_PER_JSON: Final = 4
_IS_JSON: Final = 1
_IS_COMPRESSED: Final = 2
_IS_SPLIT: Final = 4


@dataclass(frozen=True)
class Packed:
    """A value as bytes.

    Attributes:
        flags: How to read the content.
        raw_bytes: The length of the text or JSON.
        content: The bytes.
    """

    flags: int
    raw_bytes: int
    content: bytes

    def data(self) -> bytes:
        """Return it as the bytes of a binary attribute."""
        return _HEADER.pack(_MAGIC, self.flags, self.raw_bytes) + self.content

    def attribute(self) -> dict[str, Any]:
        """Return it as an AttributeValue."""
        return {"B": base64.b64encode(self.data()).decode()}

    @property
    def inflated_bytes(self) -> int:
        """The memory that decompressing it takes, roughly: JSON becomes many objects."""
        if not self.flags & _IS_COMPRESSED:
            return 0
        return self.raw_bytes * (_OBJECTS_PER_JSON if self.flags & _IS_JSON else 1)

    def unpack(self) -> Any:
        """Return the value, or `UNREADABLE`. May take a while for large values."""
        if self.inflated_bytes > MAX_INFLATED_BYTES:
            return UNREADABLE
        try:
            text = _inflate(self.content, self.raw_bytes) if self.flags & _IS_COMPRESSED else self.content
            return json.loads(text, parse_constant=_refuse) if self.flags & _IS_JSON else text.decode()
        except (zlib.error, ValueError, OverflowError, RecursionError):
            return UNREADABLE


@dataclass(frozen=True)
class Split:
    """A note of where the content of a packed value lies.

    Attributes:
        flags: How to read the content.
        raw_bytes: The length of the text or JSON.
        generation: Tells the parts of this value from those of its predecessors.
        count: How many parts there are.
        digest: Of the whole content.
    """

    flags: int
    raw_bytes: int
    generation: str
    count: int
    digest: bytes

    def data(self) -> bytes:
        """Return it as the bytes of a binary attribute."""
        note = _NOTE.pack(self.generation.encode(), self.count, self.digest)
        return Packed(self.flags | _IS_SPLIT, self.raw_bytes, note).data()

    def attribute(self) -> dict[str, Any]:
        """Return it as an AttributeValue."""
        return {"B": base64.b64encode(self.data()).decode()}

    def join(self, parts: list[bytes]) -> Packed | None:
        """Put the parts together, or return `None` if they are not what was split."""
        content = b"".join(parts)
        if len(parts) != self.count or _digest(content) != self.digest:
            return None
        return Packed(self.flags, self.raw_bytes, content)


@dataclass(frozen=True)
class Sealed:
    """A value that only its key opens.

    Attributes:
        key_id: Tells the key from its predecessors and successors.
        content: The ciphertext.
    """

    key_id: bytes
    content: bytes

    def attribute(self) -> dict[str, Any]:
        """Return it as an AttributeValue."""
        return {"B": base64.b64encode(_SEALED_MAGIC + self.key_id + self.content).decode()}


def pack(value: Any, *, compress: bool) -> Packed:
    """Turn a plain value into bytes. May take a while for large values."""
    is_text = isinstance(value, str)
    raw = value.encode() if is_text else _json(value)
    flags = 0 if is_text else _IS_JSON
    if not compress or Packed(flags | _IS_COMPRESSED, len(raw), b"").inflated_bytes > MAX_INFLATED_BYTES:
        return Packed(flags, len(raw), raw)
    return Packed(flags | _IS_COMPRESSED, len(raw), zlib.compress(raw))


def split(packed: Packed, generation: str, part_bytes: int) -> tuple[Split, list[bytes]]:
    """Cut a packed value into parts.

    Args:
        packed: The value.
        generation: 16 ASCII characters nobody used before.
        part_bytes: How long a part may be.
    """
    content = packed.content
    parts = [content[at : at + part_bytes] for at in range(0, len(content), part_bytes)]
    return Split(packed.flags, packed.raw_bytes, generation, len(parts), _digest(content)), parts


def read(data: bytes) -> Packed | Split | Sealed | None:
    """Read the bytes of a binary attribute; `None` if they are no value of this kind."""
    if data.startswith(_SEALED_MAGIC):
        content_at = len(_SEALED_MAGIC) + KEY_ID_BYTES
        return Sealed(data[len(_SEALED_MAGIC) : content_at], data[content_at:])
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        return None
    _, flags, raw_bytes = _HEADER.unpack_from(data)
    content = data[_HEADER.size :]
    if not flags & _IS_SPLIT:
        return Packed(flags, raw_bytes, content)
    if len(content) == _NOTE.size:
        generation, count, digest = _NOTE.unpack(content)
        if generation.isascii() and count <= _MAX_PARTS:
            return Split(flags & ~_IS_SPLIT, raw_bytes, generation.decode(), count, digest)
    return Packed(_IS_JSON, 0, b"")  # damaged: unpacks to UNREADABLE


def read_attribute(text: str) -> Packed | Split | Sealed | None:
    """Read the base64 text of a binary attribute; `None` if it is no value of this kind."""
    try:
        return read(base64.b64decode(text, validate=True))
    except ValueError:
        return None


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _inflate(content: bytes, raw_bytes: int) -> bytes:
    """Decompress, but never more than was announced."""
    inflater = zlib.decompressobj()
    raw = inflater.decompress(content, raw_bytes + 1)
    if len(raw) != raw_bytes or not inflater.eof:
        raise ValueError("the length is not what it should be")
    return raw


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
