"""What fails alike at every request, in the log: one line a minute, in place of a traceback for each."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from typing import Final

from chainlit_dynamodb.errors import ConfigurationError, TransientError

_LOGGERS: Final = ("chainlit", "uvicorn.error", "asyncio", "engineio.server", "socketio.server")
"""Who logs what a data layer raised: Chainlit, its server, and whoever runs what a browser's socket asks for."""
_EVERY_SECONDS: Final = 60.0
_ALIKE: Final = (ConfigurationError, TransientError)


class FailureFilter(logging.Filter):
    """Lets one record of each kind of failure pass each minute, as the error's own line; others as they are.

    While the configuration is wrong or the table is away, every request fails alike, and no traceback says why.
    """

    def __init__(self) -> None:
        """Nothing has been said yet."""
        super().__init__()
        self._last: defaultdict[type[Exception], float] = defaultdict(lambda: float("-inf"))

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged, and take the traceback off one that is."""
        error = record.exc_info[1] if record.exc_info else None
        kind = next((kind for kind in _ALIKE if isinstance(error, kind)), None)
        if kind is None:
            return True
        now = time.monotonic()
        if now - self._last[kind] < _EVERY_SECONDS:
            return False
        self._last[kind] = now
        record.msg, record.args, record.exc_info = str(error), (), None
        return True


_FILTER: Final = FailureFilter()


def say_alike_failures_once() -> None:
    """Put the filter on the loggers; doing it again changes nothing."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
