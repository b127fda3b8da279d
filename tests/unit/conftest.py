"""Settings for Hypothesis (no deadlines, the same examples at every run of CI), and a writer to test."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.schema import Key
from tests.unit.writing import A, Change, World

settings.register_profile(
    "unit",
    deadline=None,
    max_examples=40,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unit")


@pytest.fixture
def world() -> World:
    """A fresh world."""
    return World()


@pytest.fixture
def writer() -> Writer:
    """A fresh writer."""
    return Writer()


@pytest.fixture
def start(world: World, writer: Writer) -> Callable[..., asyncio.Task[bool]]:
    """Begin a write as Chainlit does: a task nobody awaits."""

    def begin(name: str, key: Key = A, size_bytes: int = 1, to: Writer | None = None) -> asyncio.Task[bool]:
        return asyncio.create_task((to or writer).write(key, Change(name, size_bytes), world.apply), name=name)

    return begin
