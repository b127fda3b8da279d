"""Two users and an attacker on two servers: nothing of theirs changes, and nothing is learnt, whatever is called.

What Alice and Bob do is done twice: with Mallory's calls in between, and without. What they see must be the same.
Mallory is in sessions of any thread, and knows all ids; what Chainlit itself checks, it has checked.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from chainlit.element import CustomElement
from chainlit.types import Feedback
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chainlit_dynamodb import DynamoDBDataLayer
from tests.contract.chats import (
    answer_requests,
    authenticate,
    enter_chat,
    leave,
    message,
    one_engine,
    page_of,
    person,
)
from tests.wiring import aio_transport

EXAMPLES = int(os.environ.get("ATTACKER_EXAMPLES", "12"))
VICTIMS = ("alice", "bob")
SECRET = "secret of "

whose = st.sampled_from([*VICTIMS, "mallory"])
step_numbers, element_numbers, servers = st.integers(0, 2), st.integers(0, 1), st.integers(0, 1)


class Call(NamedTuple):
    """A call: who asks which server to do what in whose thread."""

    who: str
    server: int
    what: str
    owner: str
    step: int
    element: int
    flag: bool
    stays: bool


OWN = ["rename", "share", "speak", "change", "unsay", "attach", "detach", "rate", "unrate", "star", "leave"]
calls = st.lists(
    st.builds(
        Call, whose, servers, st.sampled_from(OWN), whose, step_numbers, element_numbers, st.booleans(), st.booleans()
    ),
    min_size=15,
    max_size=40,
)


class World:
    """Some users' threads, and two servers."""

    def __init__(self, layers: Sequence[DynamoDBDataLayer], prefix: str) -> None:
        self.layers, self.prefix = layers, prefix
        self.learnt: list[Any] = []
        self.number = itertools.count()

    def user(self, name: str) -> Any:
        return person(self.prefix + name)

    def thread(self, name: str) -> str:
        return f"{self.prefix}thread-{name}"

    async def begin(self) -> None:
        for name in (*VICTIMS, "mallory"):
            enter_chat(self.thread(name), self.user(name))
            await self.layers[0].update_thread(self.thread(name), name=f"of {name}", user_id=self.prefix + name)
            await self.layers[0].create_step(self.message(name, 0, f"{SECRET}{name}"))
            leave()

    def message(self, owner: str, step: int, output: str) -> Any:
        created_at = f"2026-11-01T10:00:0{step}.000000Z"
        return message(f"s{step}", self.thread(owner), output=output, createdAt=created_at)

    async def do(self, call: Call) -> None:
        """Make a call as Chainlit does: in a session, or in a request that has read its user."""
        owner = call.owner if call.who == "mallory" else call.who
        # A session of the thread, or one of their own thread that names the thread.
        enter_chat(self.thread(owner if call.stays else call.who), self.user(call.who))
        secret = f"{SECRET}{call.who} {next(self.number) if call.who != 'mallory' else 0}"
        answer = await self.call(call, owner, secret)
        self.learnt += [answer] if call.who == "mallory" else []

    async def call(self, call: Call, owner: str, secret: str) -> Any:
        layer, thread = self.layers[call.server], self.thread(owner)
        match call.what:
            case "rename":
                return await layer.update_thread(thread, name=secret, user_id=self.prefix + call.who)
            case "share":
                return await layer.update_thread(thread, metadata={"is_shared": call.flag, "note": secret})
            case "speak":
                return await layer.create_step(self.message(owner, call.step, secret))
            case "change":
                return await layer.update_step(self.message(owner, call.step, secret))
            case "unsay":
                return await layer.delete_step(f"s{call.step}")
            case "attach":
                return await layer.create_element(self.element(call, thread, secret))
            case "detach":
                return await layer.delete_element(f"e{call.element}", thread)
            case "rate":
                return await self.rate(call, layer, thread, secret)
            case "unrate":
                return await self.unrate(call, layer, thread)
            case "star":
                return await layer.set_step_favorite(self.message(owner, call.step, secret), call.flag)
            case _:
                session: dict[str, Any] = {"chat_profile": None, "chat_settings": {}, "client_type": "webapp"}
                return await layer.update_thread(thread, metadata={**session, "is_shared": True, "left": secret})

    def element(self, call: Call, thread: str, secret: str) -> Any:
        step: dict[str, Any] = {"for_id": f"s{call.step}", "thread_id": thread}
        return CustomElement(id=f"e{call.element}", name="Chart", props={"text": secret}, **step)

    async def rate(self, call: Call, layer: Any, thread: str, secret: str) -> Any:
        leave()
        await authenticate(layer, self.prefix + call.who)
        value: Any = int(call.flag)
        return await layer.upsert_feedback(Feedback(f"s{call.step}", value, thread, comment=secret))

    async def unrate(self, call: Call, layer: Any, thread: str) -> Any:
        leave()
        await authenticate(layer, self.prefix + call.who)
        found: Any = await self.layers[0].get_thread(thread) or {"steps": []}
        ids = [step["feedback"]["id"] for step in found["steps"] if step.get("feedback")]
        return [await layer.delete_feedback(feedback_id) for feedback_id in ids]

    async def read(self, name: str) -> dict[str, Any]:
        """Read all that a user gets to see by Chainlit's routes."""
        layer, user_id, threads = self.layers[1], self.prefix + name, {}
        for owner in (*VICTIMS, "mallory"):
            if await layer.get_thread_author(self.thread(owner)) == user_id:
                threads[owner] = await layer.get_thread(self.thread(owner))
        return {
            "threads": threads,
            "listed": (await page_of(layer, userId=user_id)).data,
            "found": [(await page_of(layer, userId=user_id, feedback=value)).data for value in (0, 1)],
            "favorites": await layer.get_favorite_steps(user_id),
        }


def normal(seen: Any, prefix: str) -> Any:
    """Leave out what differs between two runs: the prefix, times, and the ids of feedback."""
    if isinstance(seen, dict):
        left_out = {"createdAt"} | ({"id"} if "forId" in seen and "value" in seen else set())
        return {key: normal(value, prefix) for key, value in seen.items() if key not in left_out}
    if isinstance(seen, list):
        return [normal(value, prefix) for value in seen]
    return seen.replace(prefix, "") if isinstance(seen, str) else seen


async def story(layers: Sequence[DynamoDBDataLayer], prefix: str, chosen: list[Call]) -> World:
    world = World(layers, prefix)
    await world.begin()
    for call in chosen:
        # Each call is a task of its own, as each request is.
        await asyncio.create_task(world.do(call))
    return world


@one_engine
def test_an_attacker_changes_and_learns_nothing(table_name: str, dynamodb_url: str) -> None:
    prefixes = itertools.count()

    @settings(
        max_examples=EXAMPLES,
        derandomize=EXAMPLES == 12,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(calls)
    def check(chosen: list[Call]) -> None:
        asyncio.run(both(chosen))

    async def both(chosen: list[Call]) -> None:
        layers = [DynamoDBDataLayer(table_name, transport=aio_transport(dynamodb_url, table_name)) for _ in range(2)]
        try:
            attacked = await story(layers, f"r{next(prefixes)}-", chosen)
            calm = await story(layers, f"r{next(prefixes)}-", [call for call in chosen if call.who != "mallory"])
            for name in VICTIMS:
                seen, undisturbed = await attacked.read(name), await calm.read(name)
                assert normal(seen, attacked.prefix) == normal(undisturbed, calm.prefix)
            learnt = json.dumps([attacked.learnt, await attacked.read("mallory")])
            assert not any(f"{SECRET}{name}" in learnt for name in VICTIMS)
        finally:
            for layer in layers:
                await layer.close()

    with pytest.MonkeyPatch.context() as monkeypatch:
        answer_requests(monkeypatch)
        check()
