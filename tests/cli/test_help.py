"""Help, version and exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import chainlit_dynamodb
from chainlit_dynamodb.cli.main import main

COMMANDS = ("create-table", "create-bucket", "template", "run", "demo")


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_every_command_explains_itself_with_an_example(command: list[str], option: str) -> None:
    result = CliRunner().invoke(main, [*command, option])
    assert result.exit_code == 0
    assert "Example:\n    chainlit-dynamodb " in result.stdout


def test_all_commands_are_listed() -> None:
    assert tuple(main.commands) == COMMANDS


def test_the_version_is_the_package_s() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.stdout == f"chainlit-dynamodb, version {chainlit_dynamodb.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["create-table"],
        ["create-table", "chats", "--nonsense"],
        ["run"],
        ["run", "app.py", "--data", "x"],
        ["run", "--local", "app.py", "--profile", "x"],
        ["demo", "--port", "0"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr


def test_the_command_line_does_not_import_chainlit(tmp_path: Path) -> None:
    script = "import sys, chainlit_dynamodb.cli.main; sys.exit('chainlit' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    assert list(tmp_path.iterdir()) == []
