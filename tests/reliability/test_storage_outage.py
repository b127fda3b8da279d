"""Files while their storage refuses, fails, goes away: each arrives, and what waits takes no memory."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from chainlit.element import File, Text

from chainlit_dynamodb import (
    DynamoDBDataLayer,
    LocalStorageClient,
    RetryPolicies,
    RetryPolicy,
    S3StorageClient,
    StorageError,
    TransientStorageError,
)
from chainlit_dynamodb.ops.create_bucket import create_bucket
from chainlit_dynamodb.patient_attachments import CONCURRENCY
from chainlit_dynamodb.testing.faults import FaultPlan, FaultProxy
from chainlit_dynamodb.testing.transports import Gated
from chainlit_dynamodb.waiting_room import IN_MEMORY_BYTES
from tests.contract.chats import living, message, start_thread
from tests.reliability.conftest import MakeLayer, Rows, dynamodb_local
from tests.reliability.values import KB
from tests.reliability.waiting import eventually, files_of
from tests.wiring import wrap

pytestmark = dynamodb_local

MB = 1024 * KB
IMPATIENT = RetryPolicies(write=RetryPolicy(0.3))


def text(element_id: str = "e1", content: str = "own words") -> Any:
    return Text(id=element_id, name="a.txt", content=content, for_id="s1", thread_id="t1")


class Away(LocalStorageClient):
    """A storage that is away until it is back.

    Attributes:
        error: What it fails with meanwhile.
        tries: How often it was asked to store something.
        most: How many uploads it was asked for at a time.
    """

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(path)
        self.error: Exception | None = error
        self.tries = 0
        self.most = 0
        self._running = 0

    async def upload_file(self, *args: Any, **options: Any) -> Any:
        self.tries += 1
        self._running += 1
        self.most = max(self.most, self._running)
        try:
            await self._answer()
            return await super().upload_file(*args, **options)
        finally:
            self._running -= 1

    async def delete_file(self, object_key: str) -> bool:
        await self._answer()
        return await super().delete_file(object_key)

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.error is not None:
            raise type(self.error)(*self.error.args)  # a new one: it keeps the frames it comes by


@pytest.fixture
async def away(tmp_path: Path) -> AsyncIterator[Away]:
    """A storage that is away for a while."""
    storage = Away(tmp_path / "away", TransientStorageError("away"))
    yield storage
    await storage.close()


@pytest.fixture
async def proxy(ministack_url: str) -> AsyncIterator[FaultProxy]:
    """What stands between the layer and its bucket."""
    async with FaultProxy(ministack_url, FaultPlan(), seed=1) as proxy:
        yield proxy


@pytest.fixture
def bucket(ministack_url: str) -> Any:
    """A bucket on the engine itself."""
    create_bucket(boto3.client("s3", endpoint_url=ministack_url), "outages")
    return boto3.resource("s3", endpoint_url=ministack_url).Bucket("outages")


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this process keeps its temporary files."""
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(room))
    return room


def copies(room: Path) -> list[Path]:
    return [path for path in room.rglob("*") if path.is_file()]


async def urls_of(layer: DynamoDBDataLayer) -> dict[str, str | None]:
    thread: Any = await layer.get_thread("t1")
    return {element["id"]: element["url"] for element in thread["elements"]}


def read(bucket: Any) -> list[bytes]:
    return [found.get()["Body"].read() for found in bucket.objects.all()]


async def test_a_file_outlasts_a_bucket_that_cannot_be_reached(
    make_layer: MakeLayer, proxy: FaultProxy, bucket: Any
) -> None:
    layer = make_layer(storage_provider=S3StorageClient("outages", endpoint_url=proxy.url))
    await start_thread(layer)
    outage = asyncio.create_task(proxy.outage(5))
    await asyncio.sleep(0.1)
    started = time.monotonic()
    await layer.create_element(text())
    assert time.monotonic() - started > 4
    await outage
    assert list(await urls_of(layer)) == ["e1"]
    assert b"own words" in await asyncio.to_thread(read, bucket)


async def test_a_file_outlasts_a_bucket_that_fails(make_layer: MakeLayer, proxy: FaultProxy, bucket: Any) -> None:
    layer = make_layer(storage_provider=S3StorageClient("outages", endpoint_url=proxy.url))
    await start_thread(layer)
    proxy.plan = FaultPlan(server_error=1.0)
    writing = asyncio.create_task(layer.create_element(text("e2", "while it fails")))
    await eventually(lambda: proxy.injected["server_error"] > 5)  # more than the SDK tries
    proxy.plan = FaultPlan()
    await writing
    assert list(await urls_of(layer)) == ["e2"]
    assert b"while it fails" in await asyncio.to_thread(read, bucket)


async def test_nobody_waits_for_a_file_that_waits(make_layer: MakeLayer, away: Away) -> None:
    layer = make_layer(storage_provider=away)
    await start_thread(layer)
    writing = asyncio.create_task(layer.create_element(text()))
    await eventually(lambda: away.tries > 1)
    started = time.monotonic()
    await layer.create_step(message("s1"))
    assert await urls_of(layer) == {}
    assert time.monotonic() - started < 1
    away.error = None
    await writing


async def test_a_file_that_waits_outlasts_its_session(make_layer: MakeLayer, away: Away, tmp_path: Path) -> None:
    layer = make_layer(storage_provider=away)
    await start_thread(layer)
    (tmp_path / "a.bin").write_bytes(b"of a session")
    element: Any = File(id="e1", name="a.bin", path=str(tmp_path / "a.bin"), for_id="s1", thread_id="t1")
    writing = asyncio.create_task(layer.create_element(element))
    await eventually(lambda: away.tries > 1)
    (tmp_path / "a.bin").unlink()
    away.error = None
    await writing
    assert list(await urls_of(layer)) == ["e1"]
    assert b"of a session" in {path.read_bytes() for path in away.path.rglob("*") if path.is_file()}


async def a_chat_with_a_file(make_layer: MakeLayer, storage: Away) -> Any:
    layer = make_layer(storage_provider=storage)
    await start_thread(layer)
    await layer.create_step(message("s1"))
    await layer.create_element(text())
    return layer


async def test_a_deletion_outlasts_an_outage(make_layer: MakeLayer, away: Away, rows: Rows) -> None:
    refusal, away.error = away.error, None
    layer = await a_chat_with_a_file(make_layer, away)
    away.error = refusal
    deleting = asyncio.create_task(layer.delete_step("s1"))
    await asyncio.sleep(0.2)
    assert not deleting.done()
    away.error = None
    await deleting
    assert [row["SK"]["S"] for row in living(rows())] == ["THREAD"]


async def test_a_deleted_element_is_not_shown_while_the_storage_is_away(make_layer: MakeLayer, away: Away) -> None:
    refusal, away.error = away.error, None
    layer = await a_chat_with_a_file(make_layer, away)
    away.error = refusal
    deleting = asyncio.create_task(layer.delete_element("e1"))
    await asyncio.sleep(0.2)
    reader: Any = make_layer(storage_provider=away)
    assert (await reader.get_thread("t1"))["elements"] == []
    assert len(files_of(away)) == 1
    away.error = None
    await deleting
    assert files_of(away) == []


AGAIN: dict[str, Callable[[Any], Awaitable[None]]] = {
    "the element": lambda layer: layer.delete_element("e1"),
    "its thread": lambda layer: layer.delete_thread("t1"),
}


@pytest.mark.parametrize("what", AGAIN)
async def test_a_file_that_could_not_be_deleted_goes_with_the_next_deletion(
    make_layer: MakeLayer, away: Away, what: str
) -> None:
    away.error = None
    layer = await a_chat_with_a_file(make_layer, away)
    away.error = StorageError("forbidden")
    with pytest.raises(StorageError):
        await layer.delete_element("e1")
    assert len(files_of(away)) == 1
    away.error = None
    await AGAIN[what](layer)
    assert files_of(away) == []


async def test_a_refusal_for_good_is_not_tried_again(
    make_layer: MakeLayer, away: Away, caplog: pytest.LogCaptureFixture
) -> None:
    away.error = StorageError("no such bucket")
    layer = make_layer(storage_provider=away)
    await start_thread(layer)
    await layer.create_element(text())
    assert away.tries == 1
    assert "Not stored: THREAD#t1 ELEMENT#e1: no such bucket" in caplog.text


async def test_an_outage_longer_than_the_patience_costs_the_file_and_says_so(
    make_layer: MakeLayer, away: Away, caplog: pytest.LogCaptureFixture
) -> None:
    layer = make_layer(storage_provider=away, retry=IMPATIENT)
    await start_thread(layer)
    await layer.create_element(text())
    assert away.tries > 1
    assert "Not stored: THREAD#t1 ELEMENT#e1: away" in caplog.text
    assert "own words" not in caplog.text
    assert await urls_of(layer) == {}


async def test_a_few_files_are_stored_at_a_time(make_layer: MakeLayer, away: Away) -> None:
    away.error = None
    layer = make_layer(storage_provider=away)
    await start_thread(layer)
    await asyncio.gather(*(layer.create_element(text(f"e{n}", f"{n}")) for n in range(30)))
    assert away.most <= CONCURRENCY
    assert len(await urls_of(layer)) == 30


async def test_files_that_wait_take_no_memory_and_are_all_stored(
    make_layer: MakeLayer, away: Away, room: Path
) -> None:
    layer = make_layer(storage_provider=away)
    await start_thread(layer)
    gc.collect()
    tracemalloc.start()
    tasks = [asyncio.create_task(layer.create_element(text(f"e{n}", f"{n}:".ljust(2 * MB, "x")))) for n in range(40)]
    await eventually(lambda: [path.stat().st_size for path in copies(room)] == [2 * MB] * 40)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < IN_MEMORY_BYTES + CONCURRENCY * 2 * MB
    away.error = None
    await asyncio.gather(*tasks)
    stored = {path.stat().st_size for path in away.path.rglob("*") if path.is_file()}
    assert 2 * MB in stored
    assert len(await urls_of(layer)) == 40


async def test_what_waits_leaves_nothing_on_disk(make_layer: MakeLayer, away: Away, room: Path) -> None:
    layer = make_layer(storage_provider=away, close_seconds=0.1)
    await start_thread(layer)
    stored, lost = (asyncio.create_task(layer.create_element(text(f"e{n}"))) for n in range(2))
    await eventually(lambda: len(copies(room)) == 2)
    assert all(path.stat().st_mode & 0o077 == 0 for path in copies(room))
    await layer.close()
    assert copies(room) == []
    away.error = None
    await asyncio.gather(stored, lost)


async def test_close_ends_in_time_and_counts_the_files_that_were_lost(
    make_layer: MakeLayer, away: Away, caplog: pytest.LogCaptureFixture
) -> None:
    layer = make_layer(storage_provider=away, close_seconds=0.3)
    await start_thread(layer)
    tasks = [asyncio.create_task(layer.create_element(text(f"e{n}"))) for n in range(3)]
    await eventually(lambda: away.tries > 3)
    started = time.monotonic()
    await layer.close()
    assert time.monotonic() - started < 2
    assert "Closed with 3 writes" in caplog.text
    await asyncio.gather(*tasks)


async def test_close_counts_files_and_writes_that_are_lost_together(
    make_layer: MakeLayer, away: Away, caplog: pytest.LogCaptureFixture
) -> None:
    layer = make_layer(storage_provider=away, close_seconds=0.2)
    await start_thread(layer)
    tasks = [asyncio.create_task(layer.create_element(text(f"e{n}"))) for n in range(3)]
    await eventually(lambda: away.tries > 3)
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    tasks += [asyncio.create_task(layer.update_step(message(f"s{n}"))) for n in range(2)]
    await gated.arrived.wait()
    await layer.close()
    assert "Closed with 5 writes" in caplog.text
    await asyncio.wait(tasks)


async def test_the_start_check_does_not_wait_for_a_storage_that_is_away(make_layer: MakeLayer, away: Away) -> None:
    layer = make_layer(storage_provider=away)
    with pytest.raises(TransientStorageError):
        await asyncio.wait_for(layer.check(), 2)


async def test_a_file_outlasts_its_session_while_the_table_is_away(
    make_layer: MakeLayer, storage: LocalStorageClient, tmp_path: Path
) -> None:
    layer = make_layer()
    await start_thread(layer)
    original = tmp_path / "session" / "a.txt"
    original.parent.mkdir()
    original.write_text("uploaded by a browser")
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    element = File(id="e1", name="a.txt", path=str(original), for_id="s1", thread_id="t1")
    creating = asyncio.create_task(layer.create_element(element))
    await gated.arrived.wait()
    original.unlink()  # "New Chat": Chainlit deletes the session's folder
    gated.gate.set()
    await creating
    assert len(await urls_of(layer)) == 1


async def test_files_take_no_memory_while_the_table_is_away(
    make_layer: MakeLayer, storage: LocalStorageClient, room: Path
) -> None:
    layer = make_layer()
    await start_thread(layer)
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    tasks = [asyncio.create_task(layer.create_element(text(f"e{n}", "x" * MB))) for n in range(30)]
    await gated.arrived.wait()
    await eventually(lambda: len(copies(room)) == 30 - IN_MEMORY_BYTES // MB)
    gated.gate.set()
    await asyncio.gather(*tasks)
    assert copies(room) == []
    assert len(await urls_of(layer)) == 30
