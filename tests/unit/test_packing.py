"""Values packed into bytes come back, damaged ones are marked, and what others wrote is left alone."""

from __future__ import annotations

import base64
import json
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainlit_dynamodb.dynamodb.codec import MAX_INLINE_BYTES, decode, encode, plain
from chainlit_dynamodb.dynamodb.packing import (
    MAX_INFLATED_BYTES,
    UNREADABLE,
    Packed,
    Split,
    pack,
    read,
    read_attribute,
    split,
)
from tests.unit.values import anything, plain_values

GENERATION = "0123456789abcdef"
JSON, COMPRESSED, SPLIT = 1, 2, 4


def _bytes(packed: Packed | Split) -> bytes:
    return base64.b64decode(packed.attribute()["B"])


@given(anything, st.booleans())
def test_every_plain_value_comes_back(value: Any, compress: bool) -> None:
    copied = plain(value)
    packed = read(_bytes(pack(copied, compress=compress)))
    assert isinstance(packed, Packed)
    assert json.dumps(packed.unpack()) == json.dumps(copied)


@given(plain_values, st.booleans())
def test_the_raw_length_is_that_of_the_text(value: Any, compress: bool) -> None:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert pack(value, compress=compress).raw_bytes == len(text.encode())


@given(st.text(max_size=200), st.integers(1, 50), st.booleans())
def test_a_split_value_comes_back(text: str, part_bytes: int, compress: bool) -> None:
    note, parts = split(pack(text, compress=compress), GENERATION, part_bytes)
    again = read(_bytes(note))
    assert again == note
    assert isinstance(again, Split)
    assert all(len(part) <= part_bytes for part in parts)
    joined = again.join(parts)
    assert joined is not None
    assert joined.unpack() == text


@given(st.binary(min_size=2, max_size=60), st.data())
def test_parts_that_are_not_those_that_were_split_make_nothing(content: bytes, data: st.DataObject) -> None:
    note, parts = split(Packed(0, len(content), content), GENERATION, 7)
    damaged = list(parts)
    at = data.draw(st.integers(0, len(parts) - 1))
    damage = data.draw(st.sampled_from(["missing", "twice", "altered"]))
    if damage == "altered":
        damaged[at] = bytes([damaged[at][0] ^ 1]) + damaged[at][1:]
    else:
        damaged[at : at + 1] = [parts[at]] * (2 if damage == "twice" else 0)
    assert note.join(damaged) is None


@given(plain_values.filter(bool), st.booleans(), st.data())
def test_cut_values_are_marked(value: Any, compress: bool, data: st.DataObject) -> None:
    packed = pack([value], compress=compress)
    cut = Packed(packed.flags, packed.raw_bytes, packed.content[: data.draw(st.integers(0, len(packed.content) - 1))])
    assert cut.unpack() == UNREADABLE


@pytest.mark.parametrize("missing_bytes", [1, 4])
def test_compressed_values_that_lack_their_check_sum_are_marked(missing_bytes: int) -> None:
    packed = pack("x" * 100, compress=True)
    assert Packed(packed.flags, packed.raw_bytes, packed.content[:-missing_bytes]).unpack() == UNREADABLE


@pytest.mark.parametrize(
    ("flags", "content"),
    [
        (0, b"\xff"),
        (JSON, b""),
        (JSON, b"{"),
        (JSON, b"\xff"),
        (JSON, b"NaN"),
        (JSON, b"[-Infinity]"),
        (JSON, b"[" * 100_000),
        (COMPRESSED, b"garbage"),
        (COMPRESSED | JSON, zlib.compress(b"{")),
    ],
)
def test_broken_values_are_marked(flags: int, content: bytes) -> None:
    assert Packed(flags, len(content), content).unpack() == UNREADABLE


@pytest.mark.parametrize("raw_bytes", [0, 9, 11, 2**63 - 1, 2**64 - 1])
def test_a_length_that_lies_is_marked(raw_bytes: int) -> None:
    assert Packed(COMPRESSED, raw_bytes, zlib.compress(b"x" * 10)).unpack() == UNREADABLE


def test_no_more_is_decompressed_than_was_announced() -> None:
    bomb = zlib.compress(b"0" * 10_000_000)
    assert Packed(COMPRESSED, 100, bomb).unpack() == UNREADABLE


@example(b"")
@example(b"\x00cd")
@given(st.binary(max_size=40).filter(lambda data: not data.startswith((b"\x00cdb", b"\x00cds"))))
def test_bytes_of_other_writers_are_not_touched(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert read(data) is None
    assert decode({"B": text}) == text


@example(b"\x04" + bytes(8) + bytes(36))
@example(b"\x04" + bytes(8) + b"\xff" * 36)
@example(b"\x02" + b"\xff" * 8 + zlib.compress(b"x"))
@given(st.binary(min_size=9, max_size=60))
def test_garbage_in_the_form_of_a_packed_value_never_raises(garbage: bytes) -> None:
    value = decode({"B": base64.b64encode(b"\x00cdb" + garbage).decode()})
    value = value.unpack() if isinstance(value, Packed) else value
    if isinstance(value, Split):
        assert value.count < 100_000
        assert value.generation.isascii()
        assert read(_bytes(value)) == value
    else:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize("text", ["%%%", "A", "é"])
def test_text_that_is_no_base64_is_no_packed_value(text: str) -> None:
    assert read_attribute(text) is None


def test_small_packed_values_are_unpacked_while_decoding_and_large_ones_left() -> None:
    small, large = "x" * MAX_INLINE_BYTES, "x" * (MAX_INLINE_BYTES + 1)
    assert decode(encode(pack(small, compress=False))) == small
    assert decode(encode(pack(large, compress=False))) == pack(large, compress=False)


def test_compressed_values_are_left_to_who_knows_how_much_they_may_inflate() -> None:
    assert decode(encode(pack("x" * 100, compress=True))) == pack("x" * 100, compress=True)


def test_a_packed_value_inside_of_another_value_is_bytes() -> None:
    bomb = encode(pack("x" * 1000, compress=True))
    assert decode({"M": {"a": {"L": [bomb]}}}) == {"a": [bomb["B"]]}


@pytest.mark.parametrize("value", ["x" * (MAX_INFLATED_BYTES + 1), ["x" * (MAX_INFLATED_BYTES // 4)]])
def test_what_would_inflate_beyond_the_limit_is_not_compressed_and_comes_back(value: Any) -> None:
    packed = pack(value, compress=True)
    assert packed.inflated_bytes == 0
    assert packed.unpack() == value


@pytest.mark.parametrize(("flags", "raw_bytes"), [(2, MAX_INFLATED_BYTES + 1), (3, MAX_INFLATED_BYTES // 4 + 1)])
def test_a_planted_value_beyond_the_limit_is_not_inflated(flags: int, raw_bytes: int) -> None:
    bomb = Packed(flags, raw_bytes, zlib.compress(b"1" * raw_bytes))
    tracemalloc.start()
    try:
        assert bomb.unpack() == UNREADABLE
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=30))
def test_raw_bytes_reach_the_wire_as_they_are(data: bytes) -> None:
    assert encode(data) == {"B": base64.b64encode(data).decode()}
