"""One switch shows what all of the package does: `chainlit.logger.getChild("DynamoDB").setLevel(...)`."""

from __future__ import annotations

import logging
import pkgutil
from importlib import import_module

import pytest
from chainlit.logger import logger as chainlit_logger

from chainlit_dynamodb import storage

MODULES = sorted(module.name for module in pkgutil.walk_packages(storage.__path__, f"{storage.__name__}."))


@pytest.mark.parametrize("module", MODULES)
def test_loggers_of_the_storage_are_below_that_of_the_package(module: str) -> None:
    loggers = [value.name for value in vars(import_module(module)).values() if isinstance(value, logging.Logger)]

    assert all(name.startswith("chainlit.DynamoDB.") for name in loggers)


def test_the_switch_of_the_readme_shows_the_storage_too() -> None:
    switch = chainlit_logger.getChild("DynamoDB")
    before = switch.level
    try:
        switch.setLevel(logging.DEBUG)
        assert logging.getLogger("chainlit.DynamoDB.storage").isEnabledFor(logging.DEBUG)
    finally:
        switch.setLevel(before)
