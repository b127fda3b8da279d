"""What each of Chainlit's actions costs in capacity units and in CPU time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks import chat
from benchmarks.chat import BUILT_IN, LAYERS, OURS, Action, Place, boto3_client, enter_chat, message, step
from chainlit_dynamodb.ops.create_table import create_table
from chainlit_dynamodb.testing.engines import DYNAMODB_LOCAL, running_engine

THREADS = 1_000
STEPS = 100
CPU_ROUNDS = 20
USER = "alice@example.org"
READS = {"GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"}
LIGHTHOUSES = 3
ACTIONS: dict[str, Action] = {
    "login": chat.log_in,
    "page load": chat.load_page,
    "first message": chat.first_message,
    "turn with a tool": chat.turn_with_tool,
    "50 updates while streaming": chat.burst_of_updates,
    "feedback": chat.give_feedback,
    "favourite": chat.set_favorite,
    "list of favourites": chat.list_favorites,
    f"open a thread of {STEPS} steps": chat.open_thread,
    f"list of {chat.LIST_SIZE} threads": chat.list_threads,
    f"search {THREADS} threads": chat.search,
}
DELETION = f"delete a thread of {STEPS} steps"


@dataclass
class Cost:
    """What an action took: requests, read and write units, CPU milliseconds of the process."""

    requests: int = 0
    read_units: float = 0.0
    write_units: float = 0.0
    cpu_ms: float = 0.0

    def add(self, operation: str, units: float) -> None:
        """Count a request."""
        self.requests += 1
        if operation in READS:
            self.read_units += units
        else:
            self.write_units += units


@dataclass
class Bill:
    """The costs of each action on one layer."""

    costs: dict[str, Cost] = field(default_factory=dict)
    found: int = 0


class _LogReader(logging.Handler):
    """Reads what our layer logs of each operation."""

    def __init__(self, cost: Cost) -> None:
        super().__init__(logging.DEBUG)
        self._cost = cost

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and len(record.args) == 4 and "units" in record.msg:
            operation, _, _, units = record.args
            self._cost.add(str(operation), float(str(units)))


@contextmanager
def metered_ours(_: Any) -> Iterator[Cost]:
    """Count what our layer asks for, by its own log."""
    cost, logger = Cost(), logging.getLogger("chainlit.DynamoDB")
    reader, level = _LogReader(cost), logger.level
    logger.addHandler(reader)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield cost
    logger.removeHandler(reader)
    logger.setLevel(level)
    logger.propagate = True


@contextmanager
def metered_built_in(layer: Any) -> Iterator[Cost]:
    """Count what the built-in layer asks for, by events of its client."""
    cost, events = Cost(), layer.client.meta.events

    def ask(params: dict[str, Any], **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    def count(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        consumed = parsed.get("ConsumedCapacity") or []
        parts = consumed if isinstance(consumed, list) else [consumed]
        cost.add(model.name, sum(part.get("CapacityUnits", 0) for part in parts))

    events.register("provide-client-params.dynamodb.*", ask, unique_id="ask")
    events.register("after-call.dynamodb.*", count, unique_id="count")
    yield cost
    events.unregister("provide-client-params.dynamodb.*", unique_id="ask")
    events.unregister("after-call.dynamodb.*", unique_id="count")


METERS: dict[str, Callable[[Any], Any]] = {OURS: metered_ours, BUILT_IN: metered_built_in}


async def make_chat(layer: Any, thread_id: str, name: str, steps: int) -> None:
    """Store a chat of so many steps."""
    enter_chat(thread_id, USER)
    await layer.update_thread(thread_id, name=name, user_id=USER, metadata={"chat_settings": {"model": "harbour"}})
    await layer.create_step(message("step-0", thread_id))
    await asyncio.gather(*(layer.create_step(step(f"step-{number}", thread_id)) for number in range(1, steps)))


async def fill(layer: Any, main_thread: str) -> None:
    """Store a user with a thousand chats; the oldest three are about lighthouses."""
    await chat.log_in(layer, Place(USER, "", 0))
    for number in range(THREADS - 1):
        name = f"The lighthouse {number}" if number < LIGHTHOUSES else f"How is the weather, day {number}?"
        enter_chat(f"old-{number}", USER)
        await layer.update_thread(f"old-{number}", name=name, user_id=USER, metadata={"day": number})
    await make_chat(layer, main_thread, "Weather", STEPS)


async def measured(meter: Any, layer: Any, action: Callable[[], Awaitable[object]]) -> Cost:
    """Do an action once and give what it asked for."""
    with meter(layer) as cost:
        await action()
    counted: Cost = cost
    return counted


async def cpu_ms(actions: list[Callable[[], Awaitable[object]]]) -> float:
    """Do something several times and give the CPU milliseconds of one, threads included."""
    started = time.process_time()
    for action in actions:
        await action()
    return (time.process_time() - started) * 1000 / len(actions)


async def bill(name: str, layer: Any) -> Bill:
    """Measure all actions on one layer."""
    main_thread, result, numbers = "main-thread", Bill(), iter(range(1_000_000))
    await fill(layer, main_thread)

    def once(action: Action) -> Callable[[], Awaitable[object]]:
        place = Place(USER, main_thread, next(numbers))
        return lambda: action(layer, place)

    for label, action in ACTIONS.items():
        cost = await measured(METERS[name], layer, once(action))
        rounds = 3 if "50 updates" in label else CPU_ROUNDS
        cost.cpu_ms = await cpu_ms([once(action) for _ in range(rounds)])
        result.costs[label] = cost
    result.found = await chat.search(layer, Place(USER, main_thread, 0))
    doomed = [f"doomed-{number}" for number in range(4)]
    for thread_id in doomed:
        await make_chat(layer, thread_id, "Weather", STEPS)

    def deletion(thread_id: str) -> Callable[[], Awaitable[object]]:
        return lambda: chat.delete_thread(layer, Place(USER, thread_id, 0))

    result.costs[DELETION] = await measured(METERS[name], layer, deletion(doomed[0]))
    result.costs[DELETION].cpu_ms = await cpu_ms([deletion(thread_id) for thread_id in doomed[1:]])
    await layer.close()
    return result


def report(bills: dict[str, Bill]) -> None:
    """Print a table in Markdown."""
    names = list(bills)
    print("| action | " + " | ".join(f"{n}: requests | read units | write units | CPU ms" for n in names) + " |")
    print("|---|" + "--:|" * 4 * len(names))
    for label in next(iter(bills.values())).costs:
        cells = []
        for one in bills.values():
            cost = one.costs[label]
            cells += [str(cost.requests), f"{cost.read_units:g}", f"{cost.write_units:g}", f"{cost.cpu_ms:.1f}"]
        print(f"| {label} | " + " | ".join(cells) + " |")
    found = Counter({name: one.found for name, one in bills.items()})
    print(f"\nFound by the search, of {LIGHTHOUSES}: " + ", ".join(f"{name} {found[name]}" for name in names))


def main() -> None:
    """Measure both layers and print what they cost."""
    chat.prepare_environment()
    logging.getLogger("chainlit").setLevel(logging.ERROR)
    print(f"Cost: a user with {THREADS} chats, one of {STEPS} steps of 1 KB; units as DynamoDB Local counts them")
    bills: dict[str, Bill] = {}
    with running_engine(DYNAMODB_LOCAL) as engine:
        client = boto3_client(engine.url)
        for number, (name, make_layer) in enumerate(LAYERS.items()):
            table_name = f"cost-{number}"
            create_table(client, table_name)
            bills[name] = asyncio.run(bill(name, make_layer(table_name, engine.url)))
            client.delete_table(TableName=table_name)
    report(bills)


if __name__ == "__main__":
    main()
