"""What befalls a request, drawn from the seed and from which request it is.

A request keeps its fate when other requests come or go, so a story can be shortened without becoming another one.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

_DRAWS: Final = struct.Struct("<8I")
_SPAN: Final = float(2**32)

FAULTS: Final = (
    "throttled",
    "server error",
    "reset",
    "lost answer",
    "late",
    "refused credentials",
)
"""At most one of these befalls a request."""


@dataclass(frozen=True)
class Fate:
    """What befalls one request.

    Attributes:
        name: The request's name, by which it is spared.
        fault: One of `FAULTS`, or `None`.
        draws: Numbers from 0 to 1 for whatever else is to be drawn.
    """

    name: str
    fault: str | None
    draws: tuple[float, ...]

    def between(self, number: int, low: float, high: float) -> float:
        """Return a number in a range; small ones are likelier."""
        return low + (high - low) * self.draws[number] ** 2

    def chance(self, number: int, rate: float) -> bool:
        """Return whether something of this rate happens."""
        return self.draws[number] < rate


class Fates:
    """Draws fates.

    Attributes:
        struck: The names of the requests that something befell, in order.
    """

    def __init__(self, seed: str, rates: Mapping[str, float], only: Collection[str] | None) -> None:
        """Take the rates of the faults.

        Args:
            seed: Everything is drawn from it.
            rates: How likely each fault is.
            only: The names of the requests that something may befall; `None` for all.
        """
        self.rates = rates
        self.struck: dict[str, bool] = {}
        self._seed = seed
        self._only = only
        self._counts: Counter[str] = Counter()

    def draw(self, subject: str) -> Fate:
        """Return the fate of the next request of a subject."""
        self._counts[subject] += 1
        name = f"{subject} {self._counts[subject]}"
        draws = tuple(
            n / _SPAN for n in _DRAWS.unpack(blake2b(f"{self._seed}/{name}".encode(), digest_size=32).digest())
        )
        fault = self._fault(draws[0]) if self.allows(name) else None
        if fault is not None:
            self.struck[name] = True
        return Fate(name, fault, draws)

    def strikes(self, fate: Fate, number: int, kind: str) -> bool:
        """Return whether a further fault befalls a request."""
        name = f"{fate.name} {kind}"
        if not fate.chance(number, self.rates.get(kind, 0.0)) or not self.allows(name):
            return False
        self.struck[name] = True
        return True

    def allows(self, name: str) -> bool:
        """Return whether something may befall a request."""
        return self._only is None or name in self._only

    def _fault(self, draw: float) -> str | None:
        for fault in FAULTS:
            rate = self.rates.get(fault, 0.0)
            if draw < rate:
                return fault
            draw -= rate
        return None
