"""What the layer's own work costs: CPU time per call beside an engine that answers at once, from another process.

    python -m benchmarks.cpu                  # this checkout
    python -m benchmarks.cpu --against PATH   # another checkout and this one, in turn

Each checkout is a process of its own. They measure a few calls in turn, many times, so that whatever else the machine
does hits both alike; the ratio is the median of the ratios of neighbours. Add `--json` for a program to read.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.chat import enter_chat, ours, prepare_environment, step
from benchmarks.stub_engine import THREAD_ID, USER_ID, stub_engine

THIS: Final = Path(__file__).parents[1]
ROUNDS: Final = 40
STEPS: Final = 1_000
SMALL_CALLS: Final = 50
LARGE_CALLS: Final = 2
WARM_UP_ROUNDS: Final = 3

Call = Callable[[Any, int], Awaitable[object]]
Measure = Callable[[str], float]


async def create_step(layer: Any, number: int) -> None:
    """Store a step of 1 KB."""
    await layer.create_step(step(f"new-{number}", THREAD_ID))


async def update_step(layer: Any, number: int) -> None:
    """Change a step of 1 KB."""
    await layer.update_step(step(f"step-{number % STEPS:04d}", THREAD_ID))


async def get_user(layer: Any, number: int) -> None:  # noqa: ARG001 - it is always the same
    """Read a user, uncached."""
    assert (await layer.get_user(USER_ID)).identifier == USER_ID


async def get_thread(layer: Any, number: int) -> None:  # noqa: ARG001 - it is always the same
    """Open a chat."""
    assert len((await layer.get_thread(THREAD_ID))["steps"]) == STEPS


CALLS: Final[dict[str, tuple[Call, int]]] = {
    "create_step, 1 KB": (create_step, SMALL_CALLS),
    "update_step, 1 KB": (update_step, SMALL_CALLS),
    "get_user, uncached": (get_user, SMALL_CALLS),
    f"get_thread, {STEPS:,} steps": (get_thread, LARGE_CALLS),
}


async def work(url: str) -> None:
    """Measure a call of a kind for every line of stdin that names one, and print the CPU microseconds of it."""
    layer = ours("chats", url)
    enter_chat(THREAD_ID, USER_ID)
    numbers = itertools.count()
    while name := (await asyncio.to_thread(sys.stdin.readline)).strip():
        print(await microseconds(layer, name, numbers), flush=True)
    await layer.close()


async def microseconds(layer: Any, name: str, numbers: Iterator[int]) -> float:
    """Return the CPU time of a call of a kind, the mean of a few."""
    call, times = CALLS[name]
    gc.collect()
    started = time.process_time()
    for _ in range(times):
        await call(layer, next(numbers))
    return (time.process_time() - started) / times * 1e6


@contextmanager
def worker(checkout: Path, url: str) -> Iterator[Measure]:
    """Run `work` on a checkout in a process of its own, and yield what measures a call of a kind there."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    command = [sys.executable, "-m", "benchmarks.cpu", "--url", url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=THIS, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        yield partial(_ask, process)


def _ask(process: subprocess.Popen[str], name: str) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(name + "\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def compare(checkouts: list[Path], rounds: int) -> dict[str, list[list[float]]]:
    """Measure checkouts in turn.

    Returns:
        For each kind of call the rounds, each with a number per checkout.
    """
    with ExitStack() as stack:
        url = stack.enter_context(stub_engine(STEPS))
        measures = [stack.enter_context(worker(checkout, url)) for checkout in checkouts]
        for _, name in itertools.product(range(WARM_UP_ROUNDS), CALLS):
            _turn(measures, name)
        measured: dict[str, list[list[float]]] = {name: [] for name in CALLS}
        for _, name in itertools.product(range(rounds), CALLS):
            measured[name].append(_turn(measures, name))
    return measured


def _turn(measures: list[Measure], name: str) -> list[float]:
    return [measure(name) for measure in measures]


def summary(rounds: list[list[float]]) -> dict[str, float]:
    """Return the medians of the checkouts in microseconds and, of two, the median ratio of this one to the other."""
    *others, this = [statistics.median(numbers) for numbers in zip(*rounds, strict=True)]
    if not others:
        return {"this": this}
    return {"other": others[0], "this": this, "ratio": statistics.median(after / before for before, after in rounds)}


def report(found: dict[str, dict[str, float]], rounds: int) -> None:
    """Print a table."""
    columns = list(next(iter(found.values())))
    print(f"CPU microseconds per call, median of {rounds} rounds\n")
    print("| | " + " | ".join(columns) + " |\n|---|" + "--:|" * len(columns))
    for name, numbers in found.items():
        cells = [f"{number:.2f}" if column == "ratio" else f"{number:,.0f}" for column, number in numbers.items()]
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cpu")
    parser.add_argument("--against", type=Path, help="another checkout, measured in turn with this one")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    prepare_environment()
    if options.url:
        asyncio.run(work(options.url))
        return
    against = [options.against.resolve()] if options.against else []
    found = {name: summary(rounds) for name, rounds in compare([*against, THIS], options.rounds).items()}
    if options.json:
        print(json.dumps(found))
    else:
        report(found, options.rounds)


if __name__ == "__main__":
    main()
