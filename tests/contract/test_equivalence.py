"""Random sequences of operations on this layer and on Chainlit's SQLAlchemy layer end in the same chats."""

from __future__ import annotations

import asyncio
import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
from chainlit.element import Text
from chainlit.types import Feedback
from chainlit.user import User
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chainlit_dynamodb import DynamoDBDataLayer
from tests.contract.chats import enter_chat, one_engine, page_of, person, tool
from tests.contract.sql_layer import MemoryStorage, normal_thread, sql_layer
from tests.wiring import aio_transport

EXAMPLES = 60
USERS = ("alice", "bob")
PLAIN = {"output": "x", "input": "y", "isError": False, "metadata": {}, "generation": None, "language": "json"}

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
numbers = st.integers(-(2**53), 2**53) | st.integers(-(10**6), 10**6).map(lambda n: n / 8)
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
metadata = st.dictionaries(st.sampled_from(["a", "b", "chat_profile", "is_shared", "ü"]), values, max_size=3)
slots = st.integers(0, 2)
fields = st.fixed_dictionaries(
    {
        "output": words,
        "input": words,
        "isError": st.booleans(),
        "metadata": st.dictionaries(words, values, max_size=2),
        "generation": st.none() | st.fixed_dictionaries({"tokenCount": st.integers(0, 10**6), "duration": numbers}),
        "language": st.sampled_from(["json", "text"]),
        "end": st.just("2026-11-01T11:00:00.000000Z"),
    }
)
operations = st.one_of(
    st.tuples(st.just("login"), st.sampled_from(USERS), metadata),
    st.tuples(st.just("speak"), slots, st.sampled_from(USERS), words),
    st.tuples(st.just("rename"), slots, words),
    st.tuples(st.just("disconnect"), slots, metadata),
    st.tuples(st.just("create_step"), slots, slots, fields),
    st.tuples(st.just("update_step"), slots, slots, fields),
    st.tuples(st.just("delete_step"), slots, slots),
    st.tuples(st.just("attach"), slots, slots, words.filter(bool)),
    st.tuples(st.just("detach"), slots),
    st.tuples(st.just("rate"), slots, slots, st.integers(0, 1), words),
    st.tuples(st.just("unrate"), slots, slots),
    st.tuples(st.just("delete_thread"), slots),
)


class World:
    """Both layers, and what has been done to them. Operations that Chainlit would not send are skipped."""

    def __init__(self, here: Any, there: Any, prefix: str) -> None:
        self.here, self.there, self.prefix = here, there, prefix
        self.clock = itertools.count()
        self.threads: dict[int, str] = {}
        self.owners: dict[int, str] = {}
        self.steps: dict[tuple[int, int], tuple[str, str]] = {}
        self.elements: dict[int, str] = {}
        self.feedback: dict[tuple[int, int], tuple[str, str]] = {}
        self.made: list[str] = []

    async def both(self, method: str, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        answers = []
        for layer in (self.here, self.there):
            own_args, own_kwargs = copy.deepcopy((args, kwargs))
            answers.append(await getattr(layer, method)(*own_args, **own_kwargs))
        return answers[0], answers[1]

    async def login(self, name: str, data: Any) -> None:
        await self.both("create_user", User(self.prefix + name, metadata=data))

    async def speak(self, slot: int, name: str, text: str) -> None:
        if slot not in self.threads:
            self.threads[slot] = f"{self.prefix}t{len(self.made)}"
            self.made.append(self.threads[slot])
            self.owners[slot] = name
        if self.owners[slot] != name:  # Chainlit refuses the connection, and so does this layer what comes over it
            return
        for layer in (self.here, self.there):
            user = await layer.get_user(self.prefix + name)
            enter_chat(self.threads[slot], user)
            await layer.update_thread(self.threads[slot], name=text, user_id=user.id)

    def enter(self, slot: int) -> None:
        enter_chat(self.threads[slot], person(self.prefix + self.owners[slot]))

    async def rename(self, slot: int, text: str) -> None:
        if slot in self.threads:
            self.enter(slot)
            await self.both("update_thread", self.threads[slot], text)

    async def disconnect(self, slot: int, data: Any) -> None:
        if slot in self.threads:
            self.enter(slot)
            await self.both("update_thread", thread_id=self.threads[slot], metadata=data)

    async def create_step(self, slot: int, step: int, given_fields: Any) -> None:
        if slot in self.threads and (slot, step) not in self.steps:
            moment = next(self.clock)
            created_at = f"2026-11-01T10:{moment // 60:02}:{moment % 60:02}.000000Z"
            self.enter(slot)
            self.steps[slot, step] = (f"{self.threads[slot]}-s{moment}", created_at)
            await self.both("create_step", self.step_dict(slot, step, given_fields))

    async def update_step(self, slot: int, step: int, given_fields: Any) -> None:
        if (slot, step) in self.steps:
            self.enter(slot)
            await self.both("update_step", self.step_dict(slot, step, given_fields))

    def step_dict(self, slot: int, step: int, given_fields: Any) -> Any:
        step_id, created_at = self.steps[slot, step]
        parent = self.steps.get((slot, step - 1))
        parent_id = parent[0] if parent and parent[1] < created_at else None
        times = {"createdAt": created_at, "start": created_at}
        return tool(step_id, self.threads[slot], parentId=parent_id, **times, **given_fields)

    async def delete_step(self, slot: int, step: int) -> None:
        """Delete a step below which there is none: other layers leave those below as they are."""
        if (slot, step) in self.steps and (slot, step + 1) not in self.steps:
            self.enter(slot)
            await self.both("delete_step", self.steps.pop((slot, step))[0])
            self.feedback.pop((slot, step), None)

    async def attach(self, slot: int, step: int, content: str) -> None:
        if (slot, step) in self.steps:
            self.elements[slot] = f"{self.threads[slot]}-e{next(self.clock)}"
            self.enter(slot)
            common: dict[str, Any] = {"name": "a.txt", "mime": "text/plain", "thread_id": self.threads[slot]}
            element = Text(id=self.elements[slot], content=content, for_id=self.steps[slot, step][0], **common)
            await self.both("create_element", element)

    async def detach(self, slot: int) -> None:
        if slot in self.elements:
            self.enter(slot)
            await self.both("delete_element", self.elements.pop(slot), self.threads[slot])

    async def rate(self, slot: int, step: int, value: Any, comment: str) -> None:
        if (slot, step) in self.steps:
            self.enter(slot)
            known = self.feedback.get((slot, step), (None, None))
            given_id = []
            for layer, feedback_id in zip((self.here, self.there), known, strict=True):
                step_id = self.steps[slot, step][0]
                feedback = Feedback(step_id, value, self.threads[slot], feedback_id, comment)
                given_id.append(await layer.upsert_feedback(feedback))
            self.feedback[slot, step] = (given_id[0], given_id[1])

    async def unrate(self, slot: int, step: int) -> None:
        if (slot, step) in self.feedback:
            self.enter(slot)
            here_id, there_id = self.feedback.pop((slot, step))
            assert await self.here.delete_feedback(here_id)
            assert await self.there.delete_feedback(there_id)

    async def delete_thread(self, slot: int) -> None:
        if slot in self.threads:
            self.enter(slot)
            await self.both("delete_thread", self.threads.pop(slot))
            self.elements.pop(slot, None)
            self.steps = {place: step for place, step in self.steps.items() if place[0] != slot}
            self.feedback = {place: ids for place, ids in self.feedback.items() if place[0] != slot}

    async def compare(self) -> None:
        for thread_id in self.made:
            here, there = await self.both("get_thread", thread_id)
            assert normal_thread(here) == normal_thread(there)
            assert await self.author(self.here, thread_id) == await self.author(self.there, thread_id)
        for name in USERS:
            here, there = await self.both("get_user", self.prefix + name)
            assert (here.identifier, here.metadata) == (there.identifier, there.metadata)
            for value in (None, 1):
                # E6: the order differs, and E7: a feedback of 0 is no filter there.
                found_here = await page_of(self.here, first=100, userId=here.id, feedback=value)
                found_there = await page_of(self.there, first=100, userId=there.id, feedback=value)
                assert listed(found_here) == listed(found_there)

    async def contents(self) -> list[str]:
        """Give what the elements that are left hold."""
        threads = [thread for name in self.made if (thread := await self.here.get_thread(name))]
        urls = [element["url"] for thread in threads for element in thread["elements"]]
        return sorted(url.removeprefix("content:") for url in urls)

    async def author(self, layer: Any, thread_id: str) -> str:
        """Give the author; E8: unknown threads raise there."""
        try:
            return str(await layer.get_thread_author(thread_id))
        except ValueError:
            return ""


def listed(page: Any) -> set[tuple[str, str]]:
    """Give ids and names of a page."""
    return {(thread["id"], thread["name"]) for thread in page.data}


async def run(world: World, chosen: list[Any]) -> None:
    for name in USERS:
        await world.login(name, {})
    for slot in (0, 1):
        await world.speak(slot, USERS[slot], "hello")
        for step in (0, 1):
            await world.create_step(slot, step, PLAIN)
        await world.attach(slot, 0, "attached")
    await world.rate(0, 0, 1, "good")
    for name, *args in chosen:
        await getattr(world, name)(*args)
    await world.compare()
    # E9: files of deleted steps stay there for ever.
    assert sorted(world.here.storage_provider.files.values()) == await world.contents()


@one_engine
def test_both_layers_end_in_the_same_state(
    table_name: str, dynamodb_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prefixes = itertools.count()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # a failure is told at once, as it was found
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(operations, min_size=15, max_size=40))
    def check(chosen: list[Any]) -> None:
        asyncio.run(one_run(f"r{next(prefixes)}-", chosen))

    async def one_run(prefix: str, chosen: list[Any]) -> None:
        transport = aio_transport(dynamodb_url, table_name)
        here = DynamoDBDataLayer(table_name, transport=transport, storage_provider=MemoryStorage())
        there = sql_layer(tmp_path / f"{prefix}.db", MemoryStorage())
        try:
            await run(World(here, there, prefix), chosen)
        finally:
            await here.close()
            await there.engine.dispose()

    check()
    assert not [r for r in caplog.records if "error occurred" in r.getMessage()], "a statement failed on SQLite"
