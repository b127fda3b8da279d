"""The time as Chainlit writes it: ISO 8601, UTC, microseconds, `Z`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

EPOCH: Final = "1970-01-01T00:00:00.000000Z"
"""Stands in where a row has lost its time."""

_NORMAL: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
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
    if _NORMAL.fullmatch(timestamp):
        return timestamp
    try:
        parsed = datetime.fromisoformat(timestamp[:-1] if timestamp.endswith("Z") else timestamp)
        if parsed.tzinfo is not None:
            parsed = parsed.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
    return _format(parsed)


def _format(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
