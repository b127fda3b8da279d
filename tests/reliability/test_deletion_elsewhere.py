"""Chats, steps and elements that go while others are still writing them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from chainlit.element import Text
from chainlit.types import Feedback

from chainlit_dynamodb import DynamoDBDataLayer, LocalStorageClient
from chainlit_dynamodb.chat import tombstones
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.errors import RequestError, StorageError
from chainlit_dynamodb.testing.transports import Counting, Failing, Gated
from tests.contract.chats import assert_clean, enter_chat, ids, keys_of, listed, message, start_thread, steps_of, tool
from tests.reliability.conftest import MakeLayer, Rows, dynamodb_local
from tests.reliability.waiting import eventually, files_of
from tests.wiring import wrap

pytestmark = dynamodb_local

TOMBSTONE = [("THREAD#t1", "THREAD")]
UNSEEN_SECONDS = 1.0


@pytest.fixture
def short_sighted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers look after other servers' deletions more often than every ten seconds."""
    monkeypatch.setattr(tombstones, "CHECK_EVERY_SECONDS", UNSEEN_SECONDS)


def text(element_id: str = "e1", content: str = "secret words", for_id: str = "s1") -> Any:
    return Text(id=element_id, name="a.txt", content=content, for_id=for_id, thread_id="t1", mime="text/plain")


# Chats.


async def slip_in(other: DynamoDBDataLayer, layer: DynamoDBDataLayer) -> None:
    """Let a server write to a chat that it has just seen, and another has deleted."""
    await start_thread(layer)
    await other.create_step(message("s1"))
    await layer.delete_thread("t1")
    await other.create_step(tool("late"))
    await other.create_element(text())


@pytest.mark.usefixtures("short_sighted")
async def test_what_slips_in_is_swept_when_a_step_hears_of_the_deletion(
    layer: Any, make_layer: MakeLayer, rows: Rows, storage: LocalStorageClient
) -> None:
    other = make_layer()
    await slip_in(other, layer)
    assert files_of(storage)
    await asyncio.sleep(UNSEEN_SECONDS + 0.1)
    await other.update_step(tool("late", output="later"))
    await other.update_thread("t1", metadata={"bye": 1})
    assert keys_of(rows()) == TOMBSTONE
    assert files_of(storage) == []


@pytest.mark.usefixtures("short_sighted")
async def test_what_slips_in_goes_though_the_server_that_deleted_is_restarted(
    layer: Any, make_layer: MakeLayer, rows: Rows
) -> None:
    other, deleting = make_layer(), make_layer()
    await start_thread(layer)
    await other.create_step(message("s1"))
    await deleting.delete_thread("t1")
    await deleting.close()
    await other.create_step(tool("late"))
    await eventually(lambda: keys_of(rows()) == TOMBSTONE)


@pytest.mark.usefixtures("short_sighted")
async def test_a_server_that_closes_looks_at_what_it_has_just_written_to(
    layer: Any, make_layer: MakeLayer, rows: Rows
) -> None:
    other = make_layer()
    await start_thread(layer)
    await other.create_step(message("s1"))
    await layer.delete_thread("t1")
    await other.create_step(tool("late"))
    await other.close()
    assert keys_of(rows()) == TOMBSTONE


@pytest.mark.usefixtures("short_sighted")
async def test_two_writes_that_look_at_once_both_hear_of_the_deletion(
    layer: Any, make_layer: MakeLayer, rows: Rows
) -> None:
    other = make_layer()
    await slip_in(other, layer)
    await asyncio.sleep(UNSEEN_SECONDS + 0.1)
    await asyncio.gather(*(other.create_step(tool(f"late{n}")) for n in range(10)))
    assert keys_of(rows()) == TOMBSTONE


async def test_writes_that_look_at_once_share_one_read(layer: Any, make_layer: MakeLayer) -> None:
    await start_thread(layer)
    other = make_layer()
    counting = wrap(other, Counting)
    await asyncio.gather(*(other.create_step(tool(f"s{n}")) for n in range(10)))
    assert counting.counts["GetItem"] == 1


async def test_what_slips_in_goes_though_nobody_writes_again(
    layer: Any, make_layer: MakeLayer, rows: Rows, storage: LocalStorageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tombstones, "SWEEP_PAUSES_SECONDS", (0.3,))
    await slip_in(make_layer(), layer)
    await eventually(lambda: keys_of(rows()) == TOMBSTONE and not files_of(storage))


@pytest.mark.usefixtures("short_sighted")
async def test_a_sweep_that_fails_is_made_up_for(
    layer: Any, make_layer: MakeLayer, rows: Rows, storage: LocalStorageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_layer()
    await slip_in(other, layer)
    await asyncio.sleep(UNSEEN_SECONDS + 0.1)
    monkeypatch.setattr(tombstones, "SWEEP_PAUSES_SECONDS", (0.3,))

    async def refuse(object_key: str) -> bool:
        raise StorageError("the bucket is away")

    with monkeypatch.context() as away:
        away.setattr(storage, "delete_file", refuse)
        await other.update_step(tool("late", output="later"))
    await eventually(lambda: keys_of(rows()) == TOMBSTONE and not files_of(storage))


async def test_a_deletion_goes_on_though_its_caller_is_not_kept_waiting(layer: Any, rows: Rows) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    gated = wrap(layer, lambda inner: Gated(inner, "PutItem"))
    deleting = asyncio.create_task(layer.delete_thread("t1"))
    await gated.arrived.wait()
    deleting.cancel()
    await asyncio.wait({deleting})
    gated.gate.set()
    await eventually(lambda: keys_of(rows()) == TOMBSTONE)


async def test_a_chat_can_be_made_after_a_deletion_of_nothing(layer: Any, make_layer: MakeLayer) -> None:
    await layer.delete_thread("t1")
    await start_thread(layer)
    assert await listed(make_layer()) == ["t1"]


async def test_a_sweep_spares_the_chats_next_to_it(layer: Any, make_layer: MakeLayer, rows: Rows) -> None:
    for thread_id in ("t", "t1", "t10", "T1"):
        await start_thread(layer, thread_id)
        await layer.create_step(message("s1", thread_id))
    await layer.delete_thread("t1")
    assert len(rows()) == 3 * 2 + 1


async def test_a_deletion_that_fails_loses_nothing_that_waits(layer: Any, make_layer: MakeLayer) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    writing = [asyncio.create_task(layer.update_step(message("s1", output=f"v{n}"))) for n in range(3)]
    await gated.arrived.wait()
    failing = wrap(layer, lambda inner: Failing(inner, RequestError("PutItem", "Refused", "no"), "PutItem"))
    with pytest.raises(RequestError):
        await layer.delete_thread("t1")
    failing.operations = ("none",)
    gated.gate.set()
    await asyncio.gather(*writing)
    assert (await steps_of(make_layer()))["s1"]["output"] == "v2"


async def test_what_is_written_while_a_deletion_fails_is_stored(layer: Any, make_layer: MakeLayer) -> None:
    await start_thread(layer)
    gated = wrap(layer, lambda inner: Gated(inner, "GetItem"))
    wrap(layer, lambda inner: Failing(inner, RequestError("PutItem", "Refused", "no"), "PutItem"))
    deleting = asyncio.create_task(layer.delete_thread("t1"))
    await gated.arrived.wait()
    creating = asyncio.create_task(layer.create_step(message("s1")))
    await asyncio.sleep(0.05)
    gated.gate.set()
    with pytest.raises(RequestError):
        await deleting
    await creating
    assert list(await steps_of(make_layer())) == ["s1"]


# Steps and elements.


async def test_a_step_that_another_server_deleted_stays_deleted(layer: Any, make_layer: MakeLayer) -> None:
    other = make_layer()
    await start_thread(layer)
    await layer.create_step(message("s1"))
    await other.delete_step("s1")
    await layer.update_step(message("s1", output="late"))
    await layer.create_step(message("s1", output="late"))
    assert await steps_of(make_layer()) == {}


async def test_an_element_that_another_server_deleted_stays_deleted_with_its_file(
    layer: Any, make_layer: MakeLayer, storage: LocalStorageClient
) -> None:
    other = make_layer()
    await start_thread(layer)
    await layer.create_element(text())
    await other.delete_element("e1", "t1")
    await layer.create_element(text(content="late"))
    assert await make_layer().get_element("t1", "e1") is None
    assert files_of(storage) == []


async def test_a_tombstone_is_nowhere_to_be_seen(layer: Any, make_layer: MakeLayer) -> None:
    await start_thread(layer)
    for step_id in ("s1", "s2"):
        await layer.create_step(message(step_id))
    await layer.create_element(text())
    await layer.upsert_feedback(Feedback(forId="s1", threadId="t1", value=1))
    await layer.set_step_favorite(message("s1"), True)
    await layer.delete_step("s1")
    reader: Any = make_layer()
    thread = await reader.get_thread("t1")
    assert (ids(thread["steps"]), thread["elements"]) == (["s2"], [])
    assert_clean(thread)
    assert await reader.get_element("t1", "e1") is None
    assert await reader.get_favorite_steps("alice") == []
    assert await listed(reader, feedback=1) == []
    assert await reader.upsert_feedback(Feedback(forId="s1", threadId="t1", value=0)) == ""
    await reader.set_step_favorite(message("s1"), True)
    assert await make_layer().get_favorite_steps("alice") == []
    assert ids((await reader.get_thread("t1"))["steps"]) == ["s2"]


async def test_tombstones_go_with_their_chat(layer: Any, rows: Rows) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    await layer.create_element(text())
    await layer.delete_step("s1")
    await layer.delete_thread("t1")
    assert keys_of(rows()) == TOMBSTONE


async def test_deleting_an_unknown_step_leaves_nothing_but_a_tombstone(layer: Any, rows: Rows) -> None:
    enter_chat("t1")
    await layer.delete_step("unknown")
    await layer.delete_element("unknown", "t1")
    assert keys_of(rows()) == []


class SlowUploads:
    """Holds uploads back."""

    def __init__(self, storage: LocalStorageClient, monkeypatch: pytest.MonkeyPatch) -> None:
        self.arrived, self.gate = asyncio.Event(), asyncio.Event()
        self._upload: Callable[..., Awaitable[Any]] = storage.upload_file
        monkeypatch.setattr(storage, "upload_file", self.upload_file)
        monkeypatch.setitem(vars(Writer)["flush"].__kwdefaults__, "timeout_seconds", 0.1)

    async def upload_file(
        self, object_key: str, data: Any, mime: str, overwrite: bool = True, content_disposition: Any = None
    ) -> Any:
        self.arrived.set()
        await self.gate.wait()
        return await self._upload(object_key, data, mime, overwrite, content_disposition)


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_an_upload_that_outlasts_the_deletion_of_its_step_leaves_nothing(
    layer: Any,
    make_layer: MakeLayer,
    rows: Rows,
    storage: LocalStorageClient,
    monkeypatch: pytest.MonkeyPatch,
    elsewhere: bool,
) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    slow = SlowUploads(storage, monkeypatch)
    uploading = asyncio.create_task(layer.create_element(text()))
    await slow.arrived.wait()
    await (make_layer() if elsewhere else layer).delete_step("s1")
    slow.gate.set()
    await uploading
    thread: Any = await layer.get_thread("t1")
    assert thread["elements"] == []
    await eventually(lambda: not files_of(storage))
    assert await layer.get_element("t1", "e1") is None


GOING: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "thread": lambda layer: layer.delete_thread("t1"),
    "element": lambda layer: layer.delete_element("e1", "t1"),
    "step": lambda layer: layer.delete_step("s1"),
}


class GatedSteps(Gated):
    """Holds back what is done to steps."""

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        is_step = "STEP#" in str(request.get("Key"))
        return await (super().call(operation, request) if is_step else self.inner.call(operation, request))


@pytest.mark.parametrize("what", GOING)
async def test_an_element_that_waits_to_be_written_while_it_is_deleted_leaves_no_file(
    make_layer: MakeLayer, storage: LocalStorageClient, what: str
) -> None:
    layer: Any = make_layer(max_pending_bytes=1)
    await start_thread(layer)
    await layer.create_step(message("s1"))
    gated = wrap(layer, lambda inner: GatedSteps(inner, "UpdateItem"))
    writing = asyncio.create_task(layer.update_step(message("s1", output="holds all memory")))
    await gated.arrived.wait()
    creating = asyncio.create_task(layer.create_element(text()))
    await eventually(lambda: bool(files_of(storage)) and layer.backlog.changes > 1)
    going = asyncio.ensure_future(GOING[what](layer))
    await asyncio.sleep(0.1)
    gated.gate.set()
    await asyncio.gather(writing, creating, going)
    assert await layer.get_element("t1", "e1") is None
    assert files_of(storage) == []
