"""Planted bugs, and how many schedules the simulation takes to find each: `python -m tests.simulation.mutants`."""

from __future__ import annotations

from tests.simulation.mutants.deleting import DELETING
from tests.simulation.mutants.elements import ELEMENTS
from tests.simulation.mutants.merging import MERGING
from tests.simulation.mutants.reading import READING
from tests.simulation.mutants.requests import REQUESTS
from tests.simulation.mutants.writing import WRITING

MUTANTS = (*WRITING, *MERGING, *DELETING, *ELEMENTS, *READING, *REQUESTS)
