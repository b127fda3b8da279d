"""Merging two changes does what both do in turn: the law that lets writes wait and become one."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainlit_dynamodb.chat.changes import ElementChange, StepChange, ThreadChange
from chainlit_dynamodb.dynamodb.expressions import Update

values = st.none() | st.integers(0, 3)
fields = st.dictionaries(st.sampled_from("abc"), values, max_size=3)
rows = st.dictionaries(st.sampled_from("abc"), values, max_size=3)
upserts = st.builds(StepChange, default=fields, assign=fields)


def applied(row: dict[str, Any], update: Update) -> dict[str, Any]:
    """Give what an update makes of a row; `None` is a value like others here, as in the table."""
    result = {**{name: value for name, value in update.default.items() if name not in row}, **row}
    result = {**result, **update.assign}
    return {name: value for name, value in result.items() if name not in set(update.remove)}


@example([StepChange({"a": None}, {}), StepChange({"a": 1}, {})], {})
@example([StepChange({}, {"a": None}), StepChange({"a": 1}, {})], {})
@given(st.lists(upserts, min_size=1, max_size=5), rows)
def test_merged_upserts_do_what_they_do_in_turn(changes: list[StepChange], row: dict[str, Any]) -> None:
    in_turn = reduce(lambda r, change: applied(r, change.update()), changes, row)
    merged = reduce(StepChange.then, changes)
    assert applied(row, merged.update()) == in_turn


@given(upserts, upserts, upserts)
def test_it_does_not_matter_which_two_upserts_merge_first(
    first: StepChange, second: StepChange, third: StepChange
) -> None:
    left, right = first.then(second).then(third).update(), first.then(second.then(third)).update()
    assert (left.assign, left.default) == (right.assign, right.default)


@given(upserts)
def test_an_update_never_names_a_field_twice(upsert: StepChange) -> None:
    update = upsert.update()
    assert not set(update.assign) & set(update.default)


@given(fields, fields)
def test_create_and_update_end_alike_in_either_order(created: dict[str, Any], updated: dict[str, Any]) -> None:
    create, update = StepChange(created, {}), StepChange({}, updated)
    one_way = applied(applied({}, create.update()), update.update())
    other_way = applied(applied({}, update.update()), create.update())
    assert one_way == other_way


@given(upserts, upserts)
def test_merging_changes_neither(first: StepChange, second: StepChange) -> None:
    copies = [(dict(u.default), dict(u.assign)) for u in (first, second)]
    first.then(second)
    assert [(u.default, u.assign) for u in (first, second)] == copies


def test_fifty_updates_end_in_the_last_one() -> None:
    changes = [StepChange({}, {"output": "x" * n, f"field{n}": n}) for n in range(50)]
    assert reduce(StepChange.then, changes).assign == {**{f"field{n}": n for n in range(50)}, "output": "x" * 49}


step_changes = upserts | st.just(StepChange(deletes=True))
element_changes = st.builds(ElementChange, assign=fields) | st.just(ElementChange(deletes=True))


@given(st.lists(step_changes, min_size=1, max_size=5))
def test_a_deletion_of_a_step_wins_over_all_that_is_merged_with_it(changes: list[StepChange]) -> None:
    assert reduce(StepChange.then, changes).deletes is any(change.deletes for change in changes)


@given(st.lists(element_changes, min_size=1, max_size=5))
def test_merged_changes_of_an_element_do_what_they_do_in_turn(changes: list[ElementChange]) -> None:
    merged = reduce(ElementChange.then, changes)
    assert merged.deletes is any(change.deletes for change in changes)
    if not merged.deletes:
        assert merged.assign == {name: value for change in changes for name, value in change.assign.items()}


@given(element_changes, element_changes, element_changes)
def test_it_does_not_matter_which_two_changes_of_an_element_merge_first(
    first: ElementChange, second: ElementChange, third: ElementChange
) -> None:
    assert first.then(second).then(third) == first.then(second.then(third))


# Threads. The model is `thread_update` as the table does it: a row, or no row.

Row = dict[str, Any]
patches = st.none() | st.dictionaries(st.sampled_from("xyz"), values, max_size=3)
assigns = st.dictionaries(st.sampled_from(["name", "tags"]), values, max_size=2)


@st.composite
def _changes(draw: st.DrawFn) -> list[ThreadChange]:
    """Changes in the order in which they were asked for, which is that of their times."""
    count = draw(st.integers(1, 5))
    return [
        ThreadChange(
            draw(assigns), draw(patches), draw(st.sampled_from([None, f"time{number + 1}"])), draw(st.booleans())
        )
        for number in range(count)
    ]


def _stored(row: Row | None, change: ThreadChange) -> Row | None:
    if row is None and not change.creates:
        return None
    result = {**(row or {}), **change.assign}
    result = {name: value for name, value in result.items() if value is not None}
    if change.metadata is not None:
        entries = {**result.get("metadata", {}), **change.metadata}
        result["metadata"] = {name: value for name, value in entries.items() if value is not None}
    if change.activity:
        result["activity"] = max(change.activity, result.get("activity", ""))
    return result


existing = st.fixed_dictionaries({"activity": st.just("time0")}, optional={"name": st.integers(0, 3)})


@given(_changes(), existing)
def test_merged_changes_of_a_thread_do_what_they_do_in_turn(changes: list[ThreadChange], row: Row | None) -> None:
    in_turn = reduce(_stored, changes, row)
    assert _stored(row, reduce(ThreadChange.then, changes)) == in_turn


@given(_changes())
def test_merged_changes_that_begin_a_thread_do_what_they_do_in_turn(changes: list[ThreadChange]) -> None:
    first = changes[0]
    changes[0] = ThreadChange(first.assign, first.metadata, first.activity, creates=True)
    in_turn = reduce(_stored, changes, None)
    assert _stored(None, reduce(ThreadChange.then, changes)) == in_turn


@given(_changes())
def test_a_merged_change_makes_a_thread_only_if_one_of_them_does(changes: list[ThreadChange]) -> None:
    merged = reduce(ThreadChange.then, changes)
    assert (_stored(None, merged) is not None) is any(change.creates for change in changes)


@given(_changes())
def test_what_comes_just_before_the_thread_is_made_is_kept_not_lost(changes: list[ThreadChange]) -> None:
    in_turn = reduce(_stored, changes, None) or {}
    merged = _stored(None, reduce(ThreadChange.then, changes)) or {}
    assert set(in_turn) <= set(merged)


@given(_changes(), _changes(), _changes())
def test_it_does_not_matter_which_changes_of_a_thread_merge_first(
    one: list[ThreadChange], two: list[ThreadChange], three: list[ThreadChange]
) -> None:
    first, second, third = (reduce(ThreadChange.then, group) for group in (one, two, three))
    assert first.then(second).then(third) == first.then(second.then(third))


@pytest.mark.parametrize("change", [StepChange({}, {}), ThreadChange()])
def test_an_empty_change_weighs_next_to_nothing(change: StepChange | ThreadChange) -> None:
    assert change.size_bytes < 200


@given(upserts)
def test_a_change_weighs_at_least_its_text(upsert: StepChange) -> None:
    heavy = upsert.then(StepChange({}, {"output": "x" * 1_000}))
    assert heavy.size_bytes > 1_000


# Changes arrive in any order: Chainlit holds some of them back. Their stamps say in which order they were asked for.
# A merged change has one stamp, so this holds for two changes, and for any number of whole ones, as Chainlit's are.

whole = st.fixed_dictionaries(dict.fromkeys("abc", values))
whole_steps = st.builds(StepChange, assign=whole) | st.just(StepChange(deletes=True))
whole_elements = st.builds(ElementChange, assign=whole) | st.just(ElementChange(deletes=True))


def _stamped(changes: list[Any]) -> list[Any]:
    return [replace(change, stamp=f"{number:04d}") for number, change in enumerate(changes)]


def _in_any_order(changes: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[tuple[list[Any], list[Any]]]:
    asked = st.lists(changes, min_size=1, max_size=most).map(_stamped)
    return asked.flatmap(lambda some: st.tuples(st.just(some), st.permutations(some)))


@given(_in_any_order(step_changes, 2) | _in_any_order(whole_steps, 5), rows)
def test_merged_changes_of_a_step_do_what_was_asked_for_in_turn_however_they_arrive(
    orders: tuple[list[StepChange], list[StepChange]], row: dict[str, Any]
) -> None:
    asked, arrived = (reduce(StepChange.then, order) for order in orders)
    assert (arrived.deletes, arrived.stamp) == (asked.deletes, asked.stamp)
    assert applied(row, arrived.update()) == applied(row, asked.update())


@given(_in_any_order(element_changes, 2) | _in_any_order(whole_elements, 5))
def test_merged_changes_of_an_element_do_what_was_asked_for_in_turn_however_they_arrive(
    orders: tuple[list[ElementChange], list[ElementChange]],
) -> None:
    asked, arrived = (reduce(ElementChange.then, order) for order in orders)
    assert arrived == asked


@given(_in_any_order(st.builds(ElementChange, assign=fields), 5))
def test_an_element_has_the_place_of_its_first_call(orders: tuple[list[ElementChange], list[ElementChange]]) -> None:
    placed = [replace(change, order=change.stamp) for change in orders[1]]
    assert reduce(ElementChange.then, placed).order == "0000"


@given(_changes())
def test_a_merged_change_of_a_thread_has_the_latest_stamp(changes: list[ThreadChange]) -> None:
    some = _stamped(changes)
    assert reduce(ThreadChange.then, some).stamp == some[-1].stamp
