"""What must hold, whatever goes wrong. Each invariant is one function that returns what contradicts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from chainlit_dynamodb.testing.simulation.endings import Ending, Finding
from chainlit_dynamodb.testing.simulation.leftovers import (
    lookups_lead_to_steps,
    markers_are_right,
    memory_stays_in_bounds,
    no_file_is_without_row,
    nothing_is_left_of_deleted_threads,
    nothing_is_pending,
    nothing_outdated_is_left,
    parts_go_at_once,
    parts_have_owners,
)
from chainlit_dynamodb.testing.simulation.lists import (
    favorites_are_listed,
    lists_are_complete,
    lists_hold_only_what_is_there,
    no_chat_is_listed_twice,
    nothing_internal_leaks,
    pages_are_in_order,
)
from chainlit_dynamodb.testing.simulation.patience import (
    closing_ends_in_time,
    nobody_gives_up_early,
    nobody_waits_long_to_read,
    nobody_waits_long_to_write,
    nothing_is_lost_early,
    only_closing_gives_up,
    reads_do_not_fail_for_good,
)
from chainlit_dynamodb.testing.simulation.seen import (
    authors_are_what_was_written,
    deleted_stays_deleted,
    elements_are_what_was_written,
    elements_go_with_their_step,
    elements_keep_their_order,
    favorites_are_what_was_written,
    feedback_is_what_was_written,
    servers_see_what_they_were_told,
    steps_are_what_was_written,
    threads_are_what_was_written,
)

Invariant = Callable[[Ending], Iterator[str]]

INVARIANTS: Final[tuple[Invariant, ...]] = (
    threads_are_what_was_written,
    authors_are_what_was_written,
    steps_are_what_was_written,
    elements_are_what_was_written,
    feedback_is_what_was_written,
    favorites_are_what_was_written,
    deleted_stays_deleted,
    elements_go_with_their_step,
    elements_keep_their_order,
    servers_see_what_they_were_told,
    favorites_are_listed,
    lists_are_complete,
    lists_hold_only_what_is_there,
    no_chat_is_listed_twice,
    pages_are_in_order,
    reads_do_not_fail_for_good,
    nobody_waits_long_to_read,
    nobody_waits_long_to_write,
    closing_ends_in_time,
    nobody_gives_up_early,
    nothing_is_lost_early,
    only_closing_gives_up,
    nothing_internal_leaks,
    nothing_is_pending,
    memory_stays_in_bounds,
    parts_have_owners,
    parts_go_at_once,
    nothing_outdated_is_left,
    nothing_is_left_of_deleted_threads,
    no_file_is_without_row,
    markers_are_right,
    lookups_lead_to_steps,
)


def check(ending: Ending, invariants: tuple[Invariant, ...] = INVARIANTS) -> list[Finding]:
    """Return all that contradicts an invariant."""
    return [Finding(holds.__name__, detail) for holds in invariants for detail in dict.fromkeys(holds(ending))]
