"""A wrong configuration in the log: one line a minute, in place of a traceback for each request that meets it."""

from __future__ import annotations

import logging
import time
from typing import Final

from chainlit_dynamodb.errors import ConfigurationError

_LOGGERS: Final = ("chainlit", "uvicorn.error")
"""Who logs what a data layer raised: Chainlit itself, and the server it runs on."""
_EVERY_SECONDS: Final = 60.0


class ConfigurationFilter(logging.Filter):
    """Lets one record of a `ConfigurationError` pass each minute, as the error's own line; others as they are.

    Every request fails alike until somebody mends the configuration, and no traceback says how.
    """

    def __init__(self) -> None:
        """Nothing has been said yet."""
        super().__init__()
        self._last = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged, and take the traceback off one that is."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, ConfigurationError):
            return True
        now = time.monotonic()
        if now - self._last < _EVERY_SECONDS:
            return False
        self._last = now
        record.msg, record.args, record.exc_info = str(error), (), None
        return True


_FILTER: Final = ConfigurationFilter()


def say_wrong_configuration_once() -> None:
    """Put the filter on the loggers; doing it again changes nothing."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
