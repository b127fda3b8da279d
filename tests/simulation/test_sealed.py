"""Stories of many servers and faults, told with a cipher: every invariant holds as it does without."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from chainlit_dynamodb import DynamoDBDataLayer
from chainlit_dynamodb.ciphers.aes import AesKey
from chainlit_dynamodb.dynamodb.codec import Item, decode_item
from chainlit_dynamodb.rows.cipher import _open
from chainlit_dynamodb.rows.keys import _opened, _provided
from chainlit_dynamodb.schema import NOBODYS_PK, USER_ID, WRAPPED_KEY, is_user_pk, parse_user_pk, wrapped_key_key
from chainlit_dynamodb.testing.simulation import processes, story
from chainlit_dynamodb.testing.simulation.campaign import one

STORIES = 60
MASTER = AesKey(b"m" * 32)
Rows = Mapping[tuple[str, str], Any]


class SimulatedKeys:
    """A provider that answers at once."""

    key_table = None

    async def new_key(self, owner: str) -> tuple[bytes, bytes]:
        key = AesKey.new()
        return key.secret, MASTER.seal(key.secret, owner.encode())

    async def unwrap(self, wrapped: bytes, owner: str) -> bytes:
        return unwrapped(wrapped, owner)

    async def rewrap(self, wrapped: bytes, owner: str) -> bytes:
        return MASTER.seal(unwrapped(wrapped, owner), owner.encode())

    async def close(self) -> None:
        """There is nothing to let go of."""


def unwrapped(wrapped: bytes, owner: str) -> bytes:
    secret = MASTER.open(wrapped, owner.encode())
    assert secret is not None
    return secret


def key_of(rows: Mapping[tuple[str, str], Item], pk: str) -> AesKey | None:
    """Find the key of a partition as a reader does who has the master key."""
    record = rows.get(wrapped_key_key(pk))
    if record is None:
        return None
    if is_user_pk(pk):
        return AesKey(unwrapped(_provided(pk, record), parse_user_pk(pk)))
    wrapping = key_of(rows, NOBODYS_PK + record[USER_ID])
    assert wrapping is not None
    return _opened(pk, wrapping, record[WRAPPED_KEY])


def opened(raw: Rows) -> dict[tuple[str, str], Item]:
    """Open the whole table, for those who look what is left in it; wrapped keys are left out."""
    rows = {place: decode_item(item) for place, item in raw.items()}
    keys = {pk: key_of(rows, pk) for pk, _ in rows}
    return {place: _open(row, keys[place[0]]).row for place, row in rows.items() if WRAPPED_KEY not in row}


@pytest.fixture(autouse=True)
def _sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "DynamoDBDataLayer", partial(DynamoDBDataLayer, cipher=SimulatedKeys()))
    monkeypatch.setattr(story, "decoded", opened)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files of servers that were killed
def test_sealed_stories_end_well() -> None:
    assert [result for result in map(one, range(STORIES)) if result.invariants] == []
