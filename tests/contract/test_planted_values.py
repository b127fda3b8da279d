"""What somebody has put into the table who may write to it: values that take far more memory than they have bytes."""

from __future__ import annotations

import base64
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from chainlit_dynamodb.dynamodb.packing import MAX_INFLATED_BYTES, UNREADABLE, Packed
from chainlit_dynamodb.rows import large_values
from tests.contract.chats import message, one_engine, start_thread, steps_of

MB = 1024 * 1024
PutRow = Callable[..., None]
pytestmark = one_engine


def bomb(raw_bytes: int) -> dict[str, Any]:
    """Give a text of zeros, which has a thousandth of its length."""
    sent = Packed(2, raw_bytes, zlib.compress(b"0" * raw_bytes, 9)).attribute()["B"]
    return {"B": base64.b64decode(sent)}  # as SDKs take it


def plant(put_row: PutRow, step_id: str, **values: Any) -> None:
    fields = {name: {"S": str(value)} for name, value in message(step_id).items() if isinstance(value, str)}
    put_row("THREAD#t1", f"STEP#{step_id}", **{**fields, **values})


async def peak_of(layer: Any) -> tuple[dict[str, Any], int]:
    tracemalloc.start()
    try:
        steps = await steps_of(layer)
        return steps, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_a_value_that_inflates_beyond_the_limit_is_damaged_and_the_rest_is_read(
    layer: Any, put_row: PutRow, caplog: pytest.LogCaptureFixture
) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1", output="fine"))
    plant(put_row, "s2", output=bomb(MAX_INFLATED_BYTES + MB))

    steps, peak = await peak_of(layer)

    assert (steps["s1"]["output"], steps["s2"]["output"]) == ("fine", UNREADABLE)
    assert peak < 16 * MB
    assert [record.getMessage() for record in caplog.records] == ["THREAD#t1 STEP#s2: damaged: output"]


async def test_values_of_one_read_have_a_limit_together(
    layer: Any, put_row: PutRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_values, "MAX_READ_INFLATED_BYTES", 10 * MB)
    await start_thread(layer)
    await layer.create_step(message("s0", output="fine"))
    for number in range(1, 21):
        plant(put_row, f"s{number}", output=bomb(4 * MB))

    steps, peak = await peak_of(layer)

    assert steps["s0"]["output"] == "fine"
    assert [step["output"] for step in steps.values()].count(UNREADABLE) == 18
    assert peak < 40 * MB


async def test_many_small_values_count_as_well(layer: Any, put_row: PutRow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_values, "MAX_READ_INFLATED_BYTES", 10 * MB)
    await start_thread(layer)
    await layer.create_step(message("s0", output="fine"))
    plant(put_row, "s1", **{f"x{number}": bomb(60_000) for number in range(1000)})

    steps, peak = await peak_of(layer)

    assert steps["s0"]["output"] == "fine"
    assert peak < 40 * MB
