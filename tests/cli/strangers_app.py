"""An app of several people, whose chats can be resumed."""

from __future__ import annotations

import os

import chainlit as cl
from chainlit.types import ThreadDict

from chainlit_dynamodb import DynamoDBDataLayer


@cl.data_layer
def data_layer() -> DynamoDBDataLayer:
    """Keep chats in the table of the test."""
    return DynamoDBDataLayer(os.environ["TABLE"])


@cl.password_auth_callback
async def log_in(name: str, password: str) -> cl.User | None:
    """Let everybody in."""
    return cl.User(identifier=name)


@cl.on_chat_resume
async def resume(thread: ThreadDict) -> None:
    """Go on with a chat."""


@cl.on_message
async def answer(message: cl.Message) -> None:
    """Answer."""
    await cl.Message(f"You said: {message.content}").send()
