"""What goes wrong in a simulation itself."""

from __future__ import annotations


class SimulationError(Exception):
    """Root of the errors of this package."""


class StuckError(SimulationError):
    """Nothing can happen any more, or far too much does."""
