"""Makes a story that fails as short as it can be while it still fails in the same way ("delta debugging")."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from chainlit_dynamodb.testing.simulation.invariants import INVARIANTS, Invariant
from chainlit_dynamodb.testing.simulation.plan import Plan, Visit
from chainlit_dynamodb.testing.simulation.story import Outcome, tell

MAX_STORIES: Final = 600

T = TypeVar("T")


class _Exhausted(Exception):  # noqa: N818 - it ends the search
    """Enough stories were tried."""


class _Shrinking:
    def __init__(self, outcome: Outcome, invariant: Invariant, max_stories: int) -> None:
        self.best = outcome
        self._invariant = invariant
        self._left = max_stories

    def run(self) -> None:
        try:
            size = None
            while size != (size := self._size()):
                self._once()
        except _Exhausted:
            return

    def _once(self) -> None:
        self._take(replace(self.best.plan, only=frozenset(self.best.struck)))
        self._reduce(self.best.plan.visits, lambda plan, visits: replace(plan, visits=tuple(visits)))
        self._reduce(self.best.plan.troubles, lambda plan, troubles: replace(plan, troubles=tuple(troubles)))
        self._reduce(self.best.struck, lambda plan, names: replace(plan, only=frozenset(names)))
        for number in range(len(self.best.plan.visits)):
            self._reduce(self.best.plan.visits[number].acts, _with_acts(number))
        self._reduce(self.best.struck, lambda plan, names: replace(plan, only=frozenset(names)))
        for simpler in _simpler(self.best.plan):
            self._take(simpler(self.best.plan))

    def _size(self) -> tuple[int, ...]:
        plan = self.best.plan
        return len(self.best.struck), len(plan.troubles), sum(len(visit.acts) + 1 for visit in plan.visits)

    def _take(self, plan: Plan) -> bool:
        """Keep a plan if it fails in the same way."""
        if self._left <= 0:
            raise _Exhausted
        self._left -= 1
        outcome = tell(plan, (self._invariant,))
        if not outcome.findings or outcome.findings[0].invariant != self._invariant.__name__:
            return False
        self.best = outcome
        return True

    def _reduce(self, items: Sequence[T], with_items: Callable[[Plan, Sequence[T]], Plan]) -> None:
        """Leave out items, many at a time first."""
        kept, size = list(items), max(1, len(items) // 2)
        while kept:
            at = 0
            while at < len(kept):
                fewer = kept[:at] + kept[at + size :]
                if self._take(with_items(self.best.plan, fewer)):
                    kept = fewer
                else:
                    at += size
            if size == 1:
                return
            size //= 2


def shrink(outcome: Outcome, max_stories: int = MAX_STORIES) -> Outcome:
    """Return a shorter story in which the first invariant that was broken is still broken.

    Args:
        outcome: A story with a finding.
        max_stories: How many are tried at most.
    """
    name = outcome.findings[0].invariant
    invariant = next((i for i in INVARIANTS if i.__name__ == name), None)
    if invariant is None:
        return outcome
    shrinking = _Shrinking(outcome, invariant, max_stories)
    shrinking.run()
    return shrinking.best


def _with_acts(number: int) -> Callable[[Plan, Sequence[object]], Plan]:
    def with_acts(plan: Plan, acts: Sequence[object]) -> Plan:
        visits = list(plan.visits)
        visits[number] = replace(visits[number], acts=tuple(acts))  # type: ignore[arg-type]
        return replace(plan, visits=tuple(visits))

    return with_acts


def _simpler(plan: Plan) -> Iterator[Callable[[Plan], Plan]]:
    yield lambda plan: replace(plan, shuffles=False)
    yield lambda plan: replace(plan, lag_seconds=0.0)
    yield lambda plan: replace(plan, slots=dict.fromkeys(plan.slots, 0.0))
    yield lambda plan: replace(plan, slots={slot: plan.slots[slot] for slot in _used(plan)})
    yield lambda plan: replace(plan, options={})
    for number in range(len(plan.visits)):
        yield lambda plan, number=number: _with_visit(plan, number, is_bot=False)  # type: ignore[misc]
        yield lambda plan, number=number: _with_visit(plan, number, at=0.0)  # type: ignore[misc]
        yield lambda plan, number=number: _small(plan, number)  # type: ignore[misc]


def _used(plan: Plan) -> list[str]:
    used = {visit.slot for visit in plan.visits} | {trouble.slot for trouble in plan.troubles}
    return [slot for slot in plan.slots if slot in used] or list(plan.slots)


def _with_visit(plan: Plan, number: int, **changes: object) -> Plan:
    visits = list(plan.visits)
    visits[number] = replace(visits[number], **changes)  # type: ignore[arg-type]
    return replace(plan, visits=tuple(visits))


def _small(plan: Plan, number: int) -> Plan:
    visit: Visit = plan.visits[number]
    acts = tuple(replace(act, size=0, times=1) for act in visit.acts)
    return _with_visit(plan, number, acts=acts)
