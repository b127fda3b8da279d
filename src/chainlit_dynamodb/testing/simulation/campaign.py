"""Many stories, on all cores, for a number of seeds or for a time."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from chainlit_dynamodb.testing.simulation.drawing import draw_plan
from chainlit_dynamodb.testing.simulation.invariants import INVARIANTS, Invariant
from chainlit_dynamodb.testing.simulation.story import tell

_SEEDS_AT_ONCE: Final = 10
_COLLECT_EVERY: Final = 20


class Result(NamedTuple):
    """What is known of one schedule.

    Attributes:
        seed: Its seed.
        invariants: What was broken, each with what was seen first.
        calls: How many calls of the layers it had.
        requests: How many requests something befell.
        seconds: How long it took in virtual time.
    """

    seed: int
    invariants: dict[str, str]
    calls: int
    requests: int
    seconds: float


@dataclass
class Summary:
    """What came of many schedules.

    Attributes:
        schedules: How many there were.
        calls: Of the layers, in all of them.
        virtual_seconds: How long they took in their own time.
        real_seconds: How long they took.
        broken: How often each invariant was broken.
        first: The first schedule that broke it, and what was seen.
    """

    schedules: int = 0
    calls: int = 0
    struck: int = 0
    virtual_seconds: float = 0.0
    real_seconds: float = 0.0
    broken: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Count a schedule."""
        self.schedules += 1
        self.calls += result.calls
        self.struck += result.requests
        self.virtual_seconds += result.seconds
        for name, detail in result.invariants.items():
            self.broken[name] += 1
            self.first[name] = min(self.first.get(name, (result.seed, detail)), (result.seed, detail))

    def lines(self) -> Iterator[str]:
        """Return it in lines."""
        count = max(1, self.schedules)
        rate = self.schedules / max(self.real_seconds, 0.001)
        yield f"{self.schedules} schedules in {self.real_seconds:.1f} s: {rate:.1f} per second"
        yield (
            f"mean length: {self.calls / count:.1f} calls, {self.struck / count:.1f} faults, "
            f"{self.virtual_seconds / count:.0f} s of virtual time"
        )
        for name, times in self.broken.most_common():
            yield f"FINDING {name}: in {times} schedules, first seed {self.first[name][0]}: {self.first[name][1]}"
        if not self.broken:
            yield "no finding"


def one(seed: int, invariants: tuple[Invariant, ...] = INVARIANTS) -> Result:
    """Let the story of a seed happen."""
    outcome = tell(draw_plan(seed), invariants)
    found: dict[str, str] = {}
    for finding in outcome.findings:
        found.setdefault(finding.invariant, finding.detail)
    return Result(seed, found, len(outcome.records.calls), len(outcome.struck), outcome.seconds)


def some(seeds: tuple[int, ...], names: tuple[str, ...]) -> list[Result]:
    """Let the stories of some seeds happen."""
    invariants = tuple(invariant for invariant in INVARIANTS if invariant.__name__ in names)
    results = []
    for number, seed in enumerate(seeds):
        results.append(one(seed, invariants))
        if number % _COLLECT_EVERY == 0:
            gc.collect()
    return results


def run(
    seeds: Iterator[int],
    names: tuple[str, ...],
    *,
    minutes: float | None = None,
    processes: int | None = None,
    tell_progress: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Let stories happen on all cores.

    Args:
        seeds: Their seeds; may be endless if the time is not.
        names: The invariants to check.
        minutes: How long; `None` until the seeds end.
        processes: How many at a time; `None` for one per core.
        tell_progress: Hears of every few.
    """
    summary, started = Summary(), time.monotonic()
    count = processes or os.cpu_count() or 1
    with multiprocessing.get_context("fork").Pool(count, _start) as pool:
        chunks = _chunks(seeds, None if minutes is None else started + minutes * 60)
        jobs = ((chunk, names) for chunk in chunks)
        waiting = [pool.apply_async(some, job) for job in itertools.islice(jobs, 2 * count)]
        while waiting:
            for result in waiting.pop(0).get():
                summary.add(result)
            waiting += [pool.apply_async(some, job) for job in itertools.islice(jobs, 1)]
            summary.real_seconds = time.monotonic() - started
            tell_progress(summary)
    return summary


def _start() -> None:
    """Collect garbage between stories alone."""
    gc.freeze()
    gc.disable()


def _chunks(seeds: Iterator[int], deadline: float | None) -> Iterator[tuple[int, ...]]:
    while chunk := tuple(itertools.islice(seeds, _SEEDS_AT_ONCE)):
        if deadline is not None and time.monotonic() > deadline:
            return
        yield chunk
