"""What is printed: stories, findings, summaries."""

from __future__ import annotations

from collections.abc import Iterator

from chainlit_dynamodb.testing.simulation.story import Outcome


def story_lines(outcome: Outcome) -> Iterator[str]:
    """Return a story: its plan, what happened, what is wrong with it."""
    yield f"seed {outcome.plan.seed}"
    yield from outcome.plan.describe()
    yield from (f"struck: {name}" for name in outcome.struck)
    yield from outcome.lines()
    yield f"{outcome.seconds:.0f} s of virtual time, {len(outcome.records.calls)} calls"
    yield from finding_lines(outcome)


def finding_lines(outcome: Outcome) -> Iterator[str]:
    """Return what is wrong."""
    yield from (f"FINDING {finding.invariant}: {finding.detail}" for finding in outcome.findings)
