"""Several servers, real processes, on one table."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from chainlit_dynamodb import DynamoDBDataLayer
from tests.contract.chats import listed, start_thread, steps_of
from tests.reliability.conftest import Rows, dynamodb_local
from tests.reliability.worker import START_SECONDS, WRITES

pytestmark = dynamodb_local

ROOT = Path(__file__).parents[2]


class Servers:
    """Processes that do one task each, all from the same moment on."""

    def __init__(self, table: str, endpoint: str, folder: Path) -> None:
        """Start none yet."""
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []
        self._place = (table, endpoint, str(folder))

    def start(self, *tasks: str) -> list[subprocess.Popen[str]]:
        """Start a server for each task, and let them go when all are ready."""
        for number, task in enumerate(tasks):
            command = [sys.executable, "-m", "tests.reliability.worker", *self._place, task, str(number)]
            environment = {**os.environ, "CHAINLIT_APP_ROOT": str(self.folder)}
            self.running.append(
                subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
            )
        deadline = time.monotonic() + START_SECONDS
        while len(list(self.folder.glob("ready-*"))) < len(tasks):
            assert time.monotonic() < deadline
            assert all(server.poll() is None for server in self.running)
            time.sleep(0.02)
        (self.folder / "go").touch()
        return self.running

    def answers(self, *servers: subprocess.Popen[str]) -> list[Any]:
        """Wait for servers to end well, and give what they have seen."""
        found = []
        for server in servers:
            out, _ = server.communicate(timeout=START_SECONDS * 2)
            assert server.returncode == 0
            found.append(json.loads(out.splitlines()[-1]))
        return found


@pytest.fixture
def servers(table_name: str, dynamodb_url: str, tmp_path: Path) -> Iterator[Servers]:
    """Servers on the table, which end with the test."""
    started = Servers(table_name, dynamodb_url, tmp_path)
    yield started
    for server in started.running:
        server.kill()
        server.communicate()


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.to_thread(function, *arguments)


async def test_what_two_servers_write_to_one_thread_is_all_there_and_a_reader_never_fails(
    layer: DynamoDBDataLayer, servers: Servers
) -> None:
    await start_thread(layer)
    one, two, reader = await in_thread(servers.start, "write", "write", "read")
    await in_thread(servers.answers, one, two)
    (servers.folder / "stop").touch()
    ((*seen,),) = await in_thread(servers.answers, reader)
    thread: Any = await layer.get_thread("t1")
    names = {f"p{number}-{turn}": turn for number in (0, 1) for turn in range(WRITES)}
    assert {step["id"]: step["output"] for step in thread["steps"]} == {k: f"{n} done" for k, n in names.items()}
    assert thread["metadata"] == names
    assert len(seen) > 1
    assert all(set(earlier) <= set(later) for earlier, later in pairwise(seen))


async def test_a_thread_deleted_on_one_server_while_others_write_stays_deleted(
    layer: DynamoDBDataLayer, servers: Servers, rows: Rows
) -> None:
    await start_thread(layer)
    *writers, deleter = await in_thread(servers.start, "write_on", "write_on", "delete")
    (seen,) = await in_thread(servers.answers, deleter)
    turns = await in_thread(servers.answers, *writers)
    assert not any(seen)
    assert min(turn for (turn,) in turns) > 10
    assert [(row["PK"]["S"], row["SK"]["S"]) for row in rows()] == [("THREAD#t1", "THREAD")]
    assert await layer.get_thread("t1") is None
    assert await listed(layer) == []


async def test_a_user_who_logs_in_on_two_servers_is_one_user(servers: Servers, rows: Rows) -> None:
    seen = await in_thread(lambda: servers.answers(*servers.start("log_in", "log_in")))
    (row,) = rows()
    assert [tuple(user) for found in seen for user in found] == [("alice", row["createdAt"]["S"])] * 2
    assert row["metadata"]["M"]["turn"] == {"N": str(WRITES - 1)}


async def test_a_server_that_is_killed_takes_nothing_along_that_was_answered(
    layer: DynamoDBDataLayer, servers: Servers
) -> None:
    await start_thread(layer)
    writer, reader = await in_thread(servers.start, "write", "read")
    for _ in range(1_000):
        if len(await steps_of(layer)) > 4:
            break
    writer.kill()
    (servers.folder / "stop").touch()
    ((*seen,),) = await in_thread(servers.answers, reader)
    steps = await steps_of(layer)
    assert set(seen[-1]) <= set(steps)
    assert all(step["output"] in (turn, f"{turn} done") for key, step in steps.items() for turn in [key[3:]])
