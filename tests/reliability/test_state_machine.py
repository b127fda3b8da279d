"""Whatever is done in whatever order, through faults: the layer answers what the reference in memory answers."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import pytest
from chainlit.element import CustomElement
from chainlit.types import Feedback
from chainlit.user import User
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chainlit_dynamodb import DynamoDBDataLayer
from chainlit_dynamodb.limits import NAME_CHARS
from chainlit_dynamodb.testing.faults import FaultPlan, FaultProxy
from chainlit_dynamodb.testing.reference import ReferenceDataLayer
from tests.contract.chats import enter_chat, message, walk
from tests.reliability.conftest import dynamodb_local
from tests.reliability.values import KB, compressible, incompressible

EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", "6"))
FAULTS = FaultPlan(0.01, 0.04, 0.03, 0.03, 0.04, 0.02, 0.02, 0.3)

thread_numbers = st.integers(0, 1)
step_ids = st.sampled_from(["s0", "s1", "s2"])
element_ids = st.sampled_from(["e0", "e1"])
owners = st.sampled_from(["alice", "bob"])
TEXTS = {
    "nothing": "",
    "short": "été ✓",
    "compressible": compressible(20 * KB),
    "large": incompressible(90 * KB),
    "larger": incompressible(300 * KB),
}
texts = st.sampled_from(list(TEXTS))
optional_texts = st.none() | texts
entries = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.none() | st.integers(0, 3) | texts, max_size=3)
step_changes = st.fixed_dictionaries(
    {"createdAt": st.integers(0, 3).map(lambda n: f"2026-11-01T10:00:0{n}.000000Z")},
    optional={
        "output": texts,
        "parentId": st.none() | step_ids,
        "language": st.none() | st.just("json"),
        "metadata": entries.map(lambda found: {k: v for k, v in found.items() if v is not None}),
        "type": st.sampled_from(["user_message", "assistant_message", "run"]),
    },
)


def spelled(value: Any) -> Any:
    """Put texts in the place of their names, which make better reading in a report."""
    if isinstance(value, dict):
        return {key: spelled(inner) for key, inner in value.items()}
    return TEXTS.get(value, value) if isinstance(value, str) else value


class ChatMachine(RuleBasedStateMachine):
    """Does the same to the layer and to the reference, and compares after each step."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    make: ClassVar[Callable[[], DynamoDBDataLayer]]

    @initialize()
    def begin(self) -> None:
        self.layer = type(self).make()
        name = uuid.uuid4().hex
        self.users = {user: f"{user}-{name}" for user in ("alice", "bob")}
        self.threads = [f"{name}-{number}" for number in range(2)]
        self.reference = ReferenceDataLayer(self.users["alice"], self.threads[0])
        self.feedback_ids: list[tuple[str, str]] = []

    def run(self, awaitable: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await awaitable

        return self.loop.run_until_complete(awaited())

    def do(self, thread: int, call: Callable[[Any], Awaitable[Any]]) -> tuple[Any, Any]:
        """Do something in the chat of a thread, in both."""

        async def in_chat() -> tuple[Any, Any]:
            enter_chat(self.threads[thread], User(identifier=self.users["alice"]))
            self.reference.thread_id = self.threads[thread]
            return await call(self.layer), await call(self.reference)

        found: tuple[Any, Any] = self.run(in_chat())
        return found

    def step(self, thread: int, step: str, changes: dict[str, Any]) -> Any:
        """Give a step; its id is nowhere else."""
        parent = {"parentId": f"{changes['parentId']}-{thread}"} if changes.get("parentId") else {}
        return message(f"{step}-{thread}", self.threads[thread], **{**spelled(changes), **parent})

    @rule(user=owners, metadata=entries)
    def log_in(self, user: str, metadata: dict[str, Any]) -> None:
        self.do(0, lambda layer: layer.create_user(User(identifier=self.users[user], metadata=spelled(metadata))))

    @rule(thread=thread_numbers, name=optional_texts, user=st.none() | owners, metadata=st.none() | entries)
    def update_thread(self, thread: int, name: str | None, user: str | None, metadata: Any) -> None:
        user_id = self.users[user] if user else self.users["alice"] if name is not None else None
        given = spelled({"name": name, "metadata": metadata})
        given["name"] = given["name"] and given["name"][:NAME_CHARS]
        self.do(thread, lambda layer: layer.update_thread(self.threads[thread], user_id=user_id, **given))

    @rule(thread=thread_numbers, tags=st.lists(st.sampled_from(["x", "y"]), max_size=2))
    def tag(self, thread: int, tags: list[str]) -> None:
        self.do(thread, lambda layer: layer.update_thread(self.threads[thread], tags=tags))

    @rule(thread=thread_numbers, step=step_ids, changes=step_changes)
    def create_step(self, thread: int, step: str, changes: Any) -> None:
        self.do(thread, lambda layer: layer.create_step(self.step(thread, step, changes)))

    @rule(thread=thread_numbers, step=step_ids, changes=step_changes)
    def update_step(self, thread: int, step: str, changes: Any) -> None:
        self.do(thread, lambda layer: layer.update_step(self.step(thread, step, changes)))

    @rule(thread=thread_numbers, burst=st.lists(st.tuples(step_ids, step_changes), min_size=2, max_size=6))
    def burst(self, thread: int, burst: list[tuple[str, Any]]) -> None:
        def writes(layer: Any) -> Awaitable[Any]:
            steps = [self.step(thread, step, changes) for step, changes in burst]
            return asyncio.gather(layer.create_step(steps[0]), *map(layer.update_step, steps))

        self.do(thread, writes)

    @rule(thread=thread_numbers, step=step_ids)
    def delete_step(self, thread: int, step: str) -> None:
        self.do(thread, lambda layer: layer.delete_step(f"{step}-{thread}"))

    @rule(thread=thread_numbers, element=element_ids, step=step_ids, text=texts)
    def create_element(self, thread: int, element: str, step: str, text: str) -> None:
        place = {"for_id": f"{step}-{thread}", "thread_id": self.threads[thread]}
        options: dict[str, Any] = {"id": element, "name": "Chart", **place}
        self.do(thread, lambda layer: layer.create_element(CustomElement(props=spelled({"text": text}), **options)))

    @rule(thread=thread_numbers, element=element_ids)
    def delete_element(self, thread: int, element: str) -> None:
        self.do(thread, lambda layer: layer.delete_element(element, self.threads[thread]))

    @rule(thread=thread_numbers, step=step_ids, value=st.integers(0, 1), comment=optional_texts)
    def give_feedback(self, thread: int, step: str, value: int, comment: str | None) -> None:
        given: Any = {
            "forId": f"{step}-{thread}",
            "threadId": self.threads[thread],
            "value": value,
            "comment": spelled(comment),
        }
        ours, theirs = self.do(thread, lambda layer: layer.upsert_feedback(Feedback(**given)))
        assert bool(ours) == bool(theirs)
        self.feedback_ids += [(ours, theirs)] if ours else []

    @rule(number=st.integers(0, 20))
    def take_feedback_back(self, number: int) -> None:
        ours, theirs = (self.feedback_ids or [("garbage", "garbage")])[number % (len(self.feedback_ids) or 1)]
        taken = self.run(self.layer.delete_feedback(ours)), self.run(self.reference.delete_feedback(theirs))
        assert taken[0] == taken[1]

    @rule(thread=thread_numbers, step=step_ids, favorite=st.booleans())
    def set_favorite(self, thread: int, step: str, favorite: bool) -> None:
        self.do(thread, lambda layer: layer.set_step_favorite(self.step(thread, step, {}), favorite))

    @rule(thread=thread_numbers)
    def delete_thread(self, thread: int) -> None:
        self.do(thread, lambda layer: layer.delete_thread(self.threads[thread]))

    @rule()
    def restart(self) -> None:
        self.run(self.layer.close())
        self.layer = type(self).make()
        self.reference.restart()

    @invariant()
    def both_answer_the_same(self) -> None:
        if hasattr(self, "layer"):
            ours, theirs = self.run(self.seen(self.layer)), self.run(self.seen(self.reference))
            assert ours == theirs

    async def seen(self, layer: Any) -> dict[str, Any]:
        """Give all that can be read."""
        alice, bob = self.users.values()
        everywhere: list[tuple[dict[str, Any], str]] = [
            ({}, alice),
            ({"feedback": 1}, alice),
            ({"search": "É"}, alice),
            ({}, bob),
        ]
        threads, authors, elements, users, lists, favorites = await asyncio.gather(
            asyncio.gather(*map(layer.get_thread, self.threads)),
            asyncio.gather(*map(layer.get_thread_author, self.threads)),
            asyncio.gather(*(layer.get_element(thread_id, "e0") for thread_id in self.threads)),
            asyncio.gather(*map(layer.get_user, self.users.values())),
            asyncio.gather(*(walk(layer, userId=user, first=1, **wanted) for wanted, user in everywhere)),
            layer.get_favorite_steps(alice),
        )
        return {
            "threads": [thread and comparable_thread(thread) for thread in threads],
            "in order": [not thread or parents_come_first(thread["steps"]) for thread in threads],
            "lists": [[thread_id for page in pages for thread_id in page] for pages in lists],
            "authors": authors,
            "elements": [element and comparable_element(element) for element in elements],
            "favorites": by_id(map(comparable_step, favorites)),
            "users": [user and (user.id, user.identifier, user.metadata) for user in users],
        }

    def teardown(self) -> None:
        if hasattr(self, "layer"):
            self.run(self.layer.close())


def by_id(things: Any) -> list[Any]:
    return sorted(things, key=lambda thing: str(thing["id"]))


def comparable_step(step: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is a layer's own choice: ids of feedback, and a favourite flag that says no."""
    metadata = {k: v for k, v in step["metadata"].items() if (k, v) != ("favorite", False)}
    feedback = {k: v for k, v in step.get("feedback", {}).items() if k != "id"}
    return {**step, "metadata": metadata, "feedback": feedback}


def comparable_element(element: dict[str, Any]) -> dict[str, Any]:
    return {name: element[name] for name in ("id", "threadId", "forId", "name", "type", "props")}


def comparable_thread(thread: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: value for name, value in thread.items() if name != "createdAt"},
        "steps": by_id(map(comparable_step, thread["steps"])),
        "elements": by_id(map(comparable_element, thread["elements"])),
    }


def parents_come_first(steps: list[dict[str, Any]]) -> bool:
    ids = [step["id"] for step in steps]
    return all(step["parentId"] in (None, *ids[:number]) for number, step in enumerate(steps))


@dynamodb_local
@pytest.mark.timeout(600)
def test_the_layer_does_what_the_reference_does(dynamodb_url: str, table_name: str) -> None:
    loop = asyncio.new_event_loop()
    proxy = FaultProxy(dynamodb_url, FAULTS, seed=1)
    loop.run_until_complete(proxy.__aenter__())

    def make() -> DynamoDBDataLayer:
        return DynamoDBDataLayer(table_name, endpoint_url=proxy.url, compress_above=8 * KB)

    machine = type("Machine", (ChatMachine,), {"loop": loop, "make": staticmethod(make)})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=20,
                deadline=None,
                derandomize=EXAMPLES == 6,
                print_blob=True,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
        assert sum(proxy.injected.values()) > 20
    finally:
        loop.run_until_complete(proxy.__aexit__())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
