"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_AWS_OPTIONS: Final = (
    click.option("--region", metavar="NAME", help="AWS region; else AWS_REGION or the profile's."),
    click.option("--endpoint-url", metavar="URL", help="Another endpoint than AWS, such as http://localhost:8000."),
    click.option("--profile", metavar="NAME", help="Profile of your AWS configuration; else AWS_PROFILE."),
)


def aws_options(command: Command) -> Command:
    """Add `--region`, `--endpoint-url` and `--profile`."""
    for option in reversed(_AWS_OPTIONS):
        command = option(command)
    return command
