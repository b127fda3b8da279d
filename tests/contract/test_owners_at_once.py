"""Changes of several people that wait for one row: each is allowed or refused by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chainlit_dynamodb.testing.transports import Gated
from tests.contract.chats import (
    enter_bot,
    enter_chat,
    ids,
    leave,
    message,
    one_engine,
    person,
    start_thread,
    steps_of,
)
from tests.wiring import wrap

pytestmark = one_engine

MALLORY = person("mallory")


@asynccontextmanager
async def held_up(layer: Any) -> AsyncIterator[None]:
    """Let changes wait: the first one of a row does not arrive before the block is over."""
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    yield
    await asyncio.sleep(0.05)
    gated.gate.set()


async def begun(call: Any) -> asyncio.Task[Any]:
    """Begin a call as who is asking now."""
    task: asyncio.Task[Any] = asyncio.ensure_future(call)
    await asyncio.sleep(0)
    return task


@pytest.fixture(params=["in memory", "on disk"])
def crowded(request: pytest.FixtureRequest, make_layer: Callable[..., Any]) -> Any:
    """Give a layer whose changes wait in memory, or on disk."""
    return make_layer(**({"max_pending_bytes": 1} if request.param == "on disk" else {}))


async def test_a_flood_does_not_take_over_the_thread_that_a_bot_makes(crowded: Any, make_layer: Any) -> None:
    async with held_up(crowded):
        enter_bot("t1", person("alice"))
        calls = [await begun(crowded.update_thread("t1", name="teams"))]
        calls += [await begun(crowded.update_thread("t1", user_id="alice", metadata={"team": 1}))]
        for _ in range(20):
            enter_chat("t1", MALLORY)
            calls += [await begun(crowded.update_thread("t1", name="hi", user_id="mallory"))]
            calls += [await begun(crowded.update_thread("t1", metadata={"team": 2}))]
    await asyncio.gather(*calls)
    thread = await make_layer().get_thread("t1")
    assert (thread["userIdentifier"], thread["name"], thread["metadata"]) == ("alice", "teams", {"team": 1})


@pytest.mark.parametrize("order", [("alice", "mallory"), ("mallory", "alice"), ("mallory", "alice", "mallory")])
async def test_a_strangers_change_takes_no_other_along(crowded: Any, make_layer: Any, order: tuple[str, ...]) -> None:
    await start_thread(crowded)
    await crowded.create_step(message("s1"))
    await crowded.create_step(message("s2"))
    async with held_up(crowded):
        enter_bot("t1")  # what is under way, for which the others wait
        calls = [await begun(crowded.update_step(message("s1", command="search")))]
        calls += [await begun(crowded.update_step(message("s2", command="search")))]
        calls += [await begun(crowded.update_thread("t1", tags=["a"]))]
        for user in order:
            enter_chat("t1", person(user))
            calls += [await begun(crowded.update_step(message("s1", output=f"of {user}")))]
            calls += [await begun(crowded.update_thread("t1", metadata={"is_shared": user == "mallory"}))]
            calls += [
                await begun(
                    crowded.delete_step("s2")
                    if user == "alice"
                    else crowded.update_step(message("s2", output=f"of {user}"))
                )
            ]
    await asyncio.gather(*calls)
    thread = await make_layer().get_thread("t1")
    assert ids(thread["steps"]) == ["s1"]
    step = thread["steps"][0]
    assert (step["output"], thread["metadata"], thread["tags"]) == ("of alice", {"is_shared": False}, ["a"])


async def test_a_strangers_deletion_deletes_nothing_of_what_waits(layer: Any, make_layer: Any) -> None:
    await start_thread(layer)
    async with held_up(layer):
        calls = [await begun(layer.create_step(message("s1", output="one")))]
        calls += [await begun(layer.update_step(message("s1", output="two")))]
        enter_chat("t1", MALLORY)
        calls += [await begun(layer.delete_step("s1"))]
        enter_chat("t1")
        calls += [await begun(layer.update_step(message("s1", output="three")))]
    await asyncio.gather(*calls)
    assert (await steps_of(make_layer()))["s1"]["output"] == "three"


async def test_what_a_stranger_told_of_a_thread_before_it_was_made_is_not_taken_over(layer: Any) -> None:
    for user in (person("alice"), MALLORY):
        enter_chat("t1", user)
        await layer.update_thread("t1", metadata={user.identifier: True}, tags=[user.identifier])
    enter_chat("t1")
    await layer.update_thread("t1", name="hers", user_id="alice")
    thread = await layer.get_thread("t1")
    assert (thread["metadata"], thread["tags"]) == ({"alice": True}, ["alice"])


async def test_what_the_owner_told_of_a_thread_is_taken_over_whoever_makes_it(layer: Any) -> None:
    enter_bot("t1", person("alice"))
    await layer.update_thread("t1", metadata={"bot": "early"})
    enter_chat("t1", MALLORY)
    await layer.update_thread("t1", metadata={"mallory": True})
    enter_chat("t1")
    await layer.update_thread("t1", metadata={"alice": True})
    enter_bot("t1", person("alice"))
    await layer.update_thread("t1", name="teams", user_id="alice", metadata={"by": "bot"})
    assert (await layer.get_thread("t1"))["metadata"] == {"bot": "early", "alice": True, "by": "bot"}


async def test_a_stranger_who_is_refused_does_not_use_up_what_was_told_before(layer: Any, make_layer: Any) -> None:
    enter_chat("t1")
    await layer.update_thread("t1", metadata={"alice": True})
    leave()
    await make_layer().update_thread("t1", name="hers", user_id="alice")
    enter_chat("t1", MALLORY)
    await layer.update_thread("t1", name="mine", user_id="mallory")
    enter_chat("t1")
    await layer.update_thread("t1", tags=["a"])
    assert (await layer.get_thread("t1"))["metadata"] == {"alice": True}
