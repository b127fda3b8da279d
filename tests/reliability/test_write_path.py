"""Writes while DynamoDB throttles, fails, goes away: each arrives, in order, once in effect."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from chainlit.element import CustomElement, Text
from chainlit.types import Feedback

from chainlit_dynamodb import DynamoDBDataLayer, LocalStorageClient, RetryPolicies, RetryPolicy
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.errors import RequestError, StorageError, TransientError
from chainlit_dynamodb.testing.faults import FaultPlan, FaultProxy
from chainlit_dynamodb.testing.transports import Failing, Gated, Wrapped
from tests.contract.chats import (
    enter_bot,
    enter_chat,
    ids,
    keys_of,
    listed,
    living,
    message,
    start_thread,
    steps_of,
    stored,
    tool,
)
from tests.reliability.conftest import MakeLayer, Rows, dynamodb_local
from tests.reliability.values import KB, incompressible
from tests.wiring import wrap

pytestmark = dynamodb_local

KINDS = ["throttling", "server_error", "reset_before", "reset_after", "truncated", "garbage"]
MakeFaulty = Callable[..., Any]
IMPATIENT_READERS = RetryPolicies(read=RetryPolicy(0.3))


@pytest.fixture
def faulty(make_layer: MakeLayer, dynamodb_url: str) -> MakeFaulty:
    """Make a layer whose requests fail as planned."""

    @asynccontextmanager
    async def faulty(
        options: dict[str, Any] | None = None, **plan: float
    ) -> AsyncIterator[tuple[DynamoDBDataLayer, FaultProxy]]:
        async with FaultProxy(dynamodb_url, FaultPlan(**plan), seed=1) as proxy:
            layer = make_layer(endpoint_url=proxy.url, **(options or {}))
            yield layer, proxy
            proxy.plan = FaultPlan()
            await layer.close()

    return faulty


async def a_busy_turn(layer: DynamoDBDataLayer, updates: int = 6) -> None:
    """Write as Chainlit does: everything at once."""
    writes: list[Awaitable[Any]] = [layer.update_thread("t1", name="a chat", user_id="alice")]
    for number in range(8):
        writes.append(layer.create_step(message(f"s{number}", output="0")))
        writes += [layer.update_step(message(f"s{number}", output=str(n))) for n in range(1, updates)]
    writes += [layer.update_thread("t1", metadata={f"k{n}": n}) for n in range(4)]
    await asyncio.gather(*writes)


def last_output(steps: dict[str, Any]) -> dict[str, str]:
    return {key: step["output"] for key, step in steps.items()}


@pytest.mark.parametrize("kind", KINDS)
async def test_every_write_arrives_whatever_fails(faulty: MakeFaulty, make_layer: MakeLayer, kind: str) -> None:
    enter_chat("t1")
    async with faulty(**{kind: 0.3}) as (layer, proxy):
        await a_busy_turn(layer)
        assert proxy.injected[kind] > 3
    thread: Any = await make_layer().get_thread("t1")
    assert last_output({step["id"]: step for step in thread["steps"]}) == {f"s{n}": "5" for n in range(8)}
    assert (thread["name"], thread["metadata"]) == ("a chat", {f"k{n}": n for n in range(4)})


async def test_what_was_answered_is_in_the_table(faulty: MakeFaulty, make_layer: MakeLayer) -> None:
    enter_chat("t1")
    reader = make_layer()
    async with faulty(**vars(FaultPlan.stormy())) as (layer, _):
        await layer.update_thread("t1", name="a chat", user_id="alice")
        for number in range(8):
            await layer.update_step(message("s1", output=str(number)))
            assert (await steps_of(reader))["s1"]["output"] == str(number)


async def test_readers_see_the_writes_of_a_row_in_order(faulty: MakeFaulty, make_layer: MakeLayer) -> None:
    enter_chat("t1")
    reader, seen = make_layer(), []
    await start_thread(reader)
    async with faulty(**vars(FaultPlan.stormy())) as (layer, _):
        pending = []
        for number in range(60):
            pending.append(asyncio.create_task(layer.update_step(message("s1", output=str(number)))))
            await asyncio.sleep(0.01)
            seen += [int(step["output"]) for step in (await steps_of(reader)).values()]
        await asyncio.gather(*pending)
    assert seen == sorted(seen)
    assert (await steps_of(reader))["s1"]["output"] == "59"


async def test_feedback_whose_answers_are_lost_counts_once(faulty: MakeFaulty, rows: Rows) -> None:
    enter_chat("t1")
    async with faulty(reset_after=0.5) as (layer, proxy):
        await start_thread(layer)
        await layer.create_step(message("s1"))
        for value in (1, 0, 1):
            await layer.upsert_feedback(Feedback(forId="s1", threadId="t1", value=value, comment=str(value)))
        assert proxy.injected["reset_after"] > 2
        assert await listed(layer, feedback=1) == ["t1"]
        assert await listed(layer, feedback=0) == []
    markers = {row["SK"]["S"]: row["_stepIds"]["SS"] for row in rows() if row["SK"]["S"].startswith("FEEDBACK")}
    assert markers == {"FEEDBACK#1": ["s1"]}


async def test_a_deletion_outlives_unprocessed_items(faulty: MakeFaulty, rows: Rows) -> None:
    async with faulty(unprocessed=0.8, throttling=0.2) as (layer, proxy):
        await start_thread(layer)
        await asyncio.gather(*(layer.create_step(message(f"s{n}")) for n in range(150)))
        await layer.delete_thread("t1")
        assert proxy.injected["unprocessed"] > 2
    assert [row["SK"]["S"] for row in living(rows())] == ["THREAD"]


async def test_an_outage_longer_than_the_patience_of_readers_loses_no_write(
    faulty: MakeFaulty, make_layer: MakeLayer
) -> None:
    threads = [f"t{n}" for n in range(10)]
    async with faulty({"retry": IMPATIENT_READERS}) as (layer, proxy):
        for thread_id in threads[:5]:
            await start_thread(layer, thread_id)
        outage = asyncio.create_task(proxy.outage(1.5))
        await asyncio.sleep(0.1)
        writes = []
        for thread_id in threads:
            enter_chat(thread_id)
            writes.append(layer.create_step(message("s1", thread_id)))
            writes.append(layer.update_thread(thread_id, name="a chat", user_id="alice"))
            writes.append(layer.update_thread(thread_id, metadata={"n": 1}))
            writes.append(layer.create_element(custom(thread_id)))
        await asyncio.gather(outage, *writes)
    reader = make_layer()
    for thread_id in threads:
        thread: Any = await reader.get_thread(thread_id)
        assert (ids(thread["steps"]), ids(thread["elements"])) == (["s1"], ["e1"])
        assert thread["metadata"] == {"n": 1}


async def test_an_element_for_a_thread_that_takes_long_to_be_made_is_not_refused(
    make_layer: MakeLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(Writer)["flush"].__kwdefaults__, "timeout_seconds", 0.05)
    layer = make_layer()
    enter_chat("another")
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    making = asyncio.create_task(layer.update_thread("t1", name="a chat", user_id="alice"))
    await gated.arrived.wait()
    element = asyncio.create_task(layer.create_element(custom("t1")))
    await asyncio.sleep(0.2)
    gated.gate.set()
    await asyncio.gather(making, element)
    thread: Any = await layer.get_thread("t1")
    assert ids(thread["elements"]) == ["e1"]


def custom(thread_id: str) -> Any:
    return CustomElement(id="e1", name="Chart", props={}, for_id="s1", thread_id=thread_id)


async def test_the_event_loop_runs_on_during_an_outage(faulty: MakeFaulty) -> None:
    enter_chat("t1")
    gaps = []

    async def tick() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            gaps.append(time.perf_counter() - before)

    async with faulty() as (layer, proxy):
        await start_thread(layer)
        ticker = asyncio.create_task(tick())
        await asyncio.gather(proxy.outage(1.5), a_busy_turn(layer))
        ticker.cancel()
    assert sorted(gaps)[int(len(gaps) * 0.98)] < 0.1


async def test_a_reader_in_an_outage_is_told_so_in_time(faulty: MakeFaulty) -> None:
    async with faulty({"retry": IMPATIENT_READERS}, reset_before=1.0) as (layer, _):
        with pytest.raises(TransientError):
            await asyncio.wait_for(layer.get_thread("t1"), 10)


async def test_at_the_bound_the_newest_callers_wait_and_nothing_is_dropped(make_layer: MakeLayer) -> None:
    bound = 200 * KB
    layer = make_layer(max_pending_bytes=bound)
    await start_thread(layer)
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    steps = [message(f"s{n}", output=incompressible(20 * KB, n)) for n in range(50)]
    pending = [asyncio.create_task(layer.create_step(step)) for step in steps]
    await gated.arrived.wait()
    await asyncio.sleep(0.05)
    assert 0.5 * bound < layer.backlog.size_bytes <= bound
    assert not any(task.done() for task in pending)
    gated.gate.set()
    while not all(task.done() for task in pending):
        assert layer.backlog.size_bytes <= bound
        await asyncio.sleep(0)
    await asyncio.gather(*pending)
    assert last_output(await steps_of(layer)) == {step["id"]: step["output"] for step in steps}
    assert layer.backlog.size_bytes == 0


async def test_one_write_larger_than_the_bound_passes(make_layer: MakeLayer) -> None:
    layer = make_layer(max_pending_bytes=10 * KB)
    await start_thread(layer)
    writes = [layer.create_step(message(f"s{n}", output=incompressible(100 * KB, n))) for n in range(5)]
    await asyncio.wait_for(asyncio.gather(*writes), 30)
    assert len(await steps_of(layer)) == 5


async def test_the_order_of_a_row_survives_a_full_memory(make_layer: MakeLayer) -> None:
    layer = make_layer(max_pending_bytes=30 * KB)
    await start_thread(layer)
    writes = [layer.update_step(message("s1", output=f"{n}|" + incompressible(10 * KB, n))) for n in range(30)]
    await asyncio.gather(*writes)
    assert (await steps_of(layer))["s1"]["output"].startswith("29|")


class RefusingOne(Wrapped):
    """Refuses for good what concerns one row."""

    async def call(self, operation: str, request: Any) -> dict[str, Any]:
        if operation == "UpdateItem" and request["Key"]["SK"]["S"] == "STEP#bad":
            raise RequestError(operation, "ValidationException", "refused")
        return await super().call(operation, request)


async def test_a_refusal_is_logged_with_ids_and_holds_up_nobody(
    layer: DynamoDBDataLayer, caplog: pytest.LogCaptureFixture
) -> None:
    await start_thread(layer)
    wrap(layer, RefusingOne)
    secret = "the user's own words"
    writes = [layer.create_step(message(step_id, output=secret)) for step_id in ("s1", "bad", "s2")]
    await asyncio.gather(*writes)
    assert sorted(await steps_of(layer)) == ["s1", "s2"]
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert "THREAD#t1" in record.getMessage()
    assert "STEP#bad" in record.getMessage()
    assert secret not in caplog.text


async def test_what_the_engine_refuses_is_logged_without_content(
    layer: DynamoDBDataLayer, caplog: pytest.LogCaptureFixture
) -> None:
    await start_thread(layer)
    secret = "own words " * 8_000
    named_too_long: Any = {**message("bad"), secret: 1}  # attribute names end at 64 KB
    await layer.create_step(named_too_long)
    await layer.create_step(message("s1"))
    assert sorted(await steps_of(layer)) == ["s1"]
    assert "STEP#bad" in caplog.text
    assert "own words" not in caplog.text


async def test_close_writes_what_was_begun(make_layer: MakeLayer, rows: Rows, storage: LocalStorageClient) -> None:
    layer, old = make_layer(), make_layer()
    enter_bot("t1")
    await old.create_step(message("gone"))
    await old.create_element(Text(id="e1", name="a", content="x", for_id="gone", thread_id="t1"))
    begun = [layer.create_step(message(f"s{n}")) for n in range(30)]
    begun += [layer.update_thread("t1", name="a chat", user_id="alice", metadata={"n": 1})]
    begun += [layer.create_element(Text(id="e2", name="a", content="x", for_id="s1", thread_id="t1"))]
    begun += [layer.delete_step("gone")]
    tasks = [asyncio.create_task(write) for write in begun]
    await asyncio.sleep(0)
    await layer.close()
    stored = keys_of(rows())  # Chainlit ends the process here
    assert {("THREAD#t1", "THREAD"), ("THREAD#t1", "ELEMENT#e2")} < set(stored)
    assert {("THREAD#t1", f"STEP#s{n}") for n in range(30)} < set(stored)
    assert {(f"STEP#s{n}", "STEP") for n in range(30)} < set(stored)
    assert not {("THREAD#t1", "STEP#gone"), ("THREAD#t1", "ELEMENT#e1"), ("STEP#gone", "STEP")} & set(stored)
    await asyncio.gather(*tasks)


async def test_close_ends_in_time_and_says_what_it_could_not_write(
    faulty: MakeFaulty, make_layer: MakeLayer, caplog: pytest.LogCaptureFixture
) -> None:
    async with faulty({"close_seconds": 0.5}) as (layer, proxy):
        await start_thread(layer)
        proxy.plan = FaultPlan(reset_before=1.0)
        tasks = [asyncio.create_task(layer.create_step(message(f"s{n}"))) for n in range(5)]
        await asyncio.sleep(0.1)
        started = time.perf_counter()
        await layer.close()
        assert time.perf_counter() - started < 3
        await asyncio.gather(*tasks, return_exceptions=True)
    assert "5 writes" in caplog.text
    assert await steps_of(make_layer()) == {}


class Flaky(LocalStorageClient):
    """A storage that refuses for a while."""

    out_of_order = True

    async def upload_file(self, *args: Any, **options: Any) -> Any:
        if self.out_of_order:
            raise StorageError("out of order")
        return await super().upload_file(*args, **options)


async def test_a_storage_that_refuses_costs_the_attachment_and_says_so(
    make_layer: MakeLayer, rows: Rows, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    storage = Flaky(tmp_path / "flaky")
    layer = make_layer(storage_provider=storage)
    await start_thread(layer)
    element = Text(id="e1", name="a.txt", content="own words", for_id="s1", thread_id="t1")
    await asyncio.gather(layer.create_element(element), layer.create_step(message("s1")))
    assert [row["SK"]["S"] for row in stored(rows())] == ["STEP#s1", "THREAD"]
    assert "ELEMENT#e1" in caplog.text
    assert "own words" not in caplog.text
    storage.out_of_order = False
    await layer.create_element(element)
    thread: Any = await layer.get_thread("t1")
    assert [e["url"] is not None for e in thread["elements"]] == [True]


@pytest.mark.parametrize("what", ["step", "element"])
async def test_a_write_that_outlasts_the_deletion_of_its_thread_leaves_nothing(
    make_layer: MakeLayer, rows: Rows, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(Writer.flush, "__kwdefaults__", {"timeout_seconds": 0.05})
    layer = make_layer()
    await start_thread(layer)
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    late = layer.create_step(tool("s1", output=incompressible(100 * KB))) if what == "step" else custom_of(layer)
    writing = asyncio.create_task(late)
    await gated.arrived.wait()
    await layer.delete_thread("t1")
    gated.gate.set()
    await writing
    assert [row["SK"]["S"] for row in living(rows())] == ["THREAD"]


def custom_of(layer: DynamoDBDataLayer) -> Any:
    return layer.create_element(custom("t1"))


async def test_a_thread_whose_deletion_failed_can_be_written_on(make_layer: MakeLayer) -> None:
    layer = make_layer()
    await start_thread(layer)
    failing = wrap(layer, lambda inner: Failing(inner, RequestError("GetItem", "Refused", ""), "GetItem", "PutItem"))
    with pytest.raises(RequestError):
        await layer.delete_thread("t1")
    failing.operations = ("none",)
    await layer.create_step(message("s1"))
    assert list(await steps_of(layer)) == ["s1"]
