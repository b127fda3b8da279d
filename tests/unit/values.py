"""Values to test with: what JSON knows, and what Chainlit's users may hand over in its place."""

from __future__ import annotations

import dataclasses
import enum
import pathlib
from collections import OrderedDict, UserDict, deque
from collections.abc import Iterator
from datetime import datetime, tzinfo
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NoReturn

from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict


class Colour(enum.Enum):
    """Plain members."""

    RED = "red"
    NESTED = (1, "two", frozenset({3}))


class Level(enum.IntEnum):
    """Members that are numbers."""

    LOW = 1


class Mood(str, enum.Enum):
    """Members that are text."""

    GOOD = "good"


@dataclasses.dataclass
class Pair:
    """A dataclass."""

    left: Any
    right: Any = None


class Model(BaseModel):
    """A Pydantic model."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    inner: Any = None


class Shout(str):
    """Text with opinions of its own."""

    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no")

    def encode(self, *_: Any, **__: Any) -> NoReturn:
        raise RuntimeError("no")


class Raising:
    """Fails at whatever it is asked."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")

    def __str__(self) -> str:
        raise RuntimeError("str")

    def __len__(self) -> int:
        raise RuntimeError("len")

    def __bool__(self) -> bool:
        raise RuntimeError("bool")

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("iter")

    def model_dump(self) -> NoReturn:
        raise RuntimeError("model_dump")


def _raise(_: object) -> NoReturn:
    raise RuntimeError("class")


RaisingClass = type("RaisingClass", (), {"__class__": property(_raise)})


class RaisingDict(UserDict[str, Any]):
    """A mapping that cannot be read."""

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("iter")


class RaisingList(list[Any]):
    """A list that cannot be read."""

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("iter")


class RaisingZone(tzinfo):
    """A time zone nobody knows."""

    def utcoffset(self, _: datetime | None) -> NoReturn:
        raise RuntimeError("utcoffset")

    dst = tzname = utcoffset


class RaisingEnum(enum.Enum):
    """Members that hide their value."""

    HIDDEN = 1

    @property
    def value(self) -> Any:
        raise RuntimeError("value")


any_text = st.text(st.characters(), max_size=12)
"""With lone surrogates and NULs."""

_AWKWARD = [
    Raising(),
    RaisingClass(),
    RaisingDict(a=1),
    RaisingList([1]),
    RaisingEnum.HIDDEN,
    datetime(2026, 1, 1, tzinfo=RaisingZone()),
    Shout("loud"),
    Raising,
    object(),
    len,
    Ellipsis,
    NotImplemented,
    ValueError("x"),
    (n for n in range(3)),
    Fraction(1, 3),
    Fraction(10**400, 3),
    complex(1, 2),
    pathlib.PurePosixPath("a/\udcff"),
    range(3),
    {}.keys(),
    {1: 2}.values(),
    deque([1, 2]),
    MappingProxyType({"a": 1}),
    OrderedDict(a=1),
    memoryview(b"ab"),
    bytearray(b"ab"),
]


def _awkward_value(number: int) -> Any:
    return _AWKWARD[number]


_awkward = st.integers(0, len(_AWKWARD) - 1).map(_awkward_value)  # sampled_from would print them
_numbers = st.one_of(
    st.integers(),
    st.integers(min_value=-(10**40), max_value=10**40),
    st.sampled_from([10**38, -(10**38), 10**38 - 1, 2**53 + 1]),
    st.integers(4290, 5000).map(lambda digits: 10**digits),  # Python prints up to 4300
    st.floats(),
    st.sampled_from([1e-130, 5e-324, 1e126, -1e300, -0.0]),
    st.decimals(),
    st.sampled_from(["1E+5000", "1E-5000", "sNaN", "-Infinity", "0.1", "1E+400"]).map(Decimal),
    st.fractions(),
    st.complex_numbers(),
)
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    _numbers,
    any_text,
    st.binary(max_size=8),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([*Colour, *Level, *Mood]),
    _awkward,
)
_keys = st.one_of(any_text, st.integers(), st.none(), st.booleans(), st.tuples(st.integers()), st.dates())


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(_keys, inner, max_size=4),
        st.frozensets(st.one_of(any_text, st.integers(), st.none()), max_size=4),
        st.builds(Pair, inner, inner),
        st.builds(Model, inner=inner),
    )


anything = st.recursive(_scalars, _containers, max_leaves=12)
"""Any value of Python."""

plain_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**38) + 1, 10**38 - 1), any_text.filter(str.isprintable)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
"""What comes back from `decode` unchanged."""


def nested(depth: int, *, by_dict: bool = False) -> Any:
    """Give containers, one in the other."""
    value: Any = "core"
    for _ in range(depth):
        value = {"in": value} if by_dict else [value]
    return value
