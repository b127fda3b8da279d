"""The week at the harbour, as a PDF of one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chainlit_dynamodb.demo.weather import highs

_WIDTH: Final = 595
_HEIGHT: Final = 470
_LEFT: Final = 84
_BASE: Final = 70
_STEP: Final = 62
_POINTS_PER_DEGREE: Final = 12


def week_report() -> bytes:
    """Return the report."""
    return _document(_page())


def _page() -> bytes:
    drawing = ["0.18 0.44 0.56 rg"]
    for number, (day, high) in enumerate(highs().items()):
        drawing += _bar(_LEFT + number * _STEP, day, high)
    drawing += _text(_LEFT, _HEIGHT - 60, 26, "The week at the harbour")
    drawing += _text(_LEFT, _HEIGHT - 86, 13, "Highest temperature of each day, in degrees Celsius.")
    drawing += _text(_LEFT, 24, 10, "Made by the demo of chainlit-dynamodb, from no one's sensor.")
    return "\n".join(drawing).encode("latin-1")


def _bar(x: int, day: str, high: float) -> list[str]:
    height = high * _POINTS_PER_DEGREE
    return [
        f"{x} {_BASE} 40 {height:.0f} re f",
        *_text(x + 6, _BASE - 18, 12, day[:3]),
        *_text(x + 8, _BASE + height + 6, 10, f"{high:g}"),
    ]


def _text(x: float, y: float, size: int, text: str) -> list[str]:
    return [f"BT /F1 {size} Tf {x:.0f} {y:.0f} Td ({text}) Tj ET"]


def _document(page: bytes) -> bytes:
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>" % (_WIDTH, _HEIGHT),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(page), page),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    body = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    return bytes(body) + _cross_reference(offsets, len(body))


def _cross_reference(offsets: Sequence[int], start: int) -> bytes:
    count = len(offsets) + 1
    table = b"xref\n0 %d\n0000000000 65535 f \n" % count
    table += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return table + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, start)
