"""The time as Chainlit writes it: ISO 8601, UTC, microseconds, `Z`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

EPOCH: Final = "1970-01-01T00:00:00.000000Z"
"""Stands in where a row has lost its time."""

_NORMAL: Final = re.compile(
    r"\d{4}-(?:0[1-9]|1[012])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z", re.ASCII
)
_ISO: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d+))?)?(?:([+-]\d\d):?(\d\d))?Z?)?", re.ASCII
)
"""Day, minute, second, fraction and zone: each version of Python reads other forms than the last."""
_DISTANCES: Final = (timedelta(microseconds=1), timedelta(seconds=1), timedelta(minutes=1))
"""A time without fraction or seconds, and with a `Z`, sorts behind those that follow it."""
_last = datetime.min.replace(tzinfo=timezone.utc)


def now() -> str:
    """Return the current time, later than at every earlier call of this process."""
    global _last
    _last = max(datetime.now(timezone.utc), _last + timedelta(microseconds=1))
    return _format(_last)


def just_after(timestamp: str) -> str:
    """Return the time in the form of `now` that sorts right behind a text: a time, with or without a zone.

    For any other text, return one that sorts behind it.
    """
    match = _ISO.fullmatch(timestamp)
    try:
        moment = _moment(match, "+00:00") if match else None
        for distance in _DISTANCES:
            later = _format(moment + distance) if moment else ""
            if later > timestamp:
                return later
    except (ValueError, OverflowError):
        pass
    return f"{timestamp}~"


def normalized(timestamp: object) -> str | None:
    """Return an ISO time in the form of `now`, so that text order is time order.

    Chainlit leaves out microseconds that are exactly 0, and its built-in layers leave out the `Z`.

    Returns:
        The time, or `None` if it is not one.
    """
    if not isinstance(timestamp, str):
        return None
    if _NORMAL.fullmatch(timestamp):
        return timestamp
    match = _ISO.fullmatch(timestamp)
    if match is None:
        return None
    _, _, _, _, zone_hours, zone_minutes = match.groups()
    try:
        moment = _moment(match, f"{zone_hours or '+00'}:{zone_minutes or '00'}")
        return _format(moment.astimezone(timezone.utc))
    except (ValueError, OverflowError):
        return None


def are_on_one_day(timestamp: str, other: str) -> bool:
    """Return whether two times are on one day wherever one is; `False` where they are not in one quarter of an hour.

    The days of every time zone begin at a quarter.
    """
    first, second = normalized(timestamp), normalized(other)
    return first is not None and second is not None and _quarter(first) == _quarter(second)


def _quarter(timestamp: str) -> tuple[str, int]:
    return timestamp[:13], int(timestamp[14:16]) // 15


def _moment(match: re.Match[str], zone: str) -> datetime:
    day, minute, second, fraction, _, _ = match.groups()
    return datetime.fromisoformat(f"{day}T{minute or '00:00'}:{second or '00'}.{(fraction or '')[:6]:0<6}{zone}")


def _format(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
