"""Three people and a bot on a real server: nobody gets at what is another's, and nobody keeps the others waiting."""

from __future__ import annotations

import asyncio
import io
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio

from chainlit_dynamodb import DynamoDBDataLayer
from tests.cli.conftest import Serve
from tests.cli.pages import open_page, say
from tests.cli.processes import Served
from tests.contract.chats import enter_bot, leave, message, person, tool

APP = str(Path(__file__).with_name("strangers_app.py"))
MB = 1024 * 1024
DELAY_SECONDS = 1.0
"""What a machine that runs other tests, too, may add; docs/security.md has what was measured."""
GROWTH_BYTES = 400 * MB
ANSWER_SECONDS = 20.0

pytestmark = pytest.mark.timeout(180)


class Person:
    """Somebody who is logged in."""

    def __init__(self, served: Served, http: aiohttp.ClientSession) -> None:
        self.address = f"http://127.0.0.1:{served.port}"
        self.http = http
        self.session_id = str(uuid.uuid4())

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send what the page sends, and give what it hears."""
        sent = None if body is None else io.BytesIO(json.dumps(body).encode())
        kind = {"Content-Type": "application/json"}
        async with self.http.request(method, self.address + path, data=sent, headers=kind) as answer:
            text = await answer.text()
            return answer.status, await answer.json() if text.startswith("{") else text

    async def connect(self, thread_id: str = "") -> socketio.AsyncClient:
        """Open a page, of a chat if one is named."""
        return await open_page(self.address, self.http, self.session_id, thread_id)


@asynccontextmanager
async def logged_in(served: Served, name: str) -> AsyncIterator[Person]:
    """Be somebody."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        somebody = Person(served, http)
        form = {"username": name, "password": "any"}
        async with http.post(f"{somebody.address}/login", data=form) as answer:
            assert answer.status == 200
        assert (await somebody.ask("GET", "/user"))[0] == 200
        yield somebody


@pytest.fixture
def served(serve: Serve, table: str, ministack_url: str) -> Served:
    """A server."""
    secret = "of-this-test-only, long enough to sign with"
    return serve("run", APP, "-h", AWS_ENDPOINT_URL_DYNAMODB=ministack_url, CHAINLIT_AUTH_SECRET=secret, TABLE=table)


@pytest.fixture
async def bot(table: str, ministack_url: str) -> AsyncIterator[DynamoDBDataLayer]:
    """The layer of a bot, in a process of its own."""
    layer = DynamoDBDataLayer(table, endpoint_url=ministack_url)
    yield layer
    leave()
    await layer.close()


async def store_chat(bot: DynamoDBDataLayer, thread_id: str, name: str = "of the team") -> None:
    """Store a chat of Alice's with a bot."""
    enter_bot(thread_id, person("alice"))
    await bot.update_thread(thread_id, name=name, user_id="alice")
    await bot.create_step(message(f"{thread_id}-s1", thread_id, output="What do I earn?"))
    await bot.create_step(tool(f"{thread_id}-s2", thread_id, output="Enough."))


async def test_who_waits_in_a_bots_thread_gets_nothing_of_it(served: Served, bot: DynamoDBDataLayer) -> None:
    async with logged_in(served, "alice") as alice, logged_in(served, "mallory") as mallory:
        page = await mallory.connect("channel-7")
        await store_chat(bot, "channel-7")
        await say(page, "hi", timeout_seconds=ANSWER_SECONDS)
        await page.disconnect()
        assert (await mallory.ask("GET", "/project/thread/channel-7"))[0] == 401
        status, thread = await alice.ask("GET", "/project/thread/channel-7")
        assert (status, [step["id"] for step in thread["steps"]]) == (200, ["channel-7-s1", "channel-7-s2"])
        assert (thread["userIdentifier"], thread["name"], thread["metadata"]) == ("alice", "of the team", {})


async def test_a_chat_whose_sharing_was_taken_back_stays_so_as_its_page_is_closed(
    served: Served, bot: DynamoDBDataLayer
) -> None:
    await store_chat(bot, "t1")
    async with logged_in(served, "alice") as alice, logged_in(served, "bob") as bob:
        share = {"threadId": "t1", "isShared": True}
        assert (await alice.ask("PUT", "/project/thread/share", share))[0] == 200
        assert (await bob.ask("GET", "/project/share/t1"))[0] == 200
        page = await alice.connect("t1")
        await say(page, "still there?", timeout_seconds=ANSWER_SECONDS)
        await alice.ask("PUT", "/project/thread/share", {**share, "isShared": False})
        await page.disconnect()
        await eventually_left(alice)
        assert (await bob.ask("GET", "/project/share/t1"))[0] == 404


async def eventually_left(alice: Person) -> None:
    """Wait until a session has told what it leaves."""
    for _ in range(100):
        _, thread = await alice.ask("GET", "/project/thread/t1")
        if "client_type" in thread["metadata"]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(thread["metadata"])


async def test_who_has_a_share_link_changes_nothing(served: Served, bot: DynamoDBDataLayer) -> None:
    await store_chat(bot, "t1")
    async with logged_in(served, "alice") as alice, logged_in(served, "mallory") as mallory:
        await alice.ask("PUT", "/project/thread/share", {"threadId": "t1", "isShared": True})
        opinion = {"forId": "t1-s2", "threadId": "t1", "value": 1, "comment": "thanks"}
        await alice.ask("PUT", "/feedback", {"feedback": opinion, "sessionId": alice.session_id})
        _, before = await mallory.ask("GET", "/project/share/t1")
        feedback_id = before["steps"][1]["feedback"]["id"]
        page = await mallory.connect()
        await say(page, "hi", timeout_seconds=ANSWER_SECONDS)
        element = {"id": "e1", "type": "custom", "name": "X", "display": "inline", "threadId": "t1", "forId": "t1-s2"}
        attacks = [
            ("PUT", "/feedback", {"feedback": {**opinion, "value": 0}, "sessionId": mallory.session_id}),
            ("DELETE", "/feedback", {"feedbackId": feedback_id}),
            ("PUT", "/project/element", {"element": element, "sessionId": mallory.session_id}),
            ("PUT", "/project/thread", {"threadId": "t1", "name": "mine"}),
            ("PUT", "/project/thread/share", {"threadId": "t1", "isShared": False}),
            ("DELETE", "/project/thread", {"threadId": "t1"}),
        ]
        for attack in attacks:
            await mallory.ask(*attack)
        await page.disconnect()
        await asyncio.sleep(0.2)
        assert (await alice.ask("GET", "/project/share/t1")) == (200, before)


async def test_giant_names_searches_and_comments_keep_nobody_waiting(served: Served, bot: DynamoDBDataLayer) -> None:
    for number in range(8):
        await store_chat(bot, f"t{number}")
    async with logged_in(served, "alice") as alice, logged_in(served, "bob") as bob:
        before = peak_bytes(served)
        giant = "word " * (4 * MB // 5)
        opinion = {"forId": "t1-s2", "threadId": "t1", "value": 1, "comment": giant}
        giants = [
            *(("PUT", "/project/thread", {"threadId": f"t{number}", "name": giant}) for number in range(8)),
            ("PUT", "/feedback", {"feedback": opinion, "sessionId": alice.session_id}),
            ("POST", "/project/threads", {"pagination": {"first": 20}, "filter": {"search": giant}}),
            ("POST", "/project/threads", {"pagination": {"first": 20}, "filter": {"search": "word"}}),
            ("GET", "/project/thread/t1", None),
        ]
        is_over = asyncio.Event()
        waiting = asyncio.create_task(longest_wait(bob, is_over))
        answers = [await alice.ask(*request) for request in giants]
        is_over.set()
        assert [status for status, _ in answers] == [200] * len(giants)
        assert len(str(answers[-1])) < MB
        delay, growth = await waiting, peak_bytes(served) - before
        assert (delay < DELAY_SECONDS, growth < GROWTH_BYTES) == (True, True), (delay, growth // MB)


async def longest_wait(somebody: Person, is_over: asyncio.Event) -> float:
    """Ask again and again, until that is over, and give the longest wait."""
    longest = 0.0
    while not is_over.is_set():
        started = time.monotonic()
        await somebody.ask("GET", "/user")
        longest = max(longest, time.monotonic() - started)
        await asyncio.sleep(0.01)
    return longest


def peak_bytes(served: Served) -> int:
    """Give the most memory that a server has ever taken."""
    lines = Path(f"/proc/{served.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
