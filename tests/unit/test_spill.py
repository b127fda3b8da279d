"""What waits on disk comes back as it was, and the file does not grow for ever."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chainlit_dynamodb.chat.spill import Place, Spill

KB = 1024


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=9000)), max_size=30))
def test_every_value_comes_back_whatever_is_put_and_taken_meanwhile(turns: list[tuple[int, bytes]]) -> None:
    spill, places = Spill(), dict[int, tuple[Place, Any]]()
    for slot, value in turns:
        if slot in places:
            place, expected = places.pop(slot)
            assert spill.take(place) == expected
        else:
            places[slot] = spill.put(value), value
    for place, expected in places.values():
        assert spill.take(place) == expected
    spill.clear()


def test_a_value_that_is_put_again_and_again_needs_the_room_of_two() -> None:
    spill = Spill()
    place = spill.put(b"")
    for size_kb in range(200):
        spill.take(place)
        place = spill.put(bytes(size_kb * KB))
    assert spill.size_bytes < 4 * 200 * KB
    spill.clear()


def test_what_is_dropped_gives_its_room_back() -> None:
    spill = Spill()
    for _ in range(50):
        spill.drop(spill.put(bytes(100 * KB)))
    assert spill.size_bytes < 200 * KB
    spill.clear()
