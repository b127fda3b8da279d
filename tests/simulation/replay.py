"""Tells stories that were kept, on this code or on that of a commit.

`python -m tests.simulation.replay --on 36c1cd6 tests/simulation/found/a*.json` shows what they found there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from chainlit_dynamodb.testing.simulation import plan_text
from chainlit_dynamodb.testing.simulation.story import tell


def main() -> int:
    """Tell them, and return 1 if there are findings."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.replay", description=main.__doc__)
    parser.add_argument("plans", nargs="+", type=Path, help="files with plans")
    parser.add_argument("--on", metavar="COMMIT", help="tell them on the code of this commit, simulation included")
    options = parser.parse_args()
    return replay_on(options.on, options.plans) if options.on else replay(options.plans)


def replay(plans: list[Path]) -> int:
    """Tell stories, a line each, and return 1 if there are findings."""
    found = False
    for plan in plans:
        outcome = tell(plan_text.from_json(plan.read_text()))
        first = next(iter(outcome.findings), None)
        told = f"{first.invariant}: {first.detail}" if first else "holds"
        print(f"{plan.stem}: {len(outcome.records.calls)} calls: {told}", flush=True)  # noqa: T201 - a command
        found = found or first is not None
    return 1 if found else 0


def replay_on(commit: str, plans: list[Path]) -> int:
    """Tell stories on the code of a commit, which need not have known that plans have a text."""
    with TemporaryDirectory() as folder:
        archive = Path(folder, "source.zip")
        subprocess.run(["git", "archive", "-o", archive, commit, "src"], check=True)
        shutil.unpack_archive(archive, folder)
        shutil.copy(plan_text.__file__, Path(folder, "src/chainlit_dynamodb/testing/simulation"))
        environment = {**os.environ, "PYTHONPATH": str(Path(folder, "src"))}
        return subprocess.run([sys.executable, __file__, *plans], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
