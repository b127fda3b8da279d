"""What a line of the log may hold: what is on the wire is in none, and whatever an id holds, a line is one line."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Final

_OWN: Final = ("chainlit.DynamoDB", "chainlit.DynamoDB.storage")
_WIRE: Final = (
    "botocore.auth",  # what is signed, and the signature
    "botocore.compress",
    "botocore.endpoint",  # requests whole
    "botocore.parsers",  # answers whole, those with keys of roles included
    "botocore.retryhandler",
    "google.auth.transport.requests",  # requests whole
    "urllib3.connectionpool",  # URLs, those of unfinished uploads included
    "urllib3.util.retry",
)
"""Who logs at DEBUG what no log should hold. Azure's SDKs do so only where `logging_enable` is asked for."""

# Control characters, C1 included, line and paragraph separators, marks that turn text around, lone surrogates.
UNFIT: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_is_unlogged: Final = ContextVar("chainlit_dynamodb_is_unlogged", default=False)


class OneLine(logging.Filter):
    """Escapes what would break or turn a line: ids come from browsers and bots."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let the record pass, in one line."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments may raise anything as text; logging itself says so, later
            return True
        if UNFIT.search(message):
            record.msg, record.args = UNFIT.sub(_escaped, message), ()
        return True


class WireFilter(logging.Filter):
    """Drops what an SDK logs below WARNING about a call of this package; calls of others are logged as ever.

    A filter outlives `logging.config`, which a logger's level and `disabled` do not.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record may be logged."""
        return record.levelno >= logging.WARNING or not _is_unlogged.get()


@contextmanager
def unlogged() -> Iterator[None]:
    """Keep what SDKs do in a block out of their DEBUG logs, in this task or thread."""
    _watch_the_wire()
    token = _is_unlogged.set(True)
    try:
        yield
    finally:
        _is_unlogged.reset(token)


def keep_lines_whole() -> None:
    """Put the filter on this package's loggers; doing it again changes nothing."""
    for name in _OWN:
        logging.getLogger(name).addFilter(_ONE_LINE)


@cache
def _watch_the_wire() -> None:
    for name in _WIRE:
        logging.getLogger(name).addFilter(_WIRE_FILTER)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


_ONE_LINE: Final = OneLine()
_WIRE_FILTER: Final = WireFilter()
