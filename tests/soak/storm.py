"""Runs the sessions, injects the faults, kills engine and sessions, and checks."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.session

from chainlit_dynamodb import DynamoDBDataLayer
from chainlit_dynamodb.ops.create_table import create_table
from chainlit_dynamodb.testing.dynamodb_local import command_line
from chainlit_dynamodb.testing.faults import FaultPlan, FaultProxy
from tests.ports import free_port
from tests.soak.check import Checker, records_of
from tests.soak.ledger import read_ledgers

ROOT = Path(__file__).parents[2]
CALM_SECONDS = 90.0


@dataclass(frozen=True)
class Options:
    """What to run: `sessions` over `processes`, for `seconds`; `seed` draws everything random."""

    sessions: int
    seconds: float
    seed: int
    processes: int = 4


@dataclass
class Report:
    """What happened."""

    options: Options
    injected: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    checked: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Give the report as a table."""
        yield "| | |"
        yield "|---|---|"
        yield f"| seed | {self.options.seed} |"
        yield f"| sessions | {self.options.sessions} in {self.options.processes} processes |"
        yield f"| time | {self.options.seconds:.0f} s |"
        yield f"| requests | {self.requests} |"
        for name, count in [*sorted(self.checked.items()), *sorted(self.injected.items())]:
            yield f"| {name.replace('_', ' ')} | {count} |"
        for kind in ("lost", "duplicated", "out of order", "damaged", "not deleted"):
            yield f"| **{kind}** | **{self.findings[kind]}** |"


class Engine:
    """DynamoDB Local with a folder, so that it survives being killed."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process = self._start()

    def client(self) -> Any:
        """Give a client of its own, past the proxy."""
        return botocore.session.Session().create_client("dynamodb", region_name="us-east-1", endpoint_url=self.url)

    async def restart(self) -> None:
        """Kill it without warning, and start it again."""
        self.kill()
        await asyncio.sleep(0.5)
        self._process = self._start()

    def kill(self) -> None:
        """Kill it without warning."""
        self._process.kill()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        command = command_line(self.port, self._folder)
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Sessions:
    """One process of sessions, started again when it is killed."""

    def __init__(self, number: int, options: Options, table: str, endpoint: str, folder: Path, end: float) -> None:
        """Start it."""
        self._number, self._options, self._end = number, options, end
        self._table, self._endpoint, self._folder = table, endpoint, folder
        self._lives = 0
        self._process = self._start()

    def restart(self) -> None:
        """Kill it without warning, and start another."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = self._start()

    async def finish(self) -> None:
        """Wait until it has written everything and ended."""
        code = await asyncio.to_thread(self._process.wait, CALM_SECONDS)
        if code:
            log = (self._folder / f"p{self._number}-{self._lives}.log").read_text()
            raise RuntimeError(f"sessions {self._number} ended with {code}: {log[-4_000:]}")

    def _start(self) -> subprocess.Popen[bytes]:
        self._lives += 1
        name = f"p{self._number}-{self._lives}"
        arguments = {
            "--table": self._table,
            "--endpoint": self._endpoint,
            "--ledger": str(self._folder / f"{name}.ledger"),
            "--sessions": str(self._options.sessions // self._options.processes),
            "--seed": f"{self._options.seed}/{name}",
            "--deadline": str(self._end),
        }
        command = [
            sys.executable,
            "-m",
            "tests.soak.sessions",
            *(part for pair in arguments.items() for part in pair),
        ]
        environment = {**os.environ, "CHAINLIT_APP_ROOT": str(self._folder)}
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)


async def run(options: Options, folder: Path) -> Report:
    """Run the storm in a folder, then check."""
    report = Report(options)
    data = folder / "engine"
    data.mkdir()
    with _engine(data) as engine:
        table = f"soak-{uuid.uuid4().hex}"
        await asyncio.to_thread(_create_table, engine, table)
        async with FaultProxy(engine.url, FaultPlan.stormy(), seed=options.seed) as proxy:
            end = time.time() + options.seconds
            endpoint = proxy.url
            sessions = [Sessions(n, options, table, endpoint, folder, end) for n in range(options.processes)]
            await _rage(options, engine, proxy, sessions, end)
            proxy.plan = FaultPlan()
            await asyncio.gather(*(s.finish() for s in sessions))
            report.injected, report.requests = proxy.injected, proxy.requests
        await _check(report, engine, table, folder)
    return report


async def _rage(options: Options, engine: Engine, proxy: FaultProxy, sessions: list[Sessions], end: float) -> None:
    chance = random.Random(options.seed)  # noqa: S311 - repeatable
    while (left := end - time.time()) > 0:
        await asyncio.sleep(min(left, chance.uniform(3, 8)))
        event = chance.choice(("sessions killed", "engine killed", "outage"))
        if event == "outage":
            await proxy.outage(chance.uniform(1, 4))
            continue
        proxy.injected[event] += 1
        if event == "engine killed":
            await engine.restart()
        elif time.time() < end:
            await asyncio.to_thread(chance.choice(sessions).restart)


async def _check(report: Report, engine: Engine, table: str, folder: Path) -> None:
    client = engine.client()

    def raw_rows(thread_id: str) -> list[dict[str, Any]]:
        values = {":pk": {"S": f"THREAD#{thread_id}"}}
        answer = client.query(
            TableName=table,
            KeyConditionExpression="PK = :pk",
            ExpressionAttributeValues=values,
            ConsistentRead=True,
        )
        return list(answer["Items"])

    layer = DynamoDBDataLayer(table, endpoint_url=engine.url)
    checker = Checker(layer, raw_rows)
    await checker.check(records_of(read_ledgers(folder)))
    await layer.close()
    report.checked, report.findings, report.details = checker.checked, checker.findings, checker.details


def _create_table(engine: Engine, table: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            create_table(engine.client(), table)
        except Exception:  # the engine is still starting
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


@contextmanager
def _engine(folder: Path) -> Iterator[Engine]:
    engine = Engine(folder)
    try:
        yield engine
    finally:
        engine.kill()
