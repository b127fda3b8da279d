"""delete_thread: everything goes, nothing comes back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chainlit.element import CustomElement, Text
from chainlit.types import Feedback

from chainlit_dynamodb.errors import StorageError
from chainlit_dynamodb.testing.transports import Counting, Gated
from tests.contract.chats import enter_bot, enter_chat, keys_of, listed, message, one_engine, start_thread, tool
from tests.wiring import wrap

Rows = Callable[[], list[dict[str, Any]]]
TOMBSTONE = [("THREAD#t1", "THREAD")]


def text(element_id: str = "e1", **fields: Any) -> Any:
    options = {"name": "a.txt", "content": "hello", "for_id": "s1", "thread_id": "t1", "mime": "text/plain", **fields}
    return Text(id=element_id, **options)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "secret"]


async def full_thread(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    await layer.create_step(tool("s2", parentId="s1"))
    await layer.create_element(text())
    await layer.upsert_feedback(Feedback(forId="s2", value=1, threadId="t1"))
    await layer.set_step_favorite(message("s1"), True)
    await layer.update_thread("t1", metadata={"secret": "x"}, tags=["t"])


async def test_a_deleted_thread_is_gone(layer: Any) -> None:
    await full_thread(layer)
    await layer.delete_thread("t1")
    assert await layer.get_thread("t1") is None
    assert await layer.get_thread_author("t1") == ""
    assert await listed(layer) == []
    assert await listed(layer, feedback=1) == []
    assert await layer.get_favorite_steps("alice") == []
    assert await layer.get_element("t1", "e1") is None


async def test_delete_thread_leaves_a_tombstone_that_tells_nothing(layer: Any, rows: Rows) -> None:
    await full_thread(layer)
    await layer.delete_thread("t1")
    (tombstone,) = rows()
    assert sorted(tombstone) == ["PK", "SK", "deletedAt"]


async def test_delete_thread_removes_its_files(layer: Any, storage: Any) -> None:
    await full_thread(layer)
    before = len(files_in(storage.path))
    await layer.delete_thread("t1")
    assert len(files_in(storage.path)) < before
    assert not any(b"hello" in path.read_bytes() for path in files_in(storage.path))


async def test_delete_thread_removes_more_rows_than_one_batch_holds(layer: Any, rows: Rows) -> None:
    await start_thread(layer)
    await asyncio.gather(*(layer.create_step(tool(f"s{n}")) for n in range(60)))
    await layer.delete_thread("t1")
    assert keys_of(rows()) == TOMBSTONE


async def test_delete_thread_leaves_other_threads_alone(layer: Any, rows: Rows) -> None:
    await start_thread(layer, "t10")
    await layer.create_step(message("s1", "t10"))
    before = rows()
    await full_thread(layer)
    await layer.delete_thread("t1")
    assert [row for row in rows() if row["PK"]["S"] != "THREAD#t1"] == before


async def test_an_ownerless_thread_can_be_deleted(layer: Any, rows: Rows) -> None:
    enter_bot("t1", None)
    await layer.create_step(message("s1"))
    await layer.delete_thread("t1")
    assert keys_of(rows()) == TOMBSTONE


async def test_deleting_an_unknown_thread_writes_nothing(layer: Any, rows: Rows) -> None:
    await layer.delete_thread("unknown")
    assert rows() == []


async def test_deleting_twice_does_no_harm(layer: Any, rows: Rows) -> None:
    await full_thread(layer)
    await layer.delete_thread("t1")
    await layer.delete_thread("t1")
    assert keys_of(rows()) == TOMBSTONE


LATE_WRITES: dict[str, Callable[[Any], Any]] = {
    "create_step": lambda layer: layer.create_step(message("late")),
    "update_step": lambda layer: layer.update_step(message("s1", output="late")),
    "delete_step": lambda layer: layer.delete_step("s1"),
    "create_element": lambda layer: layer.create_element(text("late")),
    "create_custom_element": lambda layer: layer.create_element(
        CustomElement(id="c", name="C", props={}, for_id="s1", thread_id="t1")
    ),
    "delete_element": lambda layer: layer.delete_element("e1", "t1"),
    "metadata": lambda layer: layer.update_thread("t1", metadata={"late": 1}),
    "name_and_owner": lambda layer: layer.update_thread("t1", name="late", user_id="alice", tags=["x"]),
    "upsert_feedback": lambda layer: layer.upsert_feedback(Feedback(forId="s1", value=1, threadId="t1")),
    "set_step_favorite": lambda layer: layer.set_step_favorite(message("s1"), True),
}


@pytest.mark.parametrize("late", LATE_WRITES)
async def test_a_late_write_to_a_deleted_thread_does_nothing(layer: Any, rows: Rows, storage: Any, late: str) -> None:
    await full_thread(layer)
    await layer.delete_thread("t1")
    before, files = rows(), files_in(storage.path)
    enter_chat("t1")
    await LATE_WRITES[late](layer)
    assert (rows(), files_in(storage.path)) == (before, files)


@pytest.mark.parametrize("late", LATE_WRITES)
async def test_a_late_write_of_another_process_does_nothing(
    layer: Any, make_layer: Any, rows: Rows, storage: Any, late: str
) -> None:
    await full_thread(layer)
    await layer.delete_thread("t1")
    before, files = rows(), files_in(storage.path)
    enter_chat("t1")
    await LATE_WRITES[late](make_layer())
    assert (rows(), files_in(storage.path)) == (before, files)


async def test_what_slips_in_from_another_process_is_swept_at_its_disconnect(
    layer: Any, make_layer: Any, rows: Rows, storage: Any
) -> None:
    other = make_layer()
    await full_thread(other)  # it has just seen the thread alive
    await layer.delete_thread("t1")
    await other.create_step(message("late"))
    await other.create_element(text("late", content="leaked"))
    assert await layer.get_thread("t1") is None
    await other.update_thread("t1", metadata={"chat_profile": None})
    assert keys_of(rows()) == TOMBSTONE
    assert not any(b"leaked" in path.read_bytes() for path in files_in(storage.path))


async def test_what_waits_to_be_written_is_dropped(layer: Any, rows: Rows) -> None:
    await full_thread(layer)
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    writing = [asyncio.create_task(layer.update_step(message("s1", output=f"{n}"))) for n in range(3)]
    await gated.arrived.wait()
    deleting = asyncio.create_task(layer.delete_thread("t1"))
    await asyncio.sleep(0)
    gated.gate.set()
    await asyncio.gather(deleting, *writing)
    assert keys_of(rows()) == TOMBSTONE


async def test_an_upload_under_way_leaves_no_file(layer: Any, rows: Rows, storage: Any) -> None:
    await full_thread(layer)
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    writing = asyncio.create_task(layer.create_element(text("e2", content="uploading")))
    await gated.arrived.wait()
    deleting = asyncio.create_task(layer.delete_thread("t1"))
    await asyncio.sleep(0)
    gated.gate.set()
    await asyncio.gather(deleting, writing)
    assert keys_of(rows()) == TOMBSTONE
    assert not any(b"uploading" in path.read_bytes() for path in files_in(storage.path))


async def test_a_deletion_whose_file_cannot_be_deleted_says_so_and_can_be_repeated(
    layer: Any, rows: Rows, storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await full_thread(layer)

    async def refuse(object_key: str) -> bool:
        raise StorageError("the bucket is away")

    with monkeypatch.context() as away:
        away.setattr(storage, "delete_file", refuse)
        with pytest.raises(StorageError):
            await layer.delete_thread("t1")
    assert await listed(layer) == []
    assert await layer.get_thread_author("t1") == "alice"
    await layer.delete_thread("t1")
    assert keys_of(rows()) == TOMBSTONE
    assert not any(b"hello" in path.read_bytes() for path in files_in(storage.path))


async def test_the_lookup_rows_of_a_bots_thread_go_with_it(layer: Any, rows: Rows) -> None:
    enter_bot("t1")
    await layer.create_step(message("s1"))
    await layer.update_thread("t1", name="teams", user_id="alice")
    assert ("STEP#s1", "STEP") in keys_of(rows())
    await layer.delete_thread("t1")
    assert keys_of(rows()) == TOMBSTONE


@one_engine
async def test_no_lookup_is_written_of_a_step_that_is_deleted_before_it_is_written(layer: Any) -> None:
    await start_thread(layer)
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    enter_bot("t1")
    under_way = asyncio.create_task(layer.update_step(message("s1")))
    await gated.arrived.wait()
    waiting = [asyncio.create_task(call) for call in (layer.create_step(message("s1")), layer.delete_step("s1"))]
    await asyncio.sleep(0.01)
    counting = wrap(layer, Counting)
    gated.gate.set()
    await asyncio.gather(under_way, *waiting)
    assert counting.counts == Counter({"GetItem": 1, "PutItem": 1, "Query": 2})
