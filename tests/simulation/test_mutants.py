"""The simulation sees: planted bugs are found, and all of them fit the present code."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.mutants.mutant import Mutant, hunt

EASY = (
    "acknowledged before it is written",
    "no order per row",
    "stamps are ignored",
    "the process forgets what it has just listed",
    "a request is tried once",
    "a cancelled caller cancels the write",
    "readers do not wait for what is under way",
)
"""Some planted bugs that the first few schedules find."""
A_FEW = 60


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_code(mutant: Mutant) -> None:
    with mutant.planted():
        pass


def test_mutants_have_names_of_their_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 40


@pytest.mark.parametrize("name", EASY)
def test_the_simulation_is_not_blind(name: str) -> None:
    (mutant,) = (mutant for mutant in MUTANTS if mutant.name == name)
    assert hunt(mutant, A_FEW).invariants
