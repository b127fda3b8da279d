"""A sunset over the harbour, as a PNG made of nothing but arithmetic."""

from __future__ import annotations

import math
import struct
import zlib
from typing import Final

Color = tuple[float, float, float]

WIDTH: Final = 600
HEIGHT: Final = 375
_HORIZON: Final = 225
_SUN_X: Final = 400
_SUN_Y: Final = 188
_SUN_RADIUS: Final = 42
_NIGHT: Final[Color] = (38, 44, 92)
_DUSK: Final[Color] = (250, 150, 96)
_SUN: Final[Color] = (255, 236, 170)
_DEEP: Final[Color] = (14, 30, 58)


def sunset() -> bytes:
    """Return the picture. It takes some tenths of a second, so call it off the event loop."""
    rows = b"".join(b"\x00" + _row(y) for y in range(HEIGHT))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _row(y: int) -> bytes:
    pixel = _sky if y < _HORIZON else _sea
    return bytes(int(value) for x in range(WIDTH) for value in pixel(x, y))


def _sky(x: int, y: int) -> Color:
    distance = math.hypot(x - _SUN_X, y - _SUN_Y)
    if distance < _SUN_RADIUS:
        return _SUN
    glow = math.exp(-(distance - _SUN_RADIUS) / 75)
    return _mixed(_mixed(_NIGHT, _DUSK, y / _HORIZON), _SUN, glow * 0.8)


def _sea(x: int, y: int) -> Color:
    depth = (y - _HORIZON) / (HEIGHT - _HORIZON)
    wave = math.sin(x / (11 + 32 * depth) + 9 * math.sin(y / 6)) * 0.5 + 0.5
    glitter = wave * math.exp(-abs(x - _SUN_X) / (22 + 112 * depth))
    return _mixed(_mixed(_DUSK, _DEEP, min(1, depth * 1.6 + 0.25)), _SUN, glitter * 0.75)


def _mixed(first: Color, second: Color, share: float) -> Color:
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue
