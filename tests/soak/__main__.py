"""`python -m tests.soak`: the long soak. Prints a report, and ends with 1 if anything was found."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
from pathlib import Path

from tests.soak.storm import Options, run


def main() -> None:
    """Run a soak and print its report."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=main.__doc__)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))  # noqa: S311 - a test's seed
    given = parser.parse_args()
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_REGION="us-east-1")
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        os.environ["CHAINLIT_APP_ROOT"] = folder
        report = asyncio.run(run(Options(given.sessions, given.seconds, given.seed), Path(folder)))
    sys.stdout.write("\n".join([*report.lines(), *report.details[:50]]) + "\n")
    sys.exit(1 if report.findings else 0)


if __name__ == "__main__":
    main()
