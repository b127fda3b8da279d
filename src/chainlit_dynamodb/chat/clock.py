"""The time as Chainlit writes it: ISO 8601, UTC, microseconds, `Z`."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

EPOCH: Final = "1970-01-01T00:00:00.000000Z"
"""Stands in where a row has lost its time."""

_last = datetime.min.replace(tzinfo=timezone.utc)


def now() -> str:
    """Give the current time, later than at every earlier call of this process."""
    global _last
    _last = max(datetime.now(timezone.utc), _last + timedelta(microseconds=1))
    return _format(_last)


def normalized(timestamp: object) -> str | None:
    """Give an ISO time in the form of `now`, so that text order is time order.

    Chainlit leaves out microseconds that are exactly 0, and its built-in layers leave out the `Z`.

    Returns:
        The time, or `None` if it is not one.
    """
    if not isinstance(timestamp, str):
        return None
    try:
        parsed = datetime.fromisoformat(timestamp[:-1] if timestamp.endswith("Z") else timestamp)
    except ValueError:
        return None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=timezone.utc)
    return _format(parsed.astimezone(timezone.utc))


def _format(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
