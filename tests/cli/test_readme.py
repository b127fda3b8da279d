"""What the README tells people to type and to write, run as they would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Serve
from tests.cli.processes import PATIENCE_SECONDS, Served, listens
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()

RUN_HERE = {
    "make demo",
    "chainlit-dynamodb create-table my-chats",
    "chainlit-dynamodb create-bucket my-files",
    "chainlit-dynamodb template my-chats > table.yaml",
    "chainlit-dynamodb run --local --table my-chats --bucket my-files app.py",
}
RUN_ELSEWHERE = {
    "make test": ".ci/run is this very command",
    "pip install 'chainlit-dynamodb[s3]'": "tests/packaging installs the wheel",
    "pip install 'chainlit-dynamodb[local]'": "make demo installs this extra",
}


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", README, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def test_every_command_is_run_by_a_test() -> None:
    commands = {line for block in blocks("bash") for line in block.splitlines() if line}
    assert commands == RUN_HERE | RUN_ELSEWHERE.keys()


def test_the_extras_it_names_exist() -> None:
    listed = (
        (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2].partition("[dep")[0]
    )
    extras = set(re.findall(r"^([a-z0-9-]+) = ", listed, re.MULTILINE))
    named = set(re.findall(r"chainlit-dynamodb\[([a-z0-9-]+)\]", README)) | {"s3", "azure-blob", "gcs", "azure"}
    assert named <= extras


def test_what_it_links_to_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_options_it_lists_are_those_of_the_layer() -> None:
    code = "import inspect, chainlit_dynamodb as c; print(*inspect.signature(c.DynamoDBDataLayer).parameters)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    options = README.partition("## Options")[2].partition("##")[0]
    for name in done.stdout.split():
        assert f"`{name}`" in options or f"({name}," in options, name


def test_its_app_runs_on_this_machine(serve: Serve, tmp_path: Path) -> None:
    (app,) = (block for block in blocks("python") if "data_layer" in block)
    (tmp_path / "app.py").write_text(app)
    served = serve("run", "--local", "--table", "my-chats", "--bucket", "my-files", "app.py", "-h")
    assert served.get() == 200
    assert served.stop() == 0


def test_its_other_examples_run(tmp_path: Path) -> None:
    for block in (block for block in blocks("python") if "data_layer" not in block):
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_its_commands_for_table_and_bucket_work(cli: Cli, ministack_url: str) -> None:
    assert cli("create-bucket", "my-files", AWS_ENDPOINT_URL_S3=ministack_url).returncode == 0
    assert cli("create-table", "my-chats", AWS_ENDPOINT_URL_DYNAMODB=ministack_url).returncode == 0
    assert "AWS::DynamoDB::Table" in cli("template", "my-chats").stdout


@pytest.fixture
def make_demo(tmp_path: Path) -> Iterator[Served]:
    """`make demo` with the environment the tests run in, in an empty folder."""
    port, log = free_port(), tmp_path / "output.txt"
    command = ["make", "-f", str(ROOT / "Makefile"), "-o", f"{sys.prefix}/.demo", "demo"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"PORT={port}", f"VENV={sys.prefix}"],
            cwd=tmp_path,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    yield Served(process, port, log)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def test_make_demo_serves_and_ends(make_demo: Served) -> None:
    make_demo.wait_until_ready()
    assert make_demo.get() == 200
    os.killpg(make_demo.process.pid, signal.SIGINT)  # Ctrl-C reaches make and what it runs
    make_demo.process.wait(PATIENCE_SECONDS)
    assert not listens(make_demo.port)
