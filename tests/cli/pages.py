"""A page of the chat without a browser: its socket."""

from __future__ import annotations

import asyncio
import uuid

import aiohttp
import socketio

from tests.contract.chats import message


async def open_page(
    address: str, http: aiohttp.ClientSession, session_id: str, thread_id: str = ""
) -> socketio.AsyncClient:
    """Open a page, of a chat if one is named."""
    page = socketio.AsyncClient(reconnection=False, http_session=http)
    session = {"sessionId": session_id, "clientType": "webapp", "userEnv": "{}", "chatProfile": ""}
    auth = {**session, **({"threadId": thread_id} if thread_id else {})}
    await page.connect(address, auth=auth, socketio_path="/ws/socket.io", transports=["websocket"])
    await page.emit("connection_successful")
    return page


async def say(page: socketio.AsyncClient, text: str, *, timeout_seconds: float) -> None:
    """Send a message, and wait for the answer."""
    is_answered = asyncio.Event()
    page.on("task_end", lambda *_: is_answered.set())
    sent = message(str(uuid.uuid4()), threadId="", output=text)
    await page.emit("client_message", {"message": sent, "fileReferences": []})
    await asyncio.wait_for(is_answered.wait(), timeout_seconds)
