"""close(): drains, may be called again, never raises."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from chainlit_dynamodb import DynamoDBDataLayer
from chainlit_dynamodb.testing.transports import Gated, Shuffling
from tests.contract.chats import GIVEN_CLIENT, enter_chat, message, one_engine, start_thread
from tests.contract.conftest import client_of
from tests.wiring import switch_of, wrap


async def test_close_writes_what_is_pending(layer: Any, make_layer: Any) -> None:
    await start_thread(layer)
    wrap(layer, Shuffling)
    writing = [asyncio.create_task(layer.create_step(message(f"s{n}"))) for n in range(20)]
    writing += [asyncio.create_task(layer.update_step(message(f"s{n}", output="last"))) for n in range(20)]
    await asyncio.sleep(0)
    await layer.close()
    steps = (await make_layer().get_thread("t1"))["steps"]
    assert [step["output"] for step in steps] == ["last"] * 20
    await asyncio.gather(*writing)


async def test_close_of_an_unused_layer_does_nothing(layer: Any) -> None:
    await layer.close()


async def test_close_may_be_called_again(layer: Any) -> None:
    await start_thread(layer)
    await layer.close()
    await layer.close()
    await asyncio.gather(layer.close(), layer.close())


async def test_close_gives_up_in_time_and_says_so(make_layer: Any, caplog: pytest.LogCaptureFixture) -> None:
    layer = make_layer(close_seconds=0.1)
    await start_thread(layer)
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    writing = asyncio.create_task(layer.create_step(message("s1", output="private words")))
    await gated.arrived.wait()
    started = time.monotonic()
    await layer.close()
    assert time.monotonic() - started < 5
    assert any("could not be stored" in record.getMessage() for record in caplog.records)
    assert "private words" not in caplog.text
    await asyncio.wait([writing])
    assert not writing.cancelled() or writing.done()


@one_engine
@pytest.mark.parametrize("error", [RuntimeError("no"), TypeError("object NoneType can't be used in 'await'")])
async def test_close_never_raises_even_if_the_storage_does(
    make_layer: Any, storage: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail() -> None:
        raise error

    layer = make_layer()
    await start_thread(layer)
    transport: Any = switch_of(layer).inner
    with monkeypatch.context() as broken:
        broken.setattr(storage, "close", fail)
        await layer.close()
    assert not transport.is_open


@one_engine
async def test_close_takes_a_storage_whose_close_is_synchronous(make_layer: Any) -> None:
    class Synchronous:
        def close(self) -> None:
            return None

        async def upload_file(self, object_key: str, data: Any, mime: str = "", overwrite: bool = True) -> Any:
            return {}

    await make_layer(storage_provider=Synchronous()).close()


@pytest.mark.parametrize("backend", [GIVEN_CLIENT], indirect=True)
async def test_a_given_client_is_never_closed(make_layer: Any, dynamodb_url: str) -> None:
    client = client_of(dynamodb_url)
    layer = make_layer(client=client)
    await start_thread(layer)
    await layer.close()
    assert client.list_tables(Limit=1)
    assert layer.client is client


@pytest.mark.parametrize("backend", [GIVEN_CLIENT], indirect=True)
async def test_close_does_not_wait_for_a_client_that_hangs(make_layer: Any, dynamodb_url: str) -> None:
    import threading

    hanging = threading.Event()

    class Hanging:
        def __getattr__(self, name: str) -> Any:
            return lambda **_: hanging.wait(30)

    layer = make_layer(client=Hanging(), close_seconds=0.1)
    enter_chat("t1")
    writing = asyncio.create_task(layer.create_step(message("s1")))
    await asyncio.sleep(0.05)
    started = time.monotonic()
    await layer.close()
    took = time.monotonic() - started
    hanging.set()
    await asyncio.wait([writing])
    assert took < 5


@pytest.mark.parametrize("backend", [GIVEN_CLIENT], indirect=True)
async def test_a_given_client_may_answer_with_awaitables(make_layer: Any, dynamodb_url: str) -> None:
    client = client_of(dynamodb_url)

    class Asynchronous:
        def __getattr__(self, name: str) -> Any:
            async def call(**request: Any) -> Any:
                return await asyncio.to_thread(getattr(client, name), **request)

            return call

    layer = make_layer(client=Asynchronous())
    await start_thread(layer)
    await layer.create_step(message("s1", metadata={"deep": "x" * 9000}))
    (step,) = (await layer.get_thread("t1"))["steps"]
    assert step["metadata"] == {"deep": "x" * 9000}


def test_a_layer_can_be_used_in_one_loop_after_another(dynamodb_local_url: str) -> None:
    layer = DynamoDBDataLayer("no-such-table", endpoint_url=dynamodb_local_url)

    async def use() -> None:
        from chainlit_dynamodb.errors import SchemaError

        with pytest.raises(SchemaError):
            await layer.get_user("alice")
        await layer.close()

    asyncio.run(use())
    asyncio.run(use())


async def test_closing_at_shutdown_keeps_the_order_of_a_deletion(layer: Any, make_layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    wrap(layer, Shuffling)
    writing = [asyncio.create_task(layer.update_step(message("s1", output="x")))]
    await asyncio.sleep(0)
    writing.append(asyncio.create_task(layer.delete_step("s1")))
    await asyncio.sleep(0)
    await layer.close()
    assert (await make_layer().get_thread("t1"))["steps"] == []
    await asyncio.gather(*writing)
