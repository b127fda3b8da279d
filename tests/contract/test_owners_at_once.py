"""Changes of several people that wait for one row: each is allowed or refused by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from chainlit.element import CustomElement

from chainlit_dynamodb.testing.transports import Counting, Gated
from tests.contract.chats import (
    enter_bot,
    enter_chat,
    ids,
    leave,
    listed,
    message,
    one_engine,
    person,
    start_thread,
    steps_of,
)
from tests.reliability.waiting import eventually
from tests.wiring import wrap

pytestmark = one_engine

MALLORY = person("mallory")


def chart(element_id: str, thread_id: str = "t1", **props: Any) -> Any:
    return CustomElement(id=element_id, name="Chart", props=props, for_id="s1", thread_id=thread_id)


class Slow(Counting):
    """An engine that takes its time."""

    async def call(self, operation: str, request: Any) -> dict[str, Any]:
        """Send a request and count it."""
        await asyncio.sleep(0.005)
        return await super().call(operation, request)


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


async def test_changes_of_different_people_stay_within_the_memory_bound(make_layer: Callable[..., Any]) -> None:
    layer = make_layer(max_pending_bytes=1_000_000)
    await start_thread(layer)
    calls: list[asyncio.Task[Any]] = []
    async with held_up(layer):
        for number in range(200):  # two tabs of one user, of which only one is in the thread
            enter_chat("t1" if number % 2 else "t2")
            calls += [await begun(layer.create_element(chart("e1", number=number, text="x" * 100_000)))]
        await asyncio.sleep(0.05)
        assert layer.backlog.size_bytes < 1_300_000
    await asyncio.gather(*calls)
    (element,) = (await make_layer().get_thread("t1"))["elements"]
    assert element["props"]["number"] == 199


async def test_a_flood_of_strangers_keeps_no_reader_waiting(layer: Any) -> None:
    await start_thread(layer)
    slow = wrap(layer, lambda inner: Slow(inner))
    calls = []
    for number in range(300):
        enter_chat("t2", person("mallory" if number % 2 else "mallory2"))
        calls += [await begun(layer.create_element(chart("e1", number=number)))]
    leave()
    await layer.get_thread("t1")
    await asyncio.gather(*calls)
    assert slow.counts["GetItem"] < 10


@pytest.mark.parametrize("attack", ["claims it", "writes in it"])
async def test_a_stranger_who_is_refused_keeps_no_chat_from_moving_up(layer: Any, attack: str) -> None:
    await start_thread(layer, "t1")
    await start_thread(layer, "t2")
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    enter_chat("t1", MALLORY)
    calls = [await begun(layer.update_thread("t1", name="hi", user_id="mallory"))] if attack == "claims it" else []
    enter_chat("t1")
    calls += [await begun(layer.create_step(message("s1")))]
    enter_chat("t1", MALLORY)
    calls += [await begun(layer.create_step(message("s2")))] if attack == "writes in it" else []
    await asyncio.sleep(0.1)
    gated.gate.set()
    await asyncio.gather(*calls)
    assert await listed(layer) == ["t1", "t2"]


async def test_what_was_told_before_a_chat_is_handed_over_is_stored(make_layer: Callable[..., Any]) -> None:
    """A server that has not looked at the chat lately hears of its new owner while the message waits."""
    first, second = make_layer(), make_layer()
    for number in range(10):
        await start_thread(first, f"t{number}")
        enter_chat(f"t{number}")
        call = await begun(second.create_step(message("s1", f"t{number}", output="I want a human")))
        await second.update_thread(f"t{number}", user_id="support")
        await call
        assert list(await steps_of(first, f"t{number}")) == ["s1"]


async def test_a_second_chat_that_is_given_away_leaves_the_first_as_it_is(layer: Any) -> None:
    await start_thread(layer)
    await layer.update_thread("t1", user_id="support")
    await layer.create_step(message("s1"))
    await layer.update_thread("ticket", name="for Carol", user_id="carol")
    await layer.create_step(message("s2"))
    assert list(await steps_of(layer)) == ["s1", "s2"]


async def test_a_browser_does_not_reach_what_an_app_made_for_somebody_else(layer: Any) -> None:
    await start_thread(layer, user_id="mallory")
    await layer.update_thread("ticket", name="for Carol", user_id="carol")
    await layer.create_element(chart("e1", "ticket"))
    assert (await layer.get_thread("ticket"))["elements"] == []


async def test_much_that_a_stranger_tells_does_not_displace_what_was_told_before(layer: Any) -> None:
    enter_chat("t1")
    await layer.update_thread("t1", metadata={"plan": "gold"})
    enter_chat("t1", MALLORY)
    await layer.update_thread("t1", metadata={"x": "y" * 5_000_000})
    enter_chat("t1")
    await layer.update_thread("t1", name="hers", user_id="alice")
    assert (await layer.get_thread("t1"))["metadata"] == {"plan": "gold"}


async def test_what_was_told_before_waits_for_the_owner(layer: Any) -> None:
    enter_chat("t1")
    await layer.update_thread("t1", metadata={"plan": "gold"})
    enter_bot("t1", person("alice"))
    await layer.update_thread("t1", name="teams")
    await layer.update_thread("t1", user_id="alice")
    assert (await layer.get_thread("t1"))["metadata"] == {"plan": "gold"}


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


class Expected:
    """What Alice's and a bot's changes come to, in the order they were asked for."""

    def __init__(self) -> None:
        self.step: str | None = "0"
        self.element: dict[str, Any] | None = {}
        self.metadata: dict[str, Any] = {}
        self.tags: list[Any] = []

    def begin(self, layer: Any, number: int, who: str, what: str, key: str) -> Any:
        """Give a call; it counts unless a stranger makes it."""
        wanted = Expected() if who.startswith("mallory") else self
        text = f"{who} {number}"
        match what:
            case "says":
                wanted.step = wanted.step and text
                return layer.update_step(message("s1", output=text))
            case "unsays":
                wanted.step = None
                return layer.delete_step("s1")
            case "notes":
                wanted.metadata[key] = number
                return layer.update_thread("t1", metadata={key: number})
            case "tags":
                wanted.tags = [text]
                return layer.update_thread("t1", tags=[text])
            case "attaches":
                wanted.element = None if wanted.element is None else {"number": number}
                return layer.create_element(chart("e1", number=number))
            case _:
                wanted.element = None
                return layer.delete_element("e1", "t1")


@pytest.mark.parametrize("seed", range(8))
async def test_what_all_do_at_once_is_what_those_who_may_have_asked_for(
    crowded: Any, make_layer: Callable[..., Any], seed: int
) -> None:
    chance, expected = random.Random(seed), Expected()  # noqa: S311 - drawn again from the same seed
    await start_thread(crowded)
    await crowded.create_step(message("s1", output="0"))
    await crowded.create_element(CustomElement(id="e1", name="Chart", props={}, for_id="s0", thread_id="t1"))
    deeds = ["says", "notes", "tags", "attaches"] * 4 + ["unsays", "detaches"]
    calls = []
    async with held_up(crowded):
        for number in range(24):
            who = chance.choice(["alice", "bot", "mallory", "mallory2"])
            enter_bot("t1") if who == "bot" else enter_chat("t1", person(who))
            call = await begun(expected.begin(crowded, number, who, chance.choice(deeds), chance.choice("xyz")))
            await asyncio.sleep(0.002)
            if chance.random() < 0.15:
                call.cancel()
            calls += [call]
    if seed % 2:
        await crowded.close()
    await asyncio.gather(*calls, return_exceptions=True)
    leave()
    await eventually(lambda: crowded.backlog == (0, 0, 0))
    thread = await make_layer().get_thread("t1")
    assert {step["id"]: step["output"] for step in thread["steps"]} == (
        {"s1": expected.step} if expected.step else {}
    )
    assert [element["props"] for element in thread["elements"]] == (
        [] if expected.element is None else [expected.element]
    )
    assert (thread["metadata"], thread["tags"] or []) == (expected.metadata, expected.tags)
