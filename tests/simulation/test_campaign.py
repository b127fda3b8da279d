"""Thousands of schedules on the present code, on all cores: none has a finding."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCHEDULES = int(os.environ.get("SIMULATED_SCHEDULES", "2000"))


@pytest.mark.timeout(600)
def test_no_schedule_has_a_finding() -> None:
    command = [sys.executable, "-m", "chainlit_dynamodb.testing.simulation", "--seeds", f"0-{SCHEDULES - 1}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{SCHEDULES} schedules" in result.stdout
