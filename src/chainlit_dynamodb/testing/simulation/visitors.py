"""What people and apps do, in the order in which Chainlit calls its data layer, with Chainlit's own sessions."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

from chainlit.context import ChainlitContext, context_var
from chainlit.element import File
from chainlit.session import HTTPSession, WebsocketSession, ws_sessions_id, ws_sessions_sid
from chainlit.types import Feedback, Pagination, ThreadFilter
from chainlit.user import PersistedUser, User

from chainlit_dynamodb.testing.simulation.content import message, text
from chainlit_dynamodb.testing.simulation.plan import Act, Visit
from chainlit_dynamodb.testing.simulation.processes import Process, Servers
from chainlit_dynamodb.testing.simulation.records import ABSENT, Call, Records, Write

PATIENCE_SECONDS: Final = 60.0
"""Then a visitor goes on, whatever is still under way."""
CHECKED_ENTRIES: Final = ("k", "big", "left", "is_shared", "shared_at")
"""What entries of metadata begin with that the checker knows."""


async def _ignore(*_: Any) -> None:
    return None


_EMIT: Any = _ignore


def forget_sessions() -> None:
    """Let go of all sessions of Chainlit."""
    ws_sessions_id.clear()
    ws_sessions_sid.clear()


class Visitor:
    """Carries out a visit. When its server dies, it goes on with the next one, as a browser that reconnects."""

    def __init__(self, visit: Visit, servers: Servers, records: Records, *, late: bool = False) -> None:
        """Prepare.

        Args:
            visit: What to do.
            servers: With whom.
            records: Takes every call.
            late: The chat is there already.
        """
        self.visit = visit
        self._servers = servers
        self._records = records
        self._process: Process | None = None
        self._context = contextvars.Context()
        self._session: Any = None
        self._has_spoken = late
        self._feedback_ids: dict[str, str] = {}
        self._chance = random.Random(visit.name)  # noqa: S311 - repeatable
        self._background: list[asyncio.Task[Any]] = []
        self._queued: list[Call] = []

    async def run(self) -> None:
        """Do everything."""
        await asyncio.sleep(self.visit.at)
        for act in self.visit.acts:
            await asyncio.sleep(act.after)
            await self.do(act)

    async def do(self, act: Act) -> None:
        """Do one thing."""
        await self._connect()
        doing = getattr(self, "_" + act.kind.replace(" ", "_"))
        task = asyncio.create_task(doing(act))
        self._background.append(task)
        if act.waits:
            await asyncio.wait({task}, timeout=PATIENCE_SECONDS)

    async def _connect(self) -> None:
        process = await self._servers.alive(self.visit.slot)
        if process is not self._process:
            self._process = process
            self._queued.clear()
            self._context = process.context()
            self._context.run(self._enter)

    def _enter(self) -> None:
        user = PersistedUser(id=self.visit.user, createdAt="", identifier=self.visit.user)
        serial = str(len(self._records.calls))
        name = f"{self.visit.name}-{serial}"
        if self.visit.is_bot:
            self._session = HTTPSession(id=name, client_type="teams", thread_id=self.visit.chat, user=user)
        else:
            self._session = WebsocketSession(
                id=name,
                socket_id=name,
                emit=_EMIT,
                emit_call=_ignore,
                user_env={},
                client_type="webapp",
                thread_id=self.visit.chat,
                user=user,
            )
        self._session.has_first_interaction = self._has_spoken
        context_var.set(ChainlitContext(self._session))

    @property
    def layer(self) -> Any:
        """The layer of the process it is connected to."""
        assert self._process is not None  # noqa: S101 - `do` connects first
        return self._process.layer

    def _start(
        self,
        method: str,
        detail: str,
        writes: tuple[Write, ...],
        ask: Callable[[], Awaitable[Any]],
        *,
        over_http: bool = False,
    ) -> asyncio.Task[Call]:
        """Call the layer as a task, as Chainlit does: within the session, or for an HTTP route, which has none."""
        assert self._process is not None  # noqa: S101 - `do` connects first
        context = self._process.context() if over_http else self._context
        return self._process.spawn(context, self._called(self._process, method, detail, writes, ask))

    async def _called(
        self,
        process: Process,
        method: str,
        detail: str,
        writes: tuple[Write, ...],
        ask: Callable[[], Awaitable[Any]],
    ) -> Call:
        call = self._records.begin(process, method, detail, writes)
        waiting = self._queue_of(method)
        try:
            answer = await ask()
        except asyncio.CancelledError:
            self._records.end(call, error="cancelled")
        except Exception as exc:  # noqa: BLE001 - the checker judges it
            self._records.end(call, error=f"{type(exc).__name__}: {exc}")
        else:
            if len(self._queue_of(method)) > len(waiting):
                call.queue = f"{self._session.id} {method}"
                self._queued.append(call)
                self._records.note(call.process, f"{method} [{call.serial}] is queued by Chainlit")
            else:
                self._records.end(call, answer)
        return call

    def _queue_of(self, method: str) -> tuple[Any, ...]:
        return tuple(getattr(self._session, "thread_queues", {}).get(method, ()))

    async def _wait(self, *tasks: asyncio.Task[Call]) -> list[Call]:
        """Wait for answers, but not for those of the dead."""
        assert self._process is not None  # noqa: S101 - `do` connects first
        waited: set[asyncio.Future[Any]] = {asyncio.gather(*tasks), self._process.gone}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        return [task.result() for task in tasks if task.done() and not task.cancelled()]

    # What a chat consists of.

    def _step_writes(self, step: str, number: int, *, is_weak: bool = False) -> tuple[Write, ...]:
        place = ("step", self.visit.chat, step)
        return (Write((*place, "output"), number, is_weak), Write((*place, "input"), number, is_weak))

    def _write_step(self, method: str, act: Act, kind: str, number: int) -> asyncio.Task[Call]:
        has_ended = method == "update_step" or kind != "tool"
        fields = message(act.thing, self.visit.chat, kind, number, act.size, has_ended=has_ended)
        writes = self._step_writes(act.thing, number, is_weak=method == "create_step")
        layer = self.layer
        return self._start(method, f"{act.thing} #{number}", writes, lambda: getattr(layer, method)(fields))

    async def _say(self, act: Act) -> None:
        await self._wait(self._write_step("create_step", act, "user_message", act.number))

    async def _tool(self, act: Act) -> None:
        made = self._write_step("create_step", act, "tool", act.number)
        await asyncio.sleep(self._chance.choice((0, 0.002, 0.1, 3)))
        await self._wait(made, self._write_step("update_step", act, "tool", act.number + 1000))

    async def _stream(self, act: Act) -> None:
        tasks = [self._write_step("create_step", act, "assistant_message", act.number)]
        for turn in range(1, act.times + 1):
            await asyncio.sleep(self._chance.choice((0, 0.002, 0.05, 0.5)))
            tasks.append(self._write_step("update_step", act, "assistant_message", act.number + 1000 * turn))
        await self._wait(*tasks)

    async def _update(self, act: Act) -> None:
        tasks = []
        for turn in range(act.times):
            tasks.append(self._write_step("update_step", act, "tool", act.number + 1000 * turn))
            await asyncio.sleep(self._chance.choice((0, 0.001, 0.01)))
        await self._wait(*tasks)

    async def _remove(self, act: Act) -> None:
        await self._wait(self._delete_step(act.thing))

    def _delete_step(self, step: str) -> asyncio.Task[Call]:
        layer, end = self.layer, Write(("step", self.visit.chat, step), ABSENT, is_end=True)
        return self._start("delete_step", step, (end,), lambda: layer.delete_step(step))

    async def _edit(self, act: Act) -> None:
        changed = self._write_step("update_step", act, "user_message", act.number)
        await self._wait(changed, *(self._delete_step(step) for step in act.others if step != act.thing))

    async def _speak(self, act: Act) -> None:
        """Say something for the first time: the thread gets its name while the message is stored; then the queue."""
        session, is_first = self._session, not self._session.has_first_interaction
        self._has_spoken = session.has_first_interaction = True
        named = self._name_thread(act) if is_first else None
        said = self._write_step("create_step", act, "user_message", act.number)
        if named is not None:
            await self._wait(named)
            self._flush(session)
        await self._wait(said)

    def _name_thread(self, act: Act) -> asyncio.Task[Call]:
        name, user, layer = f"name {act.number}", self.visit.user, self.layer
        writes = (self._thread_write("name", name), self._thread_write("owner", user))
        ask = lambda: layer.update_thread(self.visit.chat, name=name, user_id=user)  # noqa: E731
        return self._start("update_thread", f"{self.visit.chat} {name} of {user}", writes, ask)

    def _thread_write(self, field: str, value: Any, *, needs_thread: bool = False) -> Write:
        needs = ("thread", self.visit.chat, "owner") if needs_thread else None
        return Write(("thread", self.visit.chat, field), value, needs=needs)

    def _flush(self, session: Any) -> None:
        """Let Chainlit do what it has queued; then it is answered."""
        queued, self._queued = self._queued, []
        if not isinstance(session, WebsocketSession) or not session.thread_queues:
            return

        async def flush() -> None:
            await session.flush_method_queue()
            for call in queued:
                self._records.end(call)

        assert self._process is not None  # noqa: S101 - `do` connects first
        self._process.spawn(self._context, flush())

    async def _change_thread(
        self, detail: str, writes: dict[str, Any], *, over_http: bool = False, **changes: Any
    ) -> None:
        layer, chat = self.layer, self.visit.chat
        registers = tuple(self._thread_write(f, value, needs_thread=True) for f, value in writes.items())
        ask = lambda: layer.update_thread(chat, **changes)  # noqa: E731
        await self._wait(self._start("update_thread", f"{chat} {detail}", registers, ask, over_http=over_http))

    async def _merge(self, act: Act) -> None:
        key = f"k{act.number % 3}"
        await self._change_thread(f"{key} = {act.number}", {key: act.number}, metadata={key: act.number})

    async def _big_merge(self, act: Act) -> None:
        key = f"big{act.number % 2}"
        value = text(act.number, act.size)
        await self._change_thread(f"{key} = #{act.number} ({act.size})", {key: value}, metadata={key: value})

    async def _rename(self, act: Act) -> None:
        if await self._is_mine():
            name = f"name {act.number}"
            await self._change_thread(f"renamed {name}", {"name": name}, over_http=True, name=name)

    async def _leave(self, act: Act) -> None:
        """Disconnect. Chainlit stores the session only of those who have spoken."""
        if not self._session.has_first_interaction:
            return
        session = {"id": self._session.id, "chat_settings": {}, "client_type": "webapp", "left": act.number}
        await self._change_thread(f"left {act.number}", {"left": act.number}, metadata=session)

    async def _share(self, act: Act) -> None:
        """Share as Chainlit does: read the thread, and write its metadata back with a flag."""
        thread = (await self._read_thread())[0].answer
        if not thread:
            return
        metadata = {**thread["metadata"], "is_shared": True, "shared_at": act.number}
        written = {name: value for name, value in metadata.items() if name.startswith(CHECKED_ENTRIES)}
        await self._change_thread(f"shared {act.number}", written, over_http=True, metadata=metadata)

    async def _like(self, act: Act) -> None:
        value: Any = act.number % 2
        comment = text(act.number, act.size)
        feedback, layer = (
            Feedback(forId=act.thing, threadId=self.visit.chat, value=value, comment=comment),
            self.layer,
        )
        place = ("step", self.visit.chat, act.thing)
        write = Write((*place, "feedback"), (value, comment), needs=(*place, "output"))
        ask = lambda: layer.upsert_feedback(feedback)  # noqa: E731
        task = self._start("upsert_feedback", f"{act.thing} {value} #{act.number}", (write,), ask)
        for call in await self._wait(task):
            if call.answer:
                self._feedback_ids[act.thing] = call.answer

    async def _unlike(self, act: Act) -> None:
        feedback_id, layer = self._feedback_ids.get(act.thing), self.layer
        if feedback_id is None:
            return
        write = Write(("step", self.visit.chat, act.thing, "feedback"), ABSENT)
        ask = lambda: layer.delete_feedback(feedback_id)  # noqa: E731
        for call in await self._wait(self._start("delete_feedback", act.thing, (write,), ask)):
            if not call.answer and not call.error:
                call.error = "there is no such feedback"

    async def _star(self, act: Act) -> None:
        await self._set_star(act, favorite=True)

    async def _unstar(self, act: Act) -> None:
        await self._set_star(act, favorite=False)

    async def _set_star(self, act: Act, *, favorite: bool) -> None:
        layer, chat = self.layer, self.visit.chat
        fields = {"id": act.thing, "threadId": chat, "createdAt": "2026-01-01T00:00:00.000001Z", "metadata": {}}
        write = Write(("step", chat, act.thing, "favorite"), self.visit.user if favorite else ABSENT)
        write.needs = ("step", chat, act.thing, "output")
        ask = lambda: layer.set_step_favorite(fields, favorite)  # noqa: E731
        await self._wait(self._start("set_step_favorite", f"{act.thing} {favorite}", (write,), ask))

    async def _attach(self, act: Act) -> None:
        await self._wait(self._write_element(act, content=f"content {act.number}".encode()))

    async def _change(self, act: Act) -> None:
        await self._wait(self._write_element(act, content=f"content {act.number}".encode()))

    def _write_element(self, act: Act, content: bytes) -> asyncio.Task[Call]:
        for_id = act.others[0] if act.others else f"{self.visit.chat}-s1"
        element = File(
            id=act.thing, thread_id=self.visit.chat, name=f"file {act.number}", content=content, for_id=for_id
        )
        place = ("element", self.visit.chat, act.thing)
        values = {"name": element.name, "for": for_id, "content": content}
        writes = tuple(Write((*place, field), value) for field, value in values.items())
        layer = self.layer
        return self._start(
            "create_element", f"{act.thing} #{act.number} for {for_id}", writes, lambda: layer.create_element(element)
        )

    async def _detach(self, act: Act) -> None:
        layer, chat = self.layer, self.visit.chat
        end = Write(("element", chat, act.thing), ABSENT, is_end=True)
        await self._wait(
            self._start("delete_element", act.thing, (end,), lambda: layer.delete_element(act.thing, chat))
        )

    async def _delete(self, _: Act) -> None:
        if not await self._is_mine():
            return
        layer, chat = self.layer, self.visit.chat
        end, ask = Write(("thread", chat), ABSENT, is_end=True), lambda: layer.delete_thread(chat)
        await self._wait(self._start("delete_thread", chat, (end,), ask, over_http=True))

    async def _is_mine(self) -> bool:
        """Ask as Chainlit does before it renames or deletes a chat: only if it is there, and the user's own."""
        layer, chat = self.layer, self.visit.chat
        asked = await self._wait(self._start("get_thread_author", chat, (), lambda: layer.get_thread_author(chat)))
        return [call.answer for call in asked] == [self.visit.user]

    async def _login(self, act: Act) -> None:
        layer, user = self.layer, User(identifier=self.visit.user, metadata={"n": act.number})
        write = Write(("user", self.visit.user, "n"), act.number)
        await self._wait(
            self._start("create_user", f"{self.visit.user} #{act.number}", (write,), lambda: layer.create_user(user))
        )
        await self._wait(self._start("get_user", self.visit.user, (), lambda: layer.get_user(self.visit.user)))

    async def _read(self, _: Act) -> None:
        await self._read_thread()

    async def _read_thread(self) -> list[Call]:
        layer, chat = self.layer, self.visit.chat
        return await self._wait(self._start("get_thread", chat, (), lambda: layer.get_thread(chat)))

    async def _list(self, act: Act) -> None:
        layer, user = self.layer, self.visit.user
        await self._wait(self._start("list_threads", user, (), lambda: all_pages(layer, user, 1 + act.number % 3)))
        await self._wait(self._start("get_favorite_steps", user, (), lambda: layer.get_favorite_steps(user)))


async def all_pages(layer: Any, user: str, first: int) -> list[list[Any]]:
    """Return all pages of a user's list, read as the sidebar reads them, but in smaller ones."""
    pages: list[list[Any]] = []
    cursor = None
    while True:
        page = await layer.list_threads(Pagination(first=first, cursor=cursor), ThreadFilter(userId=user))
        pages.append(page.data)
        cursor = page.pageInfo.endCursor
        if not page.pageInfo.hasNextPage:
            return pages
