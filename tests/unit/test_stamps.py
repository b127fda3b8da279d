"""Stamps order the writes of a row, whatever the clocks of the processes say."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainlit_dynamodb.dynamodb.expressions import Placeholders, Update
from chainlit_dynamodb.rows.stamps import Stamps, filling_gaps, not_overtaken, stamped, wall_clock_micros
from chainlit_dynamodb.schema import STAMP

ROW = "the row"
NOW = 1_800_000_000_000_000
readings = st.integers(NOW - 10**10, NOW + 10**10)
"""Hours before and after: clocks differ, and step back."""


@dataclass
class Machine:
    """A process with a clock that can be set."""

    micros: int = NOW
    stamps: Stamps = field(init=False)

    def __post_init__(self) -> None:
        self.stamps = Stamps(lambda: self.micros)


# One process.


@given(st.lists(readings, min_size=2, max_size=20))
def test_each_stamp_is_later_than_all_before_whatever_the_clock_does(clock: list[int]) -> None:
    machine, made = Machine(), []
    for machine.micros in clock:
        made.append(machine.stamps.next())
    assert all(earlier < later for earlier, later in pairwise(made))


def test_a_clock_that_stands_still_makes_different_stamps() -> None:
    machine = Machine()
    assert len({machine.stamps.next() for _ in range(1_000)}) == 1_000


@given(readings, readings)
def test_the_order_of_stamps_is_the_order_of_clocks(one: int, other: int) -> None:
    stamps = [Machine(micros).stamps.next() for micros in (one, other)]
    if one != other:
        assert (stamps[0] < stamps[1]) is (one < other)


def test_two_processes_never_make_the_same_stamp() -> None:
    assert Machine().stamps.next() != Machine().stamps.next()


@given(st.integers(0, 2**55), st.integers(0, 2**55))
def test_text_order_is_time_order_for_two_thousand_years(one: int, other: int) -> None:
    stamps = [Machine(micros).stamps.next()[:14] for micros in (one, other)]
    assert (stamps[0] <= stamps[1]) is (max(one, 1) <= max(other, 1))


def test_the_clock_of_this_machine_is_in_microseconds() -> None:
    assert 1_700_000_000_000_000 < wall_clock_micros() < 2**55


# Two processes.


@given(readings, readings)
def test_a_write_that_takes_over_what_it_saw_is_later(mine: int, theirs: int) -> None:
    here, there = Machine(mine), Machine(theirs)
    own, seen = here.stamps.next(), there.stamps.next()
    later = here.stamps.later_than(seen, own)
    assert later > seen
    assert later > own
    assert here.stamps.next() > later


@given(readings, readings)
def test_a_write_is_not_overtaken_by_another_process(mine: int, theirs: int) -> None:
    here, there = Machine(mine), Machine(theirs)
    assert not here.stamps.is_overtaken(ROW, here.stamps.next(), there.stamps.next())


@given(readings, readings)
def test_a_write_is_overtaken_by_a_later_one_of_its_own_process(first: int, second: int) -> None:
    machine = Machine(first)
    earlier = machine.stamps.next()
    machine.micros = second
    assert machine.stamps.is_overtaken(ROW, earlier, machine.stamps.next())


@given(readings, readings)
def test_a_write_is_not_overtaken_by_one_that_was_asked_for_before_it(mine: int, theirs: int) -> None:
    here, there = Machine(mine), Machine(theirs)
    earlier, newer = here.stamps.next(), here.stamps.next()
    stored = here.stamps.later_than(there.stamps.next(), earlier)  # the earlier one has got a later stamp
    assert stored > newer
    assert not here.stamps.is_overtaken(ROW, newer, stored)
    assert here.stamps.is_overtaken(ROW, earlier, here.stamps.later_than(stored, newer))


@pytest.mark.parametrize("foreign", ["", "zzzzzzzzzzzzzz", "not a stamp at all", "ü" * 22])
def test_a_foreign_stamp_does_no_harm(foreign: str) -> None:
    machine = Machine()
    own = machine.stamps.next()
    assert not machine.stamps.is_overtaken(ROW, own, foreign)
    assert machine.stamps.later_than(foreign, own) > own


# A row, as the table keeps it.


def _execute(row: dict[str, Any], update: Update, stamp: str) -> bool:
    """Do an update on a row as the table does, if its condition holds."""
    if update.assign and row.get(STAMP, "") > stamp:
        return False
    update = stamped(update, stamp)
    for name, value in update.default.items():
        row.setdefault(name, value)
    row.update(update.assign)
    return True


def _write(row: dict[str, Any], machine: Machine, update: Update, stamp: str) -> int:
    """Write as `Rows.update` does, and return the number of requests."""
    for requests in range(1, 5):
        if _execute(row, update, stamp):
            machine.stamps.note_written(ROW, stamp)
            return requests
        if machine.stamps.is_overtaken(ROW, stamp, row[STAMP]):
            update = filling_gaps(update)
        else:
            stamp = machine.stamps.later_than(row[STAMP], stamp)
    raise AssertionError("it goes round and round")


def _clocks() -> st.SearchStrategy[list[tuple[int, int]]]:
    return st.lists(st.tuples(st.integers(0, 2), readings), min_size=1, max_size=12)


@given(_clocks())
def test_of_writes_of_several_processes_in_turn_the_last_one_counts(turns: list[tuple[int, int]]) -> None:
    machines, row = [Machine() for _ in range(3)], dict[str, Any]()
    for number, (who, micros) in enumerate(turns):
        machine = machines[who]
        machine.micros = micros
        assert _write(row, machine, Update(assign={"value": number}), machine.stamps.next()) <= 2
        assert row["value"] == number


@given(_clocks(), st.integers(0, 11))
@example([(0, NOW), (1, NOW - 100), (0, NOW)], 0)
def test_an_attempt_that_is_executed_again_later_changes_nothing(turns: list[tuple[int, int]], which: int) -> None:
    machines, row, sent = [Machine() for _ in range(3)], dict[str, Any](), list[tuple[Update, str]]()
    for number, (who, micros) in enumerate(turns):
        machine, update = machines[who], Update(assign={"value": number})
        machine.micros = micros
        _write(row, machine, update, machine.stamps.next())
        sent.append((update, row[STAMP]))
    before = dict(row)
    _execute(row, *sent[which % len(sent)])
    assert row == before


@given(st.permutations(range(4)), st.lists(readings, min_size=4, max_size=4))
def test_whole_writes_of_one_process_end_in_the_last_call_however_they_arrive(
    arrival: list[int], clock: list[int]
) -> None:
    machine, calls, row = Machine(), list[tuple[Update, str]](), dict[str, Any]()
    for number, machine.micros in enumerate(clock):
        calls.append((Update(assign={"value": number, f"only{number}": True}), machine.stamps.next()))
    for number in arrival:
        assert _write(row, machine, *calls[number]) <= 2
    del row[STAMP]
    assert row == {"value": 3, **{f"only{number}": True for number in range(4)}}


@given(readings, readings)
def test_a_write_that_was_held_back_takes_back_nothing_that_came_after_its_successor(mine: int, theirs: int) -> None:
    here, there, row = Machine(mine), Machine(theirs), dict[str, Any]()
    held_back, successor = here.stamps.next(), here.stamps.next()
    _write(row, here, Update(assign={"value": "successor"}), successor)
    _write(row, there, Update(assign={"value": "elsewhere"}), there.stamps.next())
    _write(row, here, Update(assign={"value": "held back", "gap": 1}), held_back)
    assert (row["value"], row["gap"]) == ("elsewhere", 1)


# Conditions and what is left of an overtaken write.


def test_what_only_fills_gaps_leaves_the_stamp_that_is_there() -> None:
    update = stamped(Update(default={"a": 1}), "s")
    assert (update.default, update.assign) == ({"a": 1, STAMP: "s"}, {})


def test_what_takes_away_is_stamped() -> None:
    assert stamped(Update(remove=["a"]), "s").assign == {STAMP: "s"}


def test_what_is_overtaken_clears_nothing() -> None:
    left = filling_gaps(Update(assign={"a": None, "b": 1}, default={"c": 2}, remove=["d"]))
    assert (dict(left.default), left.assign, tuple(left.remove)) == ({"b": 1, "c": 2}, {}, ())


def test_the_same_write_again_is_not_overtaken() -> None:
    placeholders = Placeholders()
    assert not_overtaken("s")(placeholders) == "(attribute_not_exists(#0)) OR (#0 <= :0)"
    assert placeholders.request()["ExpressionAttributeValues"] == {":0": {"S": "s"}}
