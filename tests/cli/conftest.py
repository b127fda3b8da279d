"""The command line as its users run it: in a process of its own, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import boto3
import pytest

from chainlit_dynamodb.ops.create_table import create_table
from tests.cli.processes import PATIENCE_SECONDS, Served
from tests.ports import free_port

COMMAND = [sys.executable, "-m", "chainlit_dynamodb.cli.main"]

Cli = Callable[..., subprocess.CompletedProcess[str]]
Serve = Callable[..., Served]


@pytest.fixture
def table(ministack_url: str) -> str:
    """An empty table."""
    name = f"cli-{uuid.uuid4().hex}"
    create_table(boto3.client("dynamodb", endpoint_url=ministack_url), name)
    return name


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Run the command line and give what it answered."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env=_environment(tmp_path, variables),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    return run


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a command that serves, on a port of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, command: Sequence[str] = COMMAND, **variables: str) -> Served:
        port = free_port()
        log = tmp_path / f"output-{port}.txt"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, *arguments, "--port", str(port)],
                cwd=tmp_path,
                env=_environment(tmp_path, variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        started.append(process)
        served = Served(process, port, log)
        served.wait_until_ready()
        return served

    yield start
    for process in started:
        process.kill()
        process.wait()


def _environment(folder: Path, variables: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "CHAINLIT_APP_ROOT": str(folder), **variables}
