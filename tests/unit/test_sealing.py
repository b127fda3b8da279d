"""What is sealed opens to what it was, at its place alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlit_dynamodb.ciphers.aes import AesKey
from chainlit_dynamodb.dynamodb.codec import decode, encode, plain
from chainlit_dynamodb.dynamodb.packing import Packed, Sealed, Split, pack, split
from chainlit_dynamodb.errors import CipherError
from chainlit_dynamodb.rows.cipher import _contents, _open, _seal, _with, content_of, value_of
from chainlit_dynamodb.rows.keys import place_of
from chainlit_dynamodb.schema import LEFT_OPEN, Key
from tests.unit.values import anything, nested, plain_values

KEY, OTHER_KEY = AesKey(b"k" * 32), AesKey(b"o" * 32)
ROW = Key("THREAD#t", "STEP#s")
texts = st.text(max_size=20)
packed_values = st.builds(pack, plain_values, compress=st.booleans())
split_values = st.builds(lambda packed: split(packed, "g" * 16, 8)[0], packed_values)
raw_bytes = st.binary(max_size=40).map(lambda data: b"\x01" + data)
"""As parts are, so that they are not taken for something else."""
stored_values = st.one_of(anything.map(plain), plain_values, packed_values, split_values, raw_bytes)
"""All that the codec encodes."""


def sealed_row(values: dict[str, Any], key: AesKey = KEY, row: Key = ROW) -> dict[str, Any]:
    """Seal attributes, and take them through the codec as the table does."""
    contents = {path: content_of(value) for path, value in _contents(values)}
    sealed = _with(values, _seal(key, row, contents))
    return {**row.attributes(), **{name: decode(encode(value)) for name, value in sealed.items()}}


def opened(values: dict[str, Any], key: AesKey = KEY, row: Key = ROW) -> dict[str, Any]:
    """Give the attributes of a row as it is opened."""
    found = _open({**values, **row.attributes()}, key).row
    return {name: value for name, value in found.items() if name not in row.attributes()}


@given(stored_values)
def test_what_is_sealed_opens_to_what_the_codec_would_give(value: Any) -> None:
    assert repr(value_of(content_of(value))) == repr(decode(encode(value)))


@pytest.mark.parametrize("value", [nested(100), nested(60, by_dict=True), {"": {"": 1}}, 10**38 - 1, 0.1, "", 0])
def test_odd_values_open_too(value: Any) -> None:
    assert value_of(content_of(value)) == value == opened(sealed_row({"x": value}))["x"]


@given(st.dictionaries(texts.filter(lambda name: name not in ("PK", "SK")), stored_values, max_size=5))
def test_a_sealed_row_opens_to_the_row(values: dict[str, Any]) -> None:
    plain_row = {name: decode(encode(value)) for name, value in values.items()}
    assert repr(opened(sealed_row(values))) == repr(plain_row)


@given(st.dictionaries(st.sampled_from(["id", "value", "comment", "other"]), plain_values, max_size=4))
def test_feedback_is_sealed_but_for_what_conditions_compare(feedback: dict[str, Any]) -> None:
    row = sealed_row({"feedback": feedback})
    assert {name: row["feedback"][name] for name in ("id", "value") if name in feedback} == {
        name: decode(encode(feedback[name])) for name in ("id", "value") if name in feedback
    }
    texts_left = [row["feedback"].get(name) for name in ("comment", "other")]
    assert not any(isinstance(text, str) and text for text in texts_left)
    assert opened(row)["feedback"] == decode(encode(feedback))


@given(st.text(min_size=1, max_size=20).filter(lambda name: name not in LEFT_OPEN), st.text(min_size=1))
def test_every_text_is_sealed_whatever_its_name(name: str, text: str) -> None:
    assert isinstance(sealed_row({name: text})[name], Sealed)


@given(st.binary(), st.binary(), st.integers(min_value=0))
def test_a_changed_bit_is_refused(content: bytes, place: bytes, at: int) -> None:
    sealed = bytearray(KEY.seal(content, place))
    sealed[at // 8 % len(sealed)] ^= 1 << at % 8
    assert KEY.open(bytes(sealed), place) is None


@given(st.binary(), st.binary(), st.binary())
def test_it_opens_at_its_place_alone(content: bytes, place: bytes, other: bytes) -> None:
    assert KEY.open(KEY.seal(content, place), place) == content
    assert KEY.open(KEY.seal(content, place), place + b"\0" + other) is None
    assert OTHER_KEY.open(KEY.seal(content, place), place) is None


@given(st.tuples(texts, texts, texts), st.tuples(texts, texts, texts))
def test_two_places_are_never_the_same(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (place_of(Key(*one[:2]), one[2]) == place_of(Key(*other[:2]), other[2])) is (one == other)


def test_the_same_text_never_seals_to_the_same() -> None:
    assert len({KEY.seal(b"same", b"here") for _ in range(1000)}) == 1000


def test_what_another_key_sealed_is_not_there() -> None:
    row = sealed_row({"output": "text", "type": "tool"}, OTHER_KEY)
    assert _open(row, KEY) == ({**ROW.attributes(), "type": "tool"}, True)
    assert _open(row, None) == ({**ROW.attributes(), "type": "tool"}, True)


def test_a_key_has_32_bytes() -> None:
    with pytest.raises(CipherError, match="32 bytes"):
        AesKey(b"short")


def test_a_key_does_not_show_its_secret() -> None:
    assert "kkk" not in repr(KEY)
    assert b"kk" not in KEY.id


def test_what_is_sealed_has_37_bytes_more() -> None:
    (sealed,) = _seal(KEY, ROW, {("output",): content_of("x" * 100)}).values()
    assert len(encode(sealed)["B"]) * 3 // 4 - 100 in range(37, 40)


def test_packed_and_split_values_stay_what_they_are() -> None:
    large = pack("x" * 100_000, compress=True)
    note = split(large, "g" * 16, 100)[0]
    row = opened(sealed_row({"large": large, "split": note}))
    assert isinstance(row["large"], Packed)
    assert isinstance(row["split"], Split)
    assert (row["large"], row["split"]) == (large, note)
