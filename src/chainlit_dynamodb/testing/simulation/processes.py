"""Server processes: a data layer with a memory of its own, a clock of its own, and an end."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, Final

from chainlit_dynamodb.data_layer import DynamoDBDataLayer
from chainlit_dynamodb.testing.simulation.loop import owner_var
from chainlit_dynamodb.testing.simulation.network import Network, SimulatedTransport
from chainlit_dynamodb.testing.simulation.plan import Plan, Trouble
from chainlit_dynamodb.testing.simulation.records import Records
from chainlit_dynamodb.testing.simulation.storage import Bucket, SimulatedStorage
from chainlit_dynamodb.testing.simulation.world import Wall

CLOSE_SECONDS: Final = 10.0
_LAST_SECONDS: Final = 0.001
"""What is answered in the end is heard before the process exits."""
TABLE_NAME: Final = "chats"


class Process(Wall):
    """A server process. When it is dead, nothing of it runs any more.

    Attributes:
        name: Its place and how many were there before.
        slot: Its place.
        layer: The data layer under test.
        gone: Done when it is dead.
    """

    def __init__(self, slot: str, number: int, offset_seconds: float) -> None:
        """Start without a layer; `Servers` gives it one."""
        self.slot = slot
        self.name = f"{slot}{number}"
        self.offset_seconds = offset_seconds
        self.is_closing = False
        self.layer: DynamoDBDataLayer
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.tasks: list[asyncio.Task[Any]] = []

    def context(self) -> contextvars.Context:
        """Return a context in which everything belongs to this process."""
        context = contextvars.Context()
        context.run(owner_var.set, self)
        return context

    def spawn(self, context: contextvars.Context, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task of this process."""
        task = context.copy().run(asyncio.create_task, coroutine)
        self.tasks.append(task)
        return task

    def die(self, records: Records) -> None:
        """End at once."""
        self.is_dead = True
        records.deaths[self.name] = asyncio.get_running_loop().time()
        if not self.gone.done():
            self.gone.set_result(None)


class Servers:
    """The places of a plan, each with a process most of the time."""

    def __init__(self, plan: Plan, network: Network, bucket: Bucket, records: Records) -> None:
        """Start a process in each place."""
        self._plan = plan
        self._network = network
        self._bucket = bucket
        self._records = records
        self._numbers = dict.fromkeys(plan.slots, 0)
        self._requests = dict.fromkeys(plan.slots, 0)
        self._offsets = dict(plan.slots)
        self.all: list[Process] = []
        self.current = {slot: self.start(slot) for slot in plan.slots}
        self._kills = {(t.slot, abs(t.requests)): t for t in plan.troubles if t.kind == "kill" and t.requests}
        network.watch = self._watch
        for trouble in plan.troubles:
            if trouble.kind in ("kill", "close", "clock") and not trouble.requests:
                asyncio.get_running_loop().call_at(trouble.at, self._happen, trouble)

    def start(self, slot: str) -> Process:
        """Start a process in a place."""
        self._numbers[slot] = self._numbers.get(slot, 0) + 1
        process = Process(slot, self._numbers[slot], self._offsets.get(slot, 0.0))
        process.context().run(self._equip, process)
        self.all.append(process)
        return process

    async def alive(self, slot: str) -> Process:
        """Wait for a process in a place that takes calls."""
        while self.current[slot].is_dead or self.current[slot].is_closing:  # noqa: ASYNC110 - time is virtual
            await asyncio.sleep(0.1)
        return self.current[slot]

    async def close(self, process: Process) -> None:
        """End as Chainlit ends: close, then exit."""
        process.is_closing = True
        call = self._records.begin(process, "close", "", ())
        task = process.spawn(process.context(), process.layer.close())
        await asyncio.wait({task, process.gone}, return_when=asyncio.FIRST_COMPLETED)
        if process.is_dead:
            return
        self._records.end(call, answer=process.layer.backlog, error=repr(task.exception() or ""))
        if task.exception() is None:
            call.error = ""
        await asyncio.sleep(_LAST_SECONDS)
        if not process.is_dead:
            process.die(self._records)

    def _equip(self, process: Process) -> None:
        options: Any = dict(self._plan.options)
        process.layer = DynamoDBDataLayer(
            TABLE_NAME,
            transport=SimulatedTransport(self._network, process.name, process.slot),
            storage_provider=SimulatedStorage(self._bucket, process.slot),
            close_seconds=CLOSE_SECONDS,
            **options,
        )

    def _watch(self, slot: str, *, is_done: bool) -> None:
        """Kill a process at one of its requests."""
        if not self._kills:
            return
        if not is_done:
            self._requests[slot] = self._requests.get(slot, 0) + 1
        trouble = self._kills.get((slot, self._requests[slot]))
        if trouble is not None and (trouble.requests < 0) == is_done:
            del self._kills[slot, abs(trouble.requests)]
            self._happen(trouble)

    def _happen(self, trouble: Trouble) -> None:
        process = self.current[trouble.slot]
        if process.is_dead or self._network.is_healed:
            return
        if trouble.kind == "clock":
            self._records.note(process.name, f"** its clock steps by {trouble.seconds:+.2f} s")
            process.offset_seconds += trouble.seconds
            self._offsets[trouble.slot] = process.offset_seconds
        elif trouble.kind == "kill":
            self._records.note(process.name, "** killed")
            process.die(self._records)
            self._later(trouble)
        elif not process.is_closing:
            self._unowned(self._close_and_replace(process, trouble))

    async def _close_and_replace(self, process: Process, trouble: Trouble) -> None:
        await self.close(process)
        if self.current[trouble.slot] is process:
            self._later(trouble)

    def _later(self, trouble: Trouble) -> None:
        loop, nobody = asyncio.get_running_loop(), contextvars.Context()
        loop.call_later(abs(trouble.seconds), self._replace, trouble.slot, context=nobody)

    def _replace(self, slot: str) -> None:
        self.current[slot] = self.start(slot)
        self._records.note(self.current[slot].name, "** started")

    def _unowned(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._closing = contextvars.Context().run(asyncio.create_task, coroutine)
