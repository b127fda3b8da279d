"""Requests of several users on one connection: a server may run one in the context of another."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
import uvicorn
from chainlit.context import init_ws_context
from chainlit.session import WebsocketSession
from chainlit.types import Feedback
from fastapi import Body, Depends, FastAPI, Request

from tests.contract.chats import answer_requests, authenticate, enter_chat, leave, message, one_engine, start_thread
from tests.reliability.waiting import eventually

pytestmark = one_engine

LARGE = "x" * 300_000
"""A body for which uvicorn pauses the connection; what comes next on it runs in this request's context."""


def app_of(layer: Any, session: WebsocketSession) -> FastAPI:
    """Give an app with routes as Chainlit has them."""
    app = FastAPI()

    async def user(request: Request) -> Any:
        return await authenticate(layer, request.headers["x-user"])

    @app.put("/project/element", dependencies=[Depends(user)])
    async def element(payload: Annotated[Any, Body()]) -> str:
        init_ws_context(session)
        return str(len(payload))

    @app.put("/feedback", dependencies=[Depends(user)])
    async def feedback(payload: Annotated[Any, Body()]) -> Any:
        return await layer.upsert_feedback(Feedback(payload["step"], 0, payload["thread"]))

    @app.put("/project/thread", dependencies=[Depends(user)])
    async def rename(payload: Annotated[Any, Body()]) -> None:
        await layer.update_thread(payload["thread"], name=payload["name"])

    @app.put("/project/thread/share", dependencies=[Depends(user)])
    async def share(payload: Annotated[Any, Body()]) -> None:
        thread = await layer.get_thread(payload["thread"])
        metadata = {**thread["metadata"], "is_shared": payload["isShared"]}
        await layer.update_thread(payload["thread"], metadata=metadata)

    return app


class Connection:
    """One connection, as a proxy keeps it for all."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def put(self, path: str, user: str, **payload: Any) -> Any:
        """Send a request and give its answer."""
        data = json.dumps(payload).encode()
        head = [f"PUT {path} HTTP/1.1", "Host: x", f"x-user: {user}", "Content-Type: application/json"]
        head += [f"Content-Length: {len(data)}", "", ""]
        self.writer.write("\r\n".join(head).encode() + data)
        answered = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(answered.split("content-length: ")[1].split("\r\n")[0])
        return json.loads(await self.reader.readexactly(length))


@pytest.fixture
async def chats(layer: Any) -> None:
    """Store a shared chat of Alice's and one of Mallory's, both with a message."""
    for thread_id, user in (("t1", "alice"), ("t2", "mallory")):
        await start_thread(layer, thread_id, user_id=user)
        await layer.create_step(message("s1", thread_id))
    leave()
    await layer.update_thread("t1", metadata={"is_shared": True, "chat_profile": "gpt", "chat_settings": {}})
    await layer.update_thread("t1", metadata={"client_type": "webapp"})


@pytest.fixture
async def connection(layer: Any, chats: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connection]:
    """Connect to a server on which Alice has just sent a large element in a session."""
    answer_requests(monkeypatch)
    session = enter_chat("t1")
    leave()
    server = uvicorn.Server(uvicorn.Config(app_of(layer, session), log_level="error", lifespan="off"))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await eventually(lambda: server.started)
        connection = Connection(*await asyncio.open_connection(*listening.getsockname()))
        await connection.put("/project/element", "alice", content=LARGE)
        yield connection
        connection.writer.close()
        server.should_exit = True
        await serving


async def test_feedback_is_each_requests_own_users(connection: Connection) -> None:
    assert await connection.put("/feedback", "mallory", step="s1", thread="t1") == ""
    assert await connection.put("/feedback", "mallory", step="s1", thread="t2")
    assert await connection.put("/feedback", "alice", step="s1", thread="t1")


async def test_a_rename_is_no_sessions(layer: Any, connection: Connection) -> None:
    await connection.put("/project/thread", "mallory", thread="t2", name="renamed")
    assert (await layer.get_thread("t2"))["name"] == "renamed"


async def test_a_share_is_taken_back(layer: Any, connection: Connection) -> None:
    await connection.put("/project/thread/share", "alice", thread="t1", isShared=False)
    assert (await layer.get_thread("t1"))["metadata"]["is_shared"] is False
