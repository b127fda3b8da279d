"""Chainlit's own DynamoDB layer, and the mark of tests that it fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

OURS = "here"
BUILT_IN = "built-in"


def fails_there(bug: str, consequence: str) -> Callable[[Any], Any]:
    """Run a test on this layer, where it passes, and on Chainlit's built-in one, where it must fail.

    Args:
        bug: Its number in `docs/differences.md`.
        consequence: What a user of the built-in layer sees.
    """
    fails = pytest.mark.xfail(strict=True, reason=f"{bug}: {consequence}")
    kinds = [OURS, pytest.param(BUILT_IN, marks=fails)]
    return pytest.mark.parametrize("kind", kinds, indirect=True)


def built_in_layer(table_name: str, **options: Any) -> Any:
    """Make Chainlit's layer."""
    logger = logging.getLogger("chainlit.DynamoDB")
    level = logger.level
    from chainlit.data.dynamodb import DynamoDBDataLayer

    logger.setLevel(level)  # its import forces the level of a logger that it shares with ours
    assert DynamoDBDataLayer.__module__ == "chainlit.data.dynamodb"
    return DynamoDBDataLayer(table_name, **options)


class Recording:
    """A boto3 client that keeps what it is asked, and by which thread."""

    def __init__(self, client: Any) -> None:
        """Take the real client."""
        self._client = client
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.threads: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        """Give an operation that is recorded."""

        def call(**request: Any) -> Any:
            self.calls.append((name, request))
            self.threads.add(threading.get_ident())
            return self.answer(name, request)

        return call

    def answer(self, name: str, request: dict[str, Any]) -> Any:
        """Ask the real client."""
        return getattr(self._client, name)(**request)


class Lagging(Recording):
    """A client whose index shows nothing yet."""

    def answer(self, name: str, request: dict[str, Any]) -> Any:
        """Ask the real client, and hide what the index says."""
        answer = super().answer(name, request)
        if name == "query" and "IndexName" in request:
            answer = {**answer, "Items": []}
            answer.pop("LastEvaluatedKey", None)
        return answer
