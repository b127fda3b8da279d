"""The simulation sees: planted bugs are found, and all of them fit the present code."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.mutants.mutant import Mutant, hunt

FOUND_WITHIN = {
    "stamps are ignored": 2,
    "the process forgets what it has just listed": 3,
    "a request is tried once": 1,
    "a cancelled caller cancels the write": 6,
    "readers do not wait for what is under way": 7,
    "feedback gets no marker": 15,
}
"""Some planted bugs, and after how many schedules each has been found."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_code(mutant: Mutant) -> None:
    with mutant.planted():
        pass


def test_mutants_have_names_of_their_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 40


@pytest.mark.parametrize("name", FOUND_WITHIN)
def test_the_simulation_is_not_blind(name: str) -> None:
    (mutant,) = (mutant for mutant in MUTANTS if mutant.name == name)
    assert hunt(mutant, FOUND_WITHIN[name]).invariants
