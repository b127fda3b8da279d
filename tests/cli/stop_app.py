"""An app that is told to stop amid something, mounted in another one or by itself (`chainlit run`)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import chainlit as cl
from chainlit.data import get_data_layer
from chainlit.data.base import BaseDataLayer
from chainlit.utils import mount_chainlit
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from chainlit_dynamodb import DynamoDBDataLayer

PIECES = 18
PIECE_SECONDS = 0.1
app = FastAPI()
telling: set[asyncio.Task[None]] = set()


@cl.data_layer
def data_layer() -> BaseDataLayer:
    """Keep chats in the table of the test."""
    return DynamoDBDataLayer(os.environ["TABLE"], close_seconds=float(os.environ["CLOSE_SECONDS"]))


@cl.on_message
async def answer(message: cl.Message) -> None:
    """Answer."""
    await cl.Message(f"You said: {message.content}").send()


@cl.on_chat_end
async def sum_up() -> None:
    """Take a while, as a model does."""
    await asyncio.sleep(PIECES * PIECE_SECONDS)
    cl.user_session.set("summary", "all was said")


@app.get("/tell")
async def tell() -> None:
    """Name a chat, as nobody awaits it."""
    layer = get_data_layer()
    assert layer is not None
    telling.add(asyncio.create_task(layer.update_thread("t1", name="told at last")))


@app.get("/stream")
async def stream() -> StreamingResponse:
    """Answer bit by bit."""

    async def pieces() -> AsyncIterator[str]:
        for _ in range(PIECES):
            yield "x"
            await asyncio.sleep(PIECE_SECONDS)
        yield "the end"

    return StreamingResponse(pieces())


if os.environ.get("MOUNTED"):
    os.environ.pop("MOUNTED")  # what is mounted is this file again
    mount_chainlit(app, __file__, path="/chat")
