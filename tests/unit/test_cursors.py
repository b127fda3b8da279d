"""A cursor is good for the listing it came from, and for nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from chainlit_dynamodb.chat.cursors import Position, decode_cursor, encode_cursor
from chainlit_dynamodb.errors import CursorError

ids = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1, max_size=20)
positions = st.builds(Position, ids.map(lambda text: "TS#" + text), ids)
PLACE = Position("TS#2026-11-01T10:00:00.000000Z", "thread")


@given(positions, st.text(st.characters(exclude_categories=["Cs"])))
def test_a_cursor_leads_back_to_its_place(position: Position, scope: str) -> None:
    assert decode_cursor(encode_cursor(position, scope), scope) == position


@given(positions, ids)
def test_a_cursor_needs_no_quoting_in_a_url(position: Position, scope: str) -> None:
    assert set(encode_cursor(position, scope)) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )


@given(positions, ids, ids)
def test_a_cursor_of_another_listing_is_refused(position: Position, scope: str, other: str) -> None:
    assume(scope != other)
    with pytest.raises(CursorError):
        decode_cursor(encode_cursor(position, scope), other)


@given(positions, st.data())
def test_an_altered_cursor_is_refused(position: Position, data: st.DataObject) -> None:
    cursor = encode_cursor(position, "alice")
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CursorError):
        decode_cursor(base64.urlsafe_b64encode(raw).decode(), "alice")


@given(positions, st.data())
def test_a_cut_cursor_is_refused(position: Position, data: st.DataObject) -> None:
    cursor = encode_cursor(position, "alice")
    with pytest.raises(CursorError):
        decode_cursor(cursor[: data.draw(st.integers(0, len(cursor) - 2))], "alice")


@example("")
@example("null")
@example("é")
@example("\ud800")
@example("=" * 50)
@given(st.text())
def test_garbage_is_refused(garbage: str) -> None:
    with pytest.raises(CursorError):
        decode_cursor(garbage, "alice")


def _forged(content: bytes, scope: str = "alice") -> str:
    """Give a cursor as somebody makes it who has read the source."""
    digest = hashlib.blake2b(content + b"\0" + scope.encode(), digest_size=12).digest()
    return base64.urlsafe_b64encode(digest + content).decode().rstrip("=")


def test_the_forgery_of_this_test_is_a_good_one() -> None:
    assert decode_cursor(_forged(json.dumps(list(PLACE)).encode()), "alice") == PLACE


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        {"a": 1, "b": 2},
        [],
        ["TS#1"],
        ["TS#1", "a", "b"],
        [1, 2],
        ["TS#1", None],
        "ab",
        ["", "thread"],
        ["TS#1", ""],
        ["TS#1", "a\u0000b"],
        ["TS#1", "\ud800"],
        ["\ud800", "thread"],
        ["TS#1", "x" * 3_000],
        ["x" * 3_000, "thread"],
    ],
)
def test_a_forged_cursor_to_a_place_that_cannot_be_is_refused(content: Any) -> None:
    with pytest.raises(CursorError):
        decode_cursor(_forged(json.dumps(content).encode()), "alice")


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000])
def test_a_forged_cursor_that_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(CursorError):
        decode_cursor(_forged(content), "alice")
