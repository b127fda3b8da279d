"""A missing engine is a skip that says why, or a failure where it is required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chainlit_dynamodb.testing import engines
from chainlit_dynamodb.testing.missing import EngineMissingError

ROOT = Path(__file__).parents[2]
ON_DYNAMODB_LOCAL = "tests/cli/test_create_table.py::test_a_second_time_changes_nothing[dynamodb-local]"


def run_without_java(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one test that needs DynamoDB Local where there is no Java."""
    cleared = {"PATH": str(folder), "DYNAMODB_LOCAL_URL": "", "REQUIRED_ENGINES": ""}
    environment = {**os.environ, **cleared, **variables}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", ON_DYNAMODB_LOCAL]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_missing_engine_skips_and_says_why(tmp_path: Path) -> None:
    done = run_without_java(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout
    assert "dynamodb-local: Java is not installed (Debian: default-jre-headless" in done.stdout
    assert "engines: dynamodb-local MISSING" in done.stdout


def test_a_required_engine_that_is_missing_fails(tmp_path: Path) -> None:
    done = run_without_java(tmp_path, REQUIRED_ENGINES="ministack, dynamodb-local")
    assert done.returncode == 1, done.stdout
    assert "dynamodb-local is required: Java is not installed" in done.stdout


def test_an_engine_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNAMODB_LOCAL_URL", "http://127.0.0.1:9/")
    with engines.running_engine(engines.DYNAMODB_LOCAL) as engine:
        assert engine == engines.Engine("dynamodb-local", "http://127.0.0.1:9")


def test_a_browser_can_be_given_or_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CHROMIUM_PATH", sys.executable)
    assert engines.chromium_path() == sys.executable
    monkeypatch.delenv("CHROMIUM_PATH")
    with pytest.raises(EngineMissingError, match="chromium"):
        engines.chromium_path()
