"""Every id has its own place, every place leads back to its id, and no id reaches into another's partition."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chainlit_dynamodb import schema
from chainlit_dynamodb.errors import InvalidIdError
from chainlit_dynamodb.schema import Key, TableSpec

_RESERVED = ["USER", "THREAD", "STEP", "ELEMENT", "FEEDBACK", "FAVORITE", "TS", "#", "0", "1", "bob"]
plain_ids = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1, max_size=30)
nasty_ids = st.lists(st.sampled_from(_RESERVED), min_size=1, max_size=6).map("".join)
ids = plain_ids | nasty_ids

TABLE_KEYS: dict[str, Callable[[str], Key]] = {
    "user": schema.user_key,
    "thread": schema.thread_key,
    "step lookup": schema.step_lookup_key,
}
IN_THREAD: dict[str, Callable[[str, str], Key]] = {
    "step": schema.step_key,
    "element": schema.element_key,
    "feedback": lambda thread_id, _: schema.feedback_key(thread_id, 0),
    "positive feedback": lambda thread_id, _: schema.feedback_key(thread_id, 1),
    "thread": lambda thread_id, _: schema.thread_key(thread_id),
}
INDEX_PARTITIONS: dict[str, Callable[[str], str]] = {
    "threads": schema.user_threads_pk,
    "favorites": schema.user_favorites_pk,
    "negative": lambda user_id: schema.user_feedback_pk(user_id, 0),
    "positive": lambda user_id: schema.user_feedback_pk(user_id, 1),
}
ALL_OF_ONE_ID: list[Callable[[str], Any]] = [
    *TABLE_KEYS.values(),
    *INDEX_PARTITIONS.values(),
    schema.thread_pk,
    lambda text: schema.step_key("t", text),
    lambda text: schema.step_key(text, "s"),
    lambda text: schema.element_key("t", text),
    lambda text: schema.element_key(text, "e"),
    lambda text: schema.feedback_key(text, 1),
]


@given(ids)
def test_a_thread_leads_back_to_its_id(thread_id: str) -> None:
    assert schema.parse_thread_pk(schema.thread_pk(thread_id)) == thread_id
    assert schema.parse_thread_pk(schema.thread_key(thread_id).pk) == thread_id


@given(ids, ids)
def test_what_is_in_a_thread_leads_back_to_both_ids(thread_id: str, inner_id: str) -> None:
    step, element = schema.step_key(thread_id, inner_id), schema.element_key(thread_id, inner_id)
    assert schema.parse_thread_pk(step.pk) == schema.parse_thread_pk(element.pk) == thread_id
    assert schema.parse_step_sk(step.sk) == schema.parse_element_sk(element.sk) == inner_id


@given(ids)
def test_a_time_leads_back(text: str) -> None:
    assert schema.parse_activity_sk(schema.activity_sk(text)) == text


@given(ids, ids)
def test_steps_and_elements_are_told_apart(thread_id: str, inner_id: str) -> None:
    step, element = schema.step_key(thread_id, inner_id), schema.element_key(thread_id, inner_id)
    assert schema.is_step_sk(step.sk)
    assert not schema.is_step_sk(element.sk)
    assert schema.is_element_sk(element.sk)
    assert not schema.is_element_sk(step.sk)
    for key in (schema.thread_key(thread_id), schema.feedback_key(thread_id, 0)):
        assert not schema.is_step_sk(key.sk)
        assert not schema.is_element_sk(key.sk)


@given(ids, ids, st.data())
def test_two_places_in_the_table_are_never_one(first: str, second: str, data: st.DataObject) -> None:
    kinds = [data.draw(st.sampled_from(sorted(TABLE_KEYS))) for _ in range(2)]
    assume((kinds[0], first) != (kinds[1], second))
    assert TABLE_KEYS[kinds[0]](first) != TABLE_KEYS[kinds[1]](second)


@given(ids, ids, ids)
def test_two_places_in_a_thread_are_never_one(thread_id: str, first: str, second: str) -> None:
    places = {
        IN_THREAD[kind](thread_id, inner_id) for kind, inner_id in product(["step", "element"], {first, second})
    }
    places |= {schema.thread_key(thread_id), schema.feedback_key(thread_id, 0), schema.feedback_key(thread_id, 1)}
    assert len(places) == 2 * len({first, second}) + 3


@given(ids, ids, st.sampled_from(sorted(IN_THREAD)), ids, ids, st.sampled_from(sorted(IN_THREAD)))
def test_no_id_reaches_into_another_thread(
    thread_id: str, inner_id: str, kind: str, other_thread_id: str, other_id: str, other_kind: str
) -> None:
    assume(thread_id != other_thread_id)
    assert IN_THREAD[kind](thread_id, inner_id).pk != IN_THREAD[other_kind](other_thread_id, other_id).pk


@given(ids, ids, st.sampled_from(sorted(INDEX_PARTITIONS)), st.sampled_from(sorted(INDEX_PARTITIONS)))
def test_no_id_reaches_into_another_users_lists(first: str, second: str, kind: str, other_kind: str) -> None:
    assume((kind, first) != (other_kind, second))
    assert INDEX_PARTITIONS[kind](first) != INDEX_PARTITIONS[other_kind](second)


@pytest.mark.parametrize("user_id", ["bob#FAVORITE", "a#b", "FEEDBACK#1#bob", "USER#bob", "#", "0#bob"])
def test_ids_that_look_like_keys_stay_in_their_own_partition(user_id: str) -> None:
    mine = {partition(user_id) for partition in INDEX_PARTITIONS.values()}
    assert not mine & {partition("bob") for partition in INDEX_PARTITIONS.values()}
    assert not mine & {partition("b") for partition in INDEX_PARTITIONS.values()}


@given(
    ids,
    ids,
    st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), max_size=80),
    st.integers(0, 99_999),
)
def test_a_part_sorts_right_behind_its_owner(thread_id: str, step_id: str, attribute: str, number: int) -> None:
    owner = schema.step_key(thread_id, step_id)
    part = schema.part_key(owner, attribute, "0" * 16, number)
    longer = schema.step_key(thread_id, step_id + " ")
    assert part.pk == owner.pk
    assert owner.sk.encode() < part.sk.encode() < longer.sk.encode()
    assert part.sk.startswith(schema.parts_prefix(owner))
    assert schema.is_part_sk(part.sk)
    assert not schema.is_part_sk(owner.sk)


@given(ids, ids, ids)
def test_a_part_has_one_owner(thread_id: str, first: str, second: str) -> None:
    assume(first != second)
    part = schema.part_key(schema.step_key(thread_id, first), "output", "0" * 16, 0)
    assert not part.sk.startswith(schema.parts_prefix(schema.step_key(thread_id, second)))


def test_parts_sort_by_number() -> None:
    owner = schema.step_key("t", "s")
    keys = [schema.part_key(owner, "output", "0" * 16, number).sk for number in (0, 1, 9, 10, 99, 100, 99_999)]
    assert keys == sorted(keys)


@pytest.mark.parametrize("build", ALL_OF_ONE_ID)
@pytest.mark.parametrize(
    "junk", ["", None, 7, b"bytes", ["list"], "a\0b", "line\nbreak", "\x1f", "\ud800", "x" * 2_000, "é" * 1_000]
)
def test_what_cannot_be_part_of_a_key_is_refused(build: Callable[[Any], Any], junk: Any) -> None:
    with pytest.raises(InvalidIdError):
        build(junk)


@given(st.text(st.characters(), min_size=1, max_size=40))
def test_every_text_is_a_key_or_is_refused(text: str) -> None:
    for build in ALL_OF_ONE_ID:
        try:
            built = build(text)
        except InvalidIdError:
            continue
        "".join(built).encode()


def test_the_refusal_does_not_repeat_the_id() -> None:
    with pytest.raises(InvalidIdError) as caught:
        schema.thread_key("secret\0")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("letter", ["x", "é", "語", "\U0001f600"])
def test_the_longest_keys_are_within_dynamodbs_limits(letter: str) -> None:
    long_pk = letter * (schema.MAX_PK_ID_BYTES // len(letter.encode()))
    long_sk = letter * (schema.MAX_SK_ID_BYTES // len(letter.encode()))
    partitions = [build(long_pk) for build in INDEX_PARTITIONS.values()] + [schema.thread_pk(long_pk)]
    assert max(len(pk.encode()) for pk in partitions) <= 2048
    step = schema.step_key("t", long_sk)
    sort_keys = [step.sk, schema.element_key("t", long_sk).sk, schema.favorite_sk(letter * 200, long_sk)]
    element = schema.element_key("t", long_sk)
    sort_keys.append(schema.part_key(element, letter * 200, "0" * 16, 99_999).sk)
    assert max(len(sk.encode()) for sk in sort_keys) <= 1024


@given(ids, st.text(max_size=70))
def test_favorites_sort_by_time_then_by_step(step_id: str, created_at: str) -> None:
    assert schema.favorite_sk("2026-01-01", step_id) < schema.favorite_sk("2026-01-02", "0")


@pytest.mark.parametrize("name", ["", "PK", "SK", "UserThreadPK", "UserThreadSK", "_stepIds", "_anything"])
def test_the_layers_own_attributes_are_known(name: str) -> None:
    assert schema.is_own_attribute(name)


@pytest.mark.parametrize("name", ["id", "output", "metadata", "pk", "deletedAt"])
def test_chainlits_attributes_are_not_taken_for_own_ones(name: str) -> None:
    assert not schema.is_own_attribute(name)


def test_the_table_is_the_one_of_the_built_in_layer() -> None:
    request = TableSpec("chats").create_table_request()
    assert request["TableName"] == "chats"
    assert [key["AttributeName"] for key in request["KeySchema"]] == ["PK", "SK"]
    (index,) = request["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "UserThread"
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["UserThreadPK", "UserThreadSK"]
    assert index["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["id", "name"]}
