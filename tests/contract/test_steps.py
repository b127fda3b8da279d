"""create_step, update_step, delete_step: order, merging, fields."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from chainlit_dynamodb.testing.transports import Counting, Gated, Shuffling
from tests.contract.chats import (
    assert_clean,
    enter_bot,
    enter_chat,
    ids,
    living,
    message,
    one_engine,
    person,
    start_thread,
    steps_of,
    tool,
    unsealed,
)
from tests.wiring import wrap

Rows = Callable[[], list[dict[str, Any]]]
NEW = {"output": "new", "end": "2026-11-01T10:00:09.000000Z", "isError": True}


async def test_a_message_comes_back_as_it_was_stored(layer: Any) -> None:
    await start_thread(layer)
    sent = message("s1", output="héllo 🌍", metadata={"location": "x", "n": 3}, modes={"model": "gpt-x"}, tags=["a"])
    await layer.create_step(sent)
    step = (await steps_of(layer))["s1"]
    assert step == {name: value for name, value in sent.items() if value is not None} | {"parentId": None}


async def test_a_tool_step_keeps_the_types_of_its_fields(layer: Any) -> None:
    await start_thread(layer)
    generation = {
        "tokenCount": 12,
        "duration": 0.25,
        "settings": {"temperature": 1.5, "stop": None},
        "messages": [{}],
    }
    await layer.create_step(tool("s1", showInput=True, defaultOpen=True, input="{}", generation=generation))
    step = (await steps_of(layer))["s1"]
    assert step["showInput"] is True
    assert step["defaultOpen"] is True
    assert step["autoCollapse"] is False
    assert step["generation"] == generation
    assert type(step["generation"]["tokenCount"]) is int


async def test_an_object_key_in_a_step_opens_and_deletes_no_file(layer: Any, storage: Any) -> None:
    await start_thread(layer)
    foreign = "bob/his-thread/his-file"
    await storage.upload_file(foreign, b"precious")
    await layer.create_step(message("s1", objectKey=foreign, chainlitKey=foreign))
    await layer.update_step(message("s2", objectKey=foreign))
    step = (await steps_of(layer))["s1"]
    assert "url" not in step
    await layer.delete_step("s2")
    await layer.delete_thread("t1")
    assert await storage.find(storage._name(foreign))


async def test_fifty_concurrent_updates_end_in_the_last_one(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(tool("s1"))
    wrap(layer, Shuffling)
    await asyncio.gather(*(layer.update_step(tool("s1", output=f"{n}")) for n in range(50)))
    assert (await steps_of(layer))["s1"]["output"] == "49"


async def test_fifty_concurrent_updates_are_two_requests(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(tool("s1"))
    counting = wrap(layer, Counting)
    await asyncio.gather(*(layer.update_step(tool("s1", output=f"{n}")) for n in range(50)))
    assert counting.counts["UpdateItem"] == 2


async def test_an_update_that_is_answered_can_be_read_by_another_process(layer: Any, make_layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(tool("s1"))
    await asyncio.gather(*(layer.update_step(tool("s1", output=f"{n}")) for n in range(9)))
    assert (await steps_of(make_layer()))["s1"]["output"] == "8"


@unsealed
async def test_either_arrival_order_of_create_and_update_gives_the_same_row(
    layer: Any, make_layer: Any, rows: Rows
) -> None:
    await start_thread(layer)
    create, update = tool("s1", input="question"), tool("s1", language=None, **NEW)
    await layer.create_step(create)
    await layer.update_step(update)
    late = make_layer()
    await late.update_step({**update, "id": "s2"})
    await late.create_step({**create, "id": "s2"})
    usual, unusual = (row for row in rows() if row["SK"]["S"].startswith("STEP#"))
    for own in ("SK", "id", "_stamp"):
        del usual[own], unusual[own]
    assert unusual == usual


async def test_create_and_update_that_overlap_give_what_the_update_says(layer: Any) -> None:
    await start_thread(layer)
    wrap(layer, Shuffling)
    await asyncio.gather(layer.create_step(tool("s1")), layer.update_step(tool("s1", **NEW)))
    assert (await steps_of(layer))["s1"].items() >= NEW.items()


async def test_a_create_that_overlaps_behind_its_update_overwrites_nothing(layer: Any) -> None:
    await start_thread(layer)
    wrap(layer, Shuffling)
    await asyncio.gather(layer.update_step(tool("s1", **NEW)), layer.create_step(tool("s1", input="question")))
    step = (await steps_of(layer))["s1"]
    assert step.items() >= NEW.items()


async def test_a_replayed_create_changes_nothing(layer: Any, rows: Rows) -> None:
    await start_thread(layer)
    await layer.create_step(tool("s1", output="old"))
    await layer.update_step(tool("s1", **NEW))
    before = rows()
    await layer.create_step(tool("s1", output="old"))
    assert rows() == before


async def test_a_late_create_does_not_fill_what_an_update_cleared(layer: Any) -> None:
    await start_thread(layer)
    await layer.update_step(tool("s1", language=None))
    await layer.create_step(tool("s1", language="json"))
    assert "language" not in (await steps_of(layer))["s1"]


@pytest.mark.parametrize("field", ["language", "end", "parentId", "tags", "generation", "input"])
async def test_none_clears_a_field(layer: Any, field: str) -> None:
    await start_thread(layer)
    values: dict[str, Any] = {
        "language": "json",
        "end": "2026-11-01T10:00:09.000000Z",
        "parentId": "p",
        "tags": ["x"],
    }
    values |= {"generation": {"provider": "x"}, "input": "question"}
    await layer.create_step(message("p"))
    await layer.create_step(tool("s1", **values))
    assert (await steps_of(layer))["s1"][field]
    await layer.update_step(tool("s1", **{**values, field: None}))
    assert (await steps_of(layer))["s1"].get(field) is None


async def test_absent_fields_are_left_alone(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(tool("s1", input="question", defaultOpen=True, showInput="python"))
    await layer.update_step(message("s1", output="edited", type="tool"))
    step = (await steps_of(layer))["s1"]
    assert (step["input"], step["defaultOpen"], step["showInput"]) == ("question", True, "python")
    assert step["output"] == "edited"


async def test_fields_of_future_chainlit_versions_pass_through(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1", mood={"score": 3, "why": ["x"]}, rank=7))
    await layer.update_step(message("s1", rank=8, extra=None))
    step = (await steps_of(layer))["s1"]
    assert (step["mood"], step["rank"]) == ({"score": 3, "why": ["x"]}, 8)


async def test_an_update_of_an_unknown_step_makes_it(layer: Any) -> None:
    await start_thread(layer)
    await layer.update_step(message("s1", output="made"))
    assert (await steps_of(layer))["s1"]["output"] == "made"


async def test_the_dict_that_was_handed_over_stays_as_it_was(layer: Any) -> None:
    await start_thread(layer)
    sent = message("s1", metadata={"a": {"b": 1}})
    await layer.create_step(sent)
    await layer.update_step(sent)
    assert sent == message("s1", metadata={"a": {"b": 1}})


async def test_what_changes_after_the_call_is_not_stored(layer: Any) -> None:
    await start_thread(layer)
    sent = message("s1", metadata={"state": "then"})
    writing = asyncio.create_task(layer.create_step(sent))
    await asyncio.sleep(0)
    sent["metadata"]["state"] = "later"
    await writing
    assert (await steps_of(layer))["s1"]["metadata"] == {"state": "then"}


async def test_steps_may_come_before_their_thread(layer: Any) -> None:
    enter_bot("t1")
    await layer.create_step(message("s1"))
    await layer.create_step(tool("s2", parentId="s1"))
    assert await layer.get_thread("t1") is None
    await layer.update_thread("t1", name="late", user_id="alice")
    assert list(await steps_of(layer)) == ["s1", "s2"]


async def test_get_thread_holds_what_is_still_being_written(layer: Any) -> None:
    await start_thread(layer)
    wrap(layer, Shuffling)
    writing = asyncio.create_task(layer.create_step(message("s1")))
    await asyncio.sleep(0)
    assert "s1" in await steps_of(layer)
    await writing


async def test_steps_of_another_thread_are_written_there(layer: Any) -> None:
    await start_thread(layer, "other")
    await start_thread(layer, "t1")
    await layer.create_step(tool("s1", "other"))
    assert ids((await layer.get_thread("other"))["steps"]) == ["s1"]
    assert (await layer.get_thread("t1"))["steps"] == []


async def test_one_id_in_two_threads_is_two_steps(layer: Any) -> None:
    await start_thread(layer, "mine")
    await layer.create_step(message("s1", "mine", output="mine"))
    await start_thread(layer, "theirs", user_id="mallory")
    await layer.create_step(message("s1", "theirs", output="theirs"))
    assert (await steps_of(layer, "mine"))["s1"]["output"] == "mine"


async def test_a_step_without_thread_id_is_the_sessions(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1", threadId=None))
    assert (await steps_of(layer))["s1"]["threadId"] == "t1"


async def test_a_visitor_who_never_speaks_leaves_nothing(layer: Any, rows: Rows) -> None:
    enter_chat("t1", spoken=False)
    await layer.create_step(message("s1"))
    await layer.update_step(message("s1"))
    await layer.delete_step("s1")
    assert rows() == []


async def test_the_queue_is_written_when_the_visitor_speaks(layer: Any) -> None:
    session = enter_chat("t1", spoken=False)
    await layer.create_step(message("welcome", type="assistant_message"))
    await layer.update_step(message("welcome", type="assistant_message", output="hi"))
    session.has_first_interaction = True
    await layer.update_thread("t1", name="first", user_id="alice")
    for queue in session.thread_queues.values():
        for method, bound, args, kwargs in queue:
            await method(bound, *args, **kwargs)
    assert (await steps_of(layer))["welcome"]["output"] == "hi"


@one_engine
@pytest.mark.parametrize("name", ["create_step", "update_step", "delete_step", "create_element", "delete_element"])
async def test_the_queued_methods_carry_chainlits_mark(backend: str, name: str) -> None:
    from chainlit_dynamodb import DynamoDBDataLayer

    layer, session = DynamoDBDataLayer("chats"), enter_chat("t1", spoken=False)
    await getattr(layer, name)(message("s1"))
    ((method, (held,)),) = session.thread_queues.items()
    assert (method, held[1], held[2][0]["id"]) == (name, layer, "s1")


async def test_delete_step_takes_the_step_out_of_its_thread(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    await layer.create_step(message("s2"))
    await layer.delete_step("s1")
    assert list(await steps_of(layer)) == ["s2"]


async def test_delete_step_finds_a_step_of_another_thread(layer: Any) -> None:
    await start_thread(layer, "other")
    await start_thread(layer, "t1")
    await layer.create_step(tool("s1", "other"))
    await layer.delete_step("s1")
    assert (await layer.get_thread("other"))["steps"] == []


async def test_delete_step_prefers_the_sessions_own_thread(layer: Any) -> None:
    """A browser chooses the ids of its messages, so it may choose those of a shared chat it has seen."""
    await start_thread(layer, "attacker", user_id="mallory")
    await layer.create_step(message("s1", "attacker"))
    await start_thread(layer, "victim")
    await layer.create_step(message("s1", "victim"))
    enter_chat("attacker", person("mallory"))
    await layer.delete_step("s1")
    assert list(await steps_of(layer, "victim")) == ["s1"]
    assert (await layer.get_thread("attacker"))["steps"] == []


async def test_delete_step_works_in_a_process_that_did_not_write_it(layer: Any, make_layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    other = make_layer()
    await other.delete_step("s1")
    assert (await layer.get_thread("t1"))["steps"] == []


@pytest.mark.parametrize("method", ["create_step", "update_step"])
async def test_a_late_write_to_a_deleted_step_does_nothing(layer: Any, rows: Rows, method: str) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    await layer.delete_step("s1")
    before = rows()
    await getattr(layer, method)(message("s1", output="late"))
    assert rows() == before


async def test_delete_wins_over_what_is_pending(layer: Any) -> None:
    await start_thread(layer)
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    writing = [asyncio.create_task(layer.create_step(message("s1")))]
    await gated.arrived.wait()
    writing.append(asyncio.create_task(layer.update_step(message("s1", output="pending"))))
    await asyncio.sleep(0)
    writing.append(asyncio.create_task(layer.delete_step("s1")))
    await asyncio.sleep(0)
    gated.gate.set()
    await asyncio.gather(*writing)
    assert await steps_of(layer) == {}


async def test_a_delete_that_starts_before_its_create_wins(layer: Any) -> None:
    await start_thread(layer)
    await layer.delete_step("s1")
    await layer.create_step(message("s1"))
    assert await steps_of(layer) == {}


async def test_deleting_an_unknown_step_changes_nothing(layer: Any, rows: Rows) -> None:
    await start_thread(layer)
    before = rows()
    await layer.delete_step("unknown")
    assert living(rows()) == before


async def test_steps_are_json_clean(layer: Any) -> None:
    await start_thread(layer)
    odd = {"nan": float("nan"), "inf": float("-inf"), "tiny": 1e-200, "set": {1}, "bytes": b"x", "big": 2**60, "": 1}
    await layer.create_step(message("s1", metadata=odd))
    step = (await steps_of(layer))["s1"]
    assert_clean(step)
    assert step["metadata"]["big"] == 2**60
    assert step["metadata"]["nan"] is None
