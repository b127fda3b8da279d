"""An app whose table a test takes away. Its data layer is imported the way the environment says."""

from __future__ import annotations

import os
from importlib import import_module

import chainlit as cl
from chainlit.data.base import BaseDataLayer

LAYERS = "chainlit_dynamodb"
if os.environ["LAYER_BY"] == "drop-in":
    import_module("chainlit_dynamodb.drop_in")
    LAYERS = "chainlit.data.dynamodb"


@cl.data_layer
def data_layer() -> BaseDataLayer:
    """Keep chats in the table of the test."""
    layer: BaseDataLayer = import_module(LAYERS).DynamoDBDataLayer(
        os.environ["TABLE"], close_seconds=float(os.environ["CLOSE_SECONDS"])
    )
    return layer


@cl.password_auth_callback
async def log_in(name: str, password: str) -> cl.User | None:
    """Let everybody in."""
    return cl.User(identifier=name)


@cl.on_message
async def answer(message: cl.Message) -> None:
    """Answer."""
    await cl.Message(f"You said: {message.content}").send()
