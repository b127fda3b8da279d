"""What the demo's weather station has measured: the same numbers every time, from no one's sensor."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final

HOURS: Final = range(24)
SENSORS: Final = ("north pier", "lighthouse", "fish market")
DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_COLORS: Final = ("#2f6f8f", "#e08a3c", "#5a9367")


@dataclass(frozen=True)
class Unit:
    """A unit of temperature.

    Attributes:
        symbol: As it is written.
        scale: Degrees of it per degree Celsius.
        zero: Its value at 0 °C.
    """

    symbol: str
    scale: float
    zero: float

    def of(self, celsius: float) -> float:
        """Convert a temperature, to one decimal."""
        return round(celsius * self.scale + self.zero, 1)


UNITS: Final = {unit.symbol: unit for unit in (Unit("°C", 1.0, 0.0), Unit("°F", 1.8, 32.0))}


def temperature(sensor: int, hour: int) -> float:
    """Return the temperature of an hour in degrees Celsius."""
    day = math.sin((hour - 9) / 24 * 2 * math.pi)
    gust = 0.6 * math.sin(hour * 1.9 + sensor * 2.3)
    return round(14.0 + sensor * 1.2 + 5.5 * day + gust, 1)


def summary(sensor: int, unit: Unit) -> dict[str, Any]:
    """Return what a sensor says of the whole day."""
    values = [unit.of(temperature(sensor, hour)) for hour in HOURS]
    return {"sensor": SENSORS[sensor], "low": min(values), "high": max(values), "unit": unit.symbol}


def highs() -> dict[str, float]:
    """Return the highest temperature of each day of the week, in degrees Celsius."""
    return {day: round(18.5 + 3.0 * math.sin(number * 1.3), 1) for number, day in enumerate(DAYS)}


def figure(unit: Unit) -> str:
    """Return the day of all sensors as a Plotly figure, in the JSON that Plotly reads."""
    layout = {
        "title": {"text": "Temperature at the harbour"},
        "xaxis": {"title": {"text": "hour"}, "dtick": 3, "zeroline": False},
        "yaxis": {"title": {"text": unit.symbol}},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": -0.25},
        "margin": {"t": 50, "l": 50, "r": 20},
        "autosize": True,
    }
    return json.dumps({"data": [_trace(sensor, unit) for sensor in range(len(SENSORS))], "layout": layout})


def _trace(sensor: int, unit: Unit) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": SENSORS[sensor],
        "x": list(HOURS),
        "y": [unit.of(temperature(sensor, hour)) for hour in HOURS],
        "line": {"shape": "spline", "color": _COLORS[sensor], "width": 3},
    }
