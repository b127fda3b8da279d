"""Hunt all mutants and report."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys

from tests.simulation.mutants import MUTANTS
from tests.simulation.mutants.mutant import Hunt, hunt

MAX_SCHEDULES = 2000


def main() -> int:
    """Hunt all mutants, or those whose name holds a text, and report."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--schedules", type=int, default=MAX_SCHEDULES)
    parser.add_argument("--processes", type=int)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    jobs = [(number, options.schedules) for number, mutant in enumerate(MUTANTS) if options.only in mutant.name]
    alive = 0
    with multiprocessing.get_context("fork").Pool(options.processes, _start) as pool:
        for found in pool.imap(_hunt, jobs, chunksize=1):
            alive += not found.invariants
            sys.stdout.write(f"| {found.name} | {found.schedules} | {', '.join(found.invariants) or 'NOT FOUND'} |\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(jobs) - alive} of {len(jobs)} found\n")
    return 1 if alive else 0


def _start() -> None:
    """Collect garbage between stories alone."""
    gc.freeze()
    gc.disable()


def _hunt(job: tuple[int, int]) -> Hunt:
    return hunt(MUTANTS[job[0]], job[1])


if __name__ == "__main__":
    sys.exit(main())
