"""Simulate: `python -m chainlit_dynamodb.testing.simulation --seeds 0-1999`, `--minutes 5`, or `--seed 7` for one."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from chainlit_dynamodb.testing.simulation.campaign import Summary, run
from chainlit_dynamodb.testing.simulation.drawing import draw_plan
from chainlit_dynamodb.testing.simulation.invariants import INVARIANTS, Invariant
from chainlit_dynamodb.testing.simulation.plan import Plan
from chainlit_dynamodb.testing.simulation.plan_text import from_json, to_json
from chainlit_dynamodb.testing.simulation.report import story_lines
from chainlit_dynamodb.testing.simulation.shrink import shrink
from chainlit_dynamodb.testing.simulation.story import tell

_NAMES: Final = tuple(invariant.__name__ for invariant in INVARIANTS)
_PROGRESS_EVERY: Final = 1000


def main() -> int:
    """Run, and return 1 if there are findings."""
    options = _options()
    names = tuple(options.only or (name for name in _NAMES if name not in options.without))
    if options.plan is not None:
        return _show(from_json(options.plan.read_text()), names, is_short=options.shrink, kept=options.save)
    if options.seed is not None:
        return _show(draw_plan(options.seed), names, is_short=options.shrink, kept=options.save)
    seeds = _seeds(options.seeds)
    summary = run(seeds, names, minutes=options.minutes, processes=options.processes, tell_progress=_Progress())
    _print(summary.lines())
    for seed in dict.fromkeys(seed for seed, _ in sorted(summary.first.values())[: options.stories]):
        _show(draw_plan(seed), names, is_short=True)
    return 1 if summary.broken else 0


def _show(plan: Plan, names: tuple[str, ...], *, is_short: bool, kept: Path | None = None) -> int:
    invariants: tuple[Invariant, ...] = tuple(i for i in INVARIANTS if i.__name__ in names)
    outcome = tell(plan, invariants)
    if outcome.findings and is_short:
        outcome = shrink(outcome)
    if kept is not None:
        kept.write_text(to_json(outcome.plan))
    _print(story_lines(outcome))
    return 1 if outcome.findings else 0


class _Progress:
    def __init__(self) -> None:
        self._next = _PROGRESS_EVERY

    def __call__(self, summary: Summary) -> None:
        if summary.schedules >= self._next:
            self._next += _PROGRESS_EVERY
            _print([next(iter(summary.lines()))])


def _seeds(text: str | None) -> Iterator[int]:
    if text is None:
        return itertools.count()
    first, _, last = text.partition("-")
    return iter(range(int(first), int(last or first) + 1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chainlit_dynamodb.testing.simulation", description=main.__doc__)
    parser.add_argument("--seed", type=int, help="tell the story of this seed")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="tell the story of a plan that was saved")
    parser.add_argument("--shrink", action="store_true", help="make this story short if it has a finding")
    parser.add_argument("--save", type=Path, metavar="FILE", help="save the plan of the story that is told")
    parser.add_argument("--seeds", help="simulate these seeds, as 0-1999")
    parser.add_argument("--minutes", type=float, help="simulate so long, from seed 0 or the first of --seeds on")
    parser.add_argument("--processes", type=int, help="how many at a time; one per core if not given")
    parser.add_argument("--only", nargs="+", choices=_NAMES, help="check these invariants")
    parser.add_argument("--without", nargs="+", choices=_NAMES, default=(), help="check all invariants but these")
    parser.add_argument("--stories", type=int, default=1, help="how many findings to tell the shortened story of")
    options = parser.parse_args()
    if all(way is None for way in (options.seed, options.plan, options.seeds, options.minutes)):
        parser.error("one of --seed, --plan, --seeds and --minutes is needed")
    return options


def _print(lines: Iterator[str] | list[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
