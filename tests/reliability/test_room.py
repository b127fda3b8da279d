"""Where a row is nearly as large as an item can be, there is room for what comes later."""

from __future__ import annotations

from typing import Any

from chainlit.types import Feedback

from tests.contract.chats import listed, message, start_thread, steps_of
from tests.reliability.conftest import MakeLayer
from tests.reliability.values import KB, incompressible

FIELDS = {f"field{number}": incompressible(47 * KB, number) for number in range(8)}
"""Each stays in its row, and all of them nearly fill it."""


async def a_full_row(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1", **FIELDS, output=incompressible(22 * KB, 99)))


async def test_feedback_finds_room(make_layer: MakeLayer) -> None:
    layer = make_layer()
    await a_full_row(layer)
    feedback = Feedback(forId="s1", threadId="t1", value=1, comment="x" * 900)
    assert await layer.upsert_feedback(feedback)
    step = (await steps_of(layer))["s1"]
    assert (step["feedback"]["value"], step["feedback"]["comment"]) == (1, "x" * 900)
    assert {name: step[name] for name in FIELDS} == FIELDS
    assert await listed(layer, feedback=1) == ["t1"]


async def test_a_star_finds_room(make_layer: MakeLayer) -> None:
    layer = make_layer()
    await a_full_row(layer)
    await layer.set_step_favorite(message("s1", metadata={"note": "y" * 900}), True)
    starred: list[Any] = list(await layer.get_favorite_steps("alice"))
    assert [{name: step[name] for name in FIELDS} for step in starred] == [FIELDS]


async def test_what_is_added_later_finds_room(make_layer: MakeLayer) -> None:
    layer = make_layer()
    await a_full_row(layer)
    late: Any = {"id": "s1", "threadId": "t1", "input": incompressible(30 * KB, 7)}
    await layer.update_step(late)
    step = (await steps_of(layer))["s1"]
    assert step["input"] == late["input"]
    assert {name: step[name] for name in FIELDS} == FIELDS
