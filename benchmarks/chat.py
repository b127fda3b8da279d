"""What Chainlit asks of a data layer, in short: the same calls for ours and for the built-in one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import boto3
from chainlit.context import ChainlitContext, context_var
from chainlit.data.dynamodb import DynamoDBDataLayer as BuiltInDataLayer
from chainlit.session import WebsocketSession
from chainlit.types import Feedback, Pagination, ThreadFilter
from chainlit.user import PersistedUser, User

from chainlit_dynamodb import DynamoDBDataLayer

REGION = "us-east-1"
OURS, BUILT_IN = "chainlit-dynamodb", "built-in"
LIST_SIZE = 35
TIME = "2026-11-01T10:00:{:02d}.000000Z"

MakeLayer = Callable[[str, str], Any]


def prepare_environment() -> None:
    """Use no account but that of the engines."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}
    os.environ |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


def boto3_client(url: str) -> Any:
    """Make a client of an engine."""
    return boto3.client("dynamodb", region_name=REGION, endpoint_url=url)


def ours(table_name: str, url: str, **options: Any) -> Any:
    """Make our layer, users uncached so that every call counts."""
    return DynamoDBDataLayer(
        table_name, user_thread_limit=LIST_SIZE, region_name=REGION, endpoint_url=url, user_cache_seconds=0, **options
    )


def built_in(table_name: str, url: str) -> Any:
    """Make the layer built into Chainlit; its page is what the table returns at once."""
    return BuiltInDataLayer(table_name, client=boto3_client(url), user_thread_limit=LIST_SIZE)


LAYERS: dict[str, MakeLayer] = {OURS: ours, BUILT_IN: built_in}


async def _ignore(*_: Any) -> None:
    return None


EMIT: Any = _ignore
"""Chainlit awaits it, and types it as a plain function."""


def enter_chat(thread_id: str, user_id: str) -> None:
    """Be a user in a chat that has begun."""
    user = PersistedUser(id=user_id, createdAt=TIME.format(0), identifier=user_id)
    session: Any = WebsocketSession(
        id=f"session-{thread_id}",
        socket_id=f"socket-{thread_id}",
        emit=EMIT,
        emit_call=_ignore,
        user_env={},
        client_type="webapp",
        thread_id=thread_id,
        user=user,
    )
    session.has_first_interaction = True
    context_var.set(ChainlitContext(session))


def step(step_id: str, thread_id: str, **fields: Any) -> Any:
    """Give a step of about 1 KB as Chainlit hands it over."""
    return {
        "id": step_id,
        "threadId": thread_id,
        "parentId": None,
        "createdAt": TIME.format(0),
        "start": TIME.format(0),
        "end": TIME.format(1),
        "input": "",
        "output": "The harbour is quiet, the wind comes from the west. " * 12,
        "name": "assistant",
        "type": "assistant_message",
        "language": None,
        "streaming": False,
        "isError": False,
        "waitForAnswer": False,
        "showInput": "json",
        "metadata": {},
        "tags": None,
        "command": None,
        "modes": None,
        "generation": None,
        **fields,
    }


def message(step_id: str, thread_id: str, text: str = "How is the weather?") -> Any:
    """Give a user's message."""
    return step(step_id, thread_id, type="user_message", name="alice", output=text)


@dataclass(frozen=True)
class Place:
    """Where an action happens: a user, a thread of theirs that is filled, and a number nobody else has."""

    user_id: str
    thread_id: str
    number: int

    @property
    def new_thread(self) -> str:
        """Give the id of a thread that is not there yet."""
        return f"new-{self.number}"

    @property
    def new_step(self) -> str:
        """Give the id of a step that is not there yet."""
        return f"step-{self.number}"


Action = Callable[[Any, Place], Awaitable[object]]


async def log_in(layer: Any, place: Place) -> None:
    """Store the user again, as every login does."""
    await layer.create_user(User(identifier=place.user_id, metadata={"provider": "credentials", "role": "user"}))


async def load_page(layer: Any, place: Place) -> None:
    """Do what opening the page does: five reads of the user, two lists."""
    for _ in range(5):
        await layer.get_user(place.user_id)
    await list_threads(layer, place)
    await layer.list_threads(Pagination(first=20), ThreadFilter(userId=place.user_id))


async def first_message(layer: Any, place: Place) -> None:
    """Name the new thread and store the message and the run it starts, all begun at once as Chainlit does."""
    thread_id = place.new_thread
    enter_chat(thread_id, place.user_id)
    await asyncio.gather(
        layer.update_thread(thread_id, name="How is the weather?", user_id=place.user_id, tags=None),
        layer.create_step(message(place.new_step, thread_id)),
        layer.create_step(step(place.new_step + "-run", thread_id, type="run", name="on_message", output="")),
    )


async def turn_with_tool(layer: Any, place: Place) -> None:
    """Store a message, a run, a tool call and an answer: each begun and, but for the message, finished."""
    enter_chat(place.thread_id, place.user_id)
    await layer.create_step(message(place.new_step, place.thread_id))
    for kind in ("run", "tool", "assistant_message"):
        fields = step(f"{place.new_step}-{kind}", place.thread_id, type=kind)
        await layer.create_step({**fields, "output": ""})
        await layer.update_step(fields)


async def burst_of_updates(layer: Any, place: Place) -> None:
    """Store a message and fifty states of it, as code does that updates while a model streams."""
    enter_chat(place.thread_id, place.user_id)
    await layer.create_step(step(place.new_step, place.thread_id, output=""))
    text = step("", "")["output"]
    states = [step(place.new_step, place.thread_id, output=text[: 12 * number]) for number in range(1, 51)]
    await asyncio.gather(*(layer.update_step(state) for state in states))


async def give_feedback(layer: Any, place: Place) -> None:
    """Rate a step."""
    feedback = Feedback(forId="step-7", threadId=place.thread_id, value=1, comment="just right")
    await layer.upsert_feedback(feedback)


async def set_favorite(layer: Any, place: Place) -> None:
    """Star a message."""
    enter_chat(place.thread_id, place.user_id)
    await layer.set_step_favorite(message("step-0", place.thread_id), True)


async def list_favorites(layer: Any, place: Place) -> None:
    """List the starred messages."""
    await layer.get_favorite_steps(place.user_id)


async def open_thread(layer: Any, place: Place) -> None:
    """Open a chat: who owns it, and all of it."""
    await layer.get_thread_author(place.thread_id)
    assert len((await layer.get_thread(place.thread_id))["steps"]) >= 100


async def list_threads(layer: Any, place: Place) -> None:
    """List the newest chats."""
    page = await layer.list_threads(Pagination(first=LIST_SIZE), ThreadFilter(userId=place.user_id))
    assert len(page.data) == LIST_SIZE


async def search(layer: Any, place: Place) -> int:
    """Search the names of all chats, and say how many were found."""
    wanted = ThreadFilter(userId=place.user_id, search="lighthouse")
    return len((await layer.list_threads(Pagination(first=LIST_SIZE), wanted)).data)


async def delete_thread(layer: Any, place: Place) -> None:
    """Delete a chat of a hundred steps."""
    enter_chat(place.thread_id, place.user_id)
    await layer.delete_thread(place.thread_id)
