"""Twenty seconds of the soak; `make soak` runs the long one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.soak.storm import Options, run

SEED = random.randrange(1_000_000)  # noqa: S311 - a seed to print


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("dynamodb_local_url")
async def test_nothing_acknowledged_is_lost_in_a_storm(tmp_path: Path) -> None:
    report = await run(Options(sessions=40, seconds=20, seed=SEED), tmp_path)
    assert report.checked["writes"] > 200
    assert not report.findings, f"seed {SEED}: {report.details[:20]}"
