"""A layer hears of the end of the server that serves Chainlit, wherever Chainlit is in it, and of no other's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import socketio
import uvicorn
from chainlit.server import app as chainlit_app
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount

from chainlit_dynamodb.server_stop import hear_of_stop


class Heard:
    """Notes what it hears."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def begin(self) -> None:
        self.calls.append("begin")

    async def finish(self) -> None:
        self.calls.append("finish")
        await asyncio.sleep(0.1)
        self.calls.append("finished")


class Foreign:
    """An app of another framework, whose routes are no list."""

    def routes(self) -> None:
        return None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        return None


def mounted() -> Any:
    app = FastAPI()
    app.mount("/chat", chainlit_app)
    return app


SERVING_CHAINLIT: dict[str, Callable[[], Any]] = {
    "its own": lambda: chainlit_app,
    "mounted": mounted,
    "mounted in what is mounted": lambda: Starlette(routes=[Mount("/inner", mounted())]),
    "wrapped": lambda: GZipMiddleware(mounted()),
    "behind socket.io": lambda: socketio.ASGIApp(socketio.AsyncServer(async_mode="asgi"), mounted()),
}
OTHERS: dict[str, Callable[[], Any]] = {"metrics": FastAPI, "another framework": Foreign}


async def serve_and_stop(app: Any, *, by_force: bool = False) -> None:
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - it says so to nobody
        await asyncio.sleep(0.01)
    server.should_exit, server.force_exit = True, by_force
    await serving


@pytest.fixture
def heard() -> Heard:
    """Something that hears."""
    heard = Heard()
    hear_of_stop(heard)
    return heard


@pytest.mark.parametrize("app", SERVING_CHAINLIT.values(), ids=SERVING_CHAINLIT)
async def test_what_hears_begins_and_finishes_with_the_server_of_chainlit(
    heard: Heard, app: Callable[[], Any]
) -> None:
    await serve_and_stop(app())
    assert heard.calls == ["begin", "finish", "finished"]


@pytest.mark.parametrize("app", OTHERS.values(), ids=OTHERS)
async def test_another_server_of_the_process_may_stop(heard: Heard, app: Callable[[], Any]) -> None:
    await serve_and_stop(app())
    assert heard.calls == []


async def test_all_that_hear_finish_side_by_side_and_each_has_its_time(heard: Heard) -> None:
    calls = heard.calls
    other = Heard()
    other.calls = calls
    hear_of_stop(other)
    await serve_and_stop(mounted())
    assert calls == ["begin", "begin", "finish", "finish", "finished", "finished"]


async def test_who_forces_the_end_waits_for_nothing(heard: Heard) -> None:
    await serve_and_stop(mounted(), by_force=True)
    assert heard.calls == ["begin"]
