"""Bugs of lists, feedback and favourites, and of large values."""

from __future__ import annotations

from chainlit_dynamodb.chat import feedback, presentation
from chainlit_dynamodb.chat.favorites import Favorites
from chainlit_dynamodb.chat.listing import Listing
from chainlit_dynamodb.chat.recent_writes import RecentWrites
from chainlit_dynamodb.rows.large_values import LargeValues
from chainlit_dynamodb.rows.rows import Rows
from tests.simulation.mutants.mutant import Mutant

READING = (
    Mutant(
        "the process forgets what it has just listed",
        RecentWrites.touch,
        "self._partitions[partition] = entries",
        "pass",
    ),
    Mutant(
        "a cursor is that of the first of its page", Listing.page, "cursors[-1] if has_next", "cursors[0] if has_next"
    ),
    Mutant("a chat at two places is listed twice", Listing._candidates, "if shown.thread_id in seen:", "if False:"),
    Mutant(
        "a chat that has moved is listed where it was",
        Listing._candidates,
        'if shown.index_sk < known.get(shown.thread_id, ""):',
        "if False:",
    ),
    Mutant(
        "a chat that others have moved is listed again",
        Listing._verified,
        "if after is not None and _is_further_up(candidate.thread_id, row, after):",
        "if False:",
    ),
    Mutant("a list is not sorted again", Listing.page, "found.sort(", "sorted(found, "),
    Mutant(
        "feedback leaves its old marker",
        feedback._writes_to_set,
        "if old is not None and old[0] != value:",
        "if False:",
    ),
    Mutant(
        "feedback gets no marker", feedback._writes_to_set, "addition(thread_id, value, state.thread, step_id),", ""
    ),
    Mutant(
        "feedback does not ask what is there",
        feedback._unchanged,
        "return any_of(missing(FEEDBACK), same) if stored is None else same",
        "return any_of(missing(FEEDBACK), exists(FEEDBACK))",
    ),
    Mutant(
        "feedback comes before the step it is about",
        feedback.Feedback._read_state,
        "await self._writer.settle(step, thread)",
        "pass",
    ),
    Mutant(
        "a favourite is not listed", Favorites.set, "{**assign, INDEX_PK: partition, INDEX_SK: index_sk}", "assign"
    ),
    Mutant("a favourite is one for ever", Favorites.set, "remove=[INDEX_PK, INDEX_SK]", "remove=[]"),
    Mutant("internal attributes are shown", presentation.public_step, "and not is_own_attribute(name)", ""),
    Mutant("replaced parts stay", Rows._update_fitted, "await self._values.tidy(key, fitted, old)", "pass"),
    Mutant("parts of refused writes stay", LargeValues.discard, "fitted.parts.values()", "()"),
    Mutant("parts of deleted rows stay", Rows.bury, "await self._values.delete_parts(key)", "pass"),
    Mutant(
        "parts that no row names are never tidied", LargeValues.strays, "return [key for", "return [] and [key for"
    ),
    Mutant(
        "parts are deleted too early",
        Rows._update_fitted,
        "        fitted = await",
        "        await self._values.delete_parts(key)\n        fitted = await",
    ),
    Mutant(
        "a repeated write deletes its own parts",
        LargeValues.tidy,
        "if _is_own_first_try(before, fitted.update.assign.get(name, fitted.update.default.get(name))):",
        "if False:",
    ),
    Mutant(
        "the last part is not written",
        LargeValues.fit,
        "map(self._table.put, some)",
        "map(self._table.put, some[:-1])",
    ),
    Mutant("a reader does not look again", LargeValues._completed, "range(_READ_TRIES)", "range(1)"),
)
