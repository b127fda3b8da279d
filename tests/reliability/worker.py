"""A server: `python -m tests.reliability.worker TABLE ENDPOINT FOLDER TASK NUMBER` does one task and ends."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from chainlit.user import User

from chainlit_dynamodb import DynamoDBDataLayer
from tests.contract.chats import ALICE, enter_chat, message
from tests.reliability.values import KB, incompressible

THREAD: Final = "t1"
WRITES: Final = 25
START_SECONDS: Final = 30.0


async def write(layer: DynamoDBDataLayer, number: int, _: Path) -> list[Any]:
    """Chat in the thread: steps and metadata of this server's own."""
    for turn in range(WRITES):
        await asyncio.gather(
            layer.create_step(message(f"p{number}-{turn}", THREAD, output=f"{turn}")),
            layer.update_step(message(f"p{number}-{turn}", THREAD, output=f"{turn} done")),
            layer.update_thread(THREAD, metadata={f"p{number}-{turn}": turn}),
        )
    return []


async def write_on(layer: DynamoDBDataLayer, number: int, folder: Path) -> list[Any]:
    """Chat until the thread is deleted and longer, large steps too, then disconnect."""
    deadline = time.monotonic() + START_SECONDS
    turn = 0
    after = 10
    while after and time.monotonic() < deadline:
        size = 100 * KB if turn % 5 == 0 else 10
        await layer.create_step(message(f"p{number}-{turn}", THREAD, output=incompressible(size, turn)))
        after -= (folder / "deleted").exists()
        turn += 1
    await layer.update_thread(THREAD, metadata={"turns": turn})
    return [turn]


async def delete(layer: DynamoDBDataLayer, _: int, folder: Path) -> list[Any]:
    """Delete the thread while others write, then look whether it comes back."""
    await asyncio.sleep(0.3)
    await layer.delete_thread(THREAD)
    (folder / "deleted").touch()
    seen = []
    for _look in range(20):
        seen.append(await layer.get_thread(THREAD) is not None)
        await asyncio.sleep(0.02)
    return seen


async def read(layer: DynamoDBDataLayer, _: int, folder: Path) -> list[Any]:
    """Read the thread again and again; give how many of whose steps were there each time."""
    seen: list[Any] = []
    while not (folder / "stop").exists():
        thread: Any = await layer.get_thread(THREAD)
        assert {"id", "steps", "elements", "metadata", "userIdentifier"} <= set(thread)
        seen.append(sorted(step["id"] for step in thread["steps"]))
    return seen


async def log_in(layer: DynamoDBDataLayer, number: int, _: Path) -> list[Any]:
    """Log the same user in, again and again."""
    seen = set()
    for turn in range(WRITES):
        user = await layer.create_user(User(identifier="alice", metadata={"from": number, "turn": turn}))
        assert user is not None
        seen.add((user.id, user.createdAt))
    return sorted(seen)


TASKS: Final[dict[str, Callable[[DynamoDBDataLayer, int, Path], Awaitable[list[Any]]]]] = {
    task.__name__: task for task in (write, write_on, delete, read, log_in)
}


def _wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.005)


async def _main(table: str, endpoint: str, folder: Path, task: str, number: int) -> None:
    layer = DynamoDBDataLayer(table, endpoint_url=endpoint)
    enter_chat(THREAD, ALICE)
    await layer.get_user("nobody")  # what takes long the first time is done
    (folder / f"ready-{task}-{number}").touch()
    await asyncio.to_thread(_wait_for, folder / "go")
    seen = await TASKS[task](layer, number, folder)
    await layer.close()
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4], int(sys.argv[5])))
