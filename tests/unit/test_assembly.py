"""Whatever rows a thread has, each step and element is shown once, parents first, and nothing raises."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlit_dynamodb import schema
from chainlit_dynamodb.chat.assembly import assemble, in_order
from chainlit_dynamodb.chat.presentation import public_step
from chainlit_dynamodb.dynamodb.codec import plain
from tests.unit.values import anything

TIMES = [f"2026-11-01T10:00:{second:02d}.000000Z" for second in range(6)]
THREAD = {**schema.thread_key("t").attributes(), "name": "Harbour", "createdAt": TIMES[0]}


def step(step_id: str, parent_id: str | None = None, second: int = 0) -> Any:
    """Give a step as `in_order` takes it."""
    return {"id": step_id, "parentId": parent_id, "createdAt": TIMES[second]}


def row(step_id: str, **fields: Any) -> dict[str, Any]:
    """Give a step's row."""
    return {**schema.step_key("t", step_id).attributes(), "createdAt": TIMES[1], "type": "tool", **fields}


@st.composite
def _steps(draw: st.DrawFn) -> list[Any]:
    ids = draw(st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=10))
    parents = st.none() | st.sampled_from("abcdefghijxyz")
    return [step(step_id, draw(parents), draw(st.integers(0, 5))) for step_id in ids]


def copies(steps: list[Any]) -> list[Any]:
    """Give steps that may be changed."""
    return [dict(each) for each in steps]


def _ids(steps: list[Any]) -> list[str]:
    return [each["id"] for each in steps]


@given(_steps())
def test_every_step_appears_exactly_once(steps: list[Any]) -> None:
    assert sorted(_ids(in_order(copies(steps)))) == sorted(_ids(steps))


@given(_steps())
def test_parents_come_before_their_children(steps: list[Any]) -> None:
    seen: set[str] = set()
    for each in in_order(steps):
        assert each["parentId"] is None or each["parentId"] in seen
        seen.add(each["id"])


@given(_steps())
def test_a_step_keeps_its_parent_or_becomes_a_root(steps: list[Any]) -> None:
    parents = {each["id"]: each["parentId"] for each in steps}
    for each in in_order(copies(steps)):
        assert each["parentId"] in (None, parents[each["id"]])


@given(_steps())
def test_a_step_whose_ancestors_are_all_there_keeps_its_parent(steps: list[Any]) -> None:
    parents = {each["id"]: each["parentId"] for each in steps}

    def is_rooted(step_id: str | None) -> bool:
        path: list[str] = []
        while step_id is not None and step_id in parents and step_id not in path:
            path.append(step_id)
            step_id = parents[step_id]
        return step_id is None

    for each in in_order(copies(steps)):
        if is_rooted(each["id"]):
            assert each["parentId"] == parents[each["id"]]


@given(_steps())
def test_roots_are_in_order_of_time(steps: list[Any]) -> None:
    ids = set(_ids(steps))
    shown = in_order(copies(steps))
    roots = [each for each in shown if not any(s["id"] == each["id"] and s["parentId"] in ids for s in steps)]
    assert [root["createdAt"] for root in roots] == sorted(root["createdAt"] for root in roots)


@given(_steps(), st.randoms())
def test_the_order_of_the_rows_does_not_matter_where_times_differ(steps: list[Any], random: Any) -> None:
    for second, each in enumerate(steps):
        each["createdAt"] = f"2026-11-01T10:00:{second:02d}.000000Z"
    shuffled = copies(steps)
    random.shuffle(shuffled)
    assert in_order(shuffled) == in_order(copies(steps))


def test_orphans_become_roots() -> None:
    assert in_order([step("a", "gone")]) == [step("a")]


def test_a_child_that_is_older_than_its_parent_comes_behind_it() -> None:
    assert _ids(in_order([step("child", "parent", 0), step("parent", None, 3), step("later", None, 4)])) == [
        "parent",
        "child",
        "later",
    ]


@pytest.mark.parametrize(
    "steps",
    [
        [step("a", "a")],
        [step("a", "b"), step("b", "a")],
        [step("a", "b"), step("b", "c"), step("c", "a"), step("d", "a"), step("e")],
    ],
)
def test_steps_in_a_cycle_survive(steps: list[Any]) -> None:
    shown = in_order(copies(steps))
    assert sorted(_ids(shown)) == sorted(_ids(steps))
    assert any(each["parentId"] is None for each in shown)


def test_a_chain_of_thousands_is_no_problem() -> None:
    steps = [step(str(n), str(n - 1) if n else None, 5 - n % 6) for n in range(5_000)]
    assert _ids(in_order(steps)) == [str(n) for n in range(5_000)]


_STEP_NAMES = "createdAt type id name output parentId metadata feedback start end tags forId extra"
_OTHER_NAMES = "UserThreadPK UserThreadSK _stepIds _feedbackComment deletedAt url objectKey userId"
names = st.sampled_from([*_STEP_NAMES.split(), *_OTHER_NAMES.split()])
sort_keys = st.one_of(
    st.sampled_from(["THREAD", "STEP#a", "STEP#b", "STEP#", "ELEMENT#a", "ELEMENT#", "FEEDBACK#0", "", "OTHER#x"]),
    st.text(max_size=5),
)
junk_rows = st.lists(
    st.tuples(sort_keys, st.dictionaries(names, anything.map(plain), max_size=5)).map(
        lambda parts: {**parts[1], "PK": "THREAD#t", "SK": parts[0]}
    ),
    max_size=6,
)


@given(junk_rows)
def test_no_junk_raises_and_what_comes_out_is_json_without_anything_internal(rows: list[Any]) -> None:
    transcript = assemble([*rows, THREAD])
    assert transcript is not None
    for shown in (transcript.thread, *transcript.steps, *transcript.elements):
        json.dumps(shown, allow_nan=False, ensure_ascii=False).encode()
        assert not any(schema.is_own_attribute(name) for name in shown)


@given(junk_rows)
def test_a_thread_of_junk_is_a_thread_or_none(rows: list[Any]) -> None:
    transcript = assemble(rows)
    has_row = any(each["SK"] == "THREAD" for each in rows)
    assert transcript is None or has_row


@given(junk_rows)
def test_every_shown_step_has_the_fields_chainlit_relies_on(rows: list[Any]) -> None:
    transcript = assemble([*rows, THREAD])
    assert transcript is not None
    for each in transcript.steps:
        assert isinstance(each["id"], str)
        assert isinstance(each["type"], str)
        assert isinstance(each["name"], str)
        assert isinstance(each["output"], str)
        assert isinstance(each["createdAt"], str)
        assert isinstance(each["metadata"], dict)
        assert each["parentId"] is None or isinstance(each["parentId"], str)
        assert "feedback" not in each or each["feedback"]["value"] in (0, 1)


def test_malformed_rows_are_skipped_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    rows = [THREAD, row("good"), row("no time", createdAt="soon"), row("no type", type=None)]
    rows.append({**schema.element_key("t", "e").attributes(), "name": 7})
    with caplog.at_level(logging.WARNING, "chainlit.DynamoDB"):
        transcript = assemble(rows)
    assert transcript is not None
    assert _ids(transcript.steps) == ["good"]
    assert transcript.elements == []
    (record,) = caplog.records
    assert "3 malformed rows" in record.getMessage()


@pytest.mark.parametrize("rows", [[], [row("a")], [{**THREAD, "deletedAt": TIMES[0]}, row("a")]])
def test_without_a_living_thread_there_is_nothing(rows: list[Any]) -> None:
    assert assemble(rows) is None


def test_a_favorite_is_marked_by_its_place_on_the_index_alone() -> None:
    listed = public_step(row("a", metadata={"x": 1}, UserThreadPK="FAVORITE#alice"))
    unlisted = public_step(row("a", metadata={"x": 1}))
    assert listed is not None
    assert unlisted is not None
    assert listed["metadata"] == {"x": 1, "favorite": True}
    assert unlisted["metadata"] == {"x": 1}


def test_fields_of_future_versions_pass_through_and_empty_ones_do_not() -> None:
    shown: Any = public_step(row("a", brandNew={"x": [1]}, end=None))
    assert shown is not None
    assert shown["brandNew"] == {"x": [1]}
    assert "end" not in shown
