"""`run`: Chainlit's own `run`, with this package in front and, on demand, an engine behind."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from chainlit_dynamodb.cli.app_process import run_chainlit
from chainlit_dynamodb.cli.local import BUCKET_VARIABLE, TABLE_VARIABLE, LocalSetup, run_locally
from chainlit_dynamodb.cli.options import aws_options
from chainlit_dynamodb.cli.ports import check_port
from chainlit_dynamodb.ops.embedded import DEFAULT_REGION

_APP_SUFFIXES: Final = (".py", ".py3")
_LOCAL_ONLY: Final = ("data", "table", "bucket")
_REMOTE_ONLY: Final = ("endpoint_url", "profile")


@click.command(
    "run",
    short_help="Run your app with this package, on AWS or on this machine.",
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
)
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED, metavar="APP...")
@click.option("--local", is_flag=True, help="Start the embedded engine and use it instead of AWS.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".chainlit-dynamodb"),
    show_default=True,
    help="With --local: the folder that keeps tables and files.",
)
@click.option(
    "--table",
    envvar=TABLE_VARIABLE,
    default="chainlit",
    show_default=True,
    help="With --local: the table to make, as your app names it.",
)
@click.option(
    "--bucket",
    envvar=BUCKET_VARIABLE,
    default="chainlit-files",
    show_default=True,
    help="With --local: the bucket to make, as your app names it.",
)
@aws_options
@click.pass_context
def run(
    ctx: click.Context,
    arguments: tuple[str, ...],
    local: bool,
    data: Path,
    table: str,
    bucket: str,
    region: str | None,
    endpoint_url: str | None,
    profile: str | None,
) -> None:
    """Run APP as `chainlit run APP` does, with this package at Chainlit's own import paths.

    So an app that imports chainlit.data.dynamodb and chainlit.data.storage_clients runs unchanged. All other
    options are Chainlit's: -h is headless, -w watches, --port chooses the port. See: chainlit run --help

    Before it serves, table, index, credentials and file storage of the app's data layer are tried; what is wrong
    with them is one line, and nothing is served.

    With --local the app needs no AWS account: an engine for DynamoDB and S3 starts on this machine, table and
    bucket are made, and the standard AWS variables point at them. It finds their names in
    CHAINLIT_DYNAMODB_TABLE and CHAINLIT_DYNAMODB_BUCKET. Credentials in the environment are replaced by
    test ones, so nothing reaches a real account.

    \b
    Example:
      chainlit-dynamodb run app.py -w
      chainlit-dynamodb run --local app.py --port 8080
      chainlit-dynamodb run --local --table chats --bucket chat-files app.py -h
    """
    if arguments == ("-h",):
        click.echo(ctx.get_help())
        return
    _check_options(ctx, _REMOTE_ONLY if local else _LOCAL_ONLY, local)
    _check_app(arguments)
    check_port(arguments)
    if local:
        setup = LocalSetup(data, table, bucket, region or _region_of_environment())
        ctx.exit(run_locally(setup, arguments))
    _export(region, endpoint_url, profile)
    run_chainlit(arguments)


def _check_options(ctx: click.Context, misplaced: tuple[str, ...], local: bool) -> None:
    for name in misplaced:
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = "--" + name.replace("_", "-")
            raise click.UsageError(f"{option} {'does not go with' if local else 'needs'} --local.")


def _check_app(arguments: Sequence[str]) -> None:
    """Find a mistyped file before anything is started for it."""
    for argument in arguments:
        if argument.endswith(_APP_SUFFIXES) and not argument.startswith("-") and not Path(argument).exists():
            raise click.BadParameter(f"File does not exist: {argument}")


def _region_of_environment() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION


def _export(region: str | None, endpoint_url: str | None, profile: str | None) -> None:
    variables = {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint_url,
        "AWS_PROFILE": profile,
    }
    os.environ.update({name: value for name, value in variables.items() if value})
