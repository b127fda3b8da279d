"""An app with everything it needs on this machine: the embedded engine, a table, a bucket."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click
from botocore.utils import validate_region_name

from chainlit_dynamodb.ops.aws import aws_errors
from chainlit_dynamodb.ops.child import start_child, stop_child
from chainlit_dynamodb.ops.create_bucket import create_bucket
from chainlit_dynamodb.ops.create_table import create_table
from chainlit_dynamodb.ops.data_folder import secret_in
from chainlit_dynamodb.ops.embedded import ACCESS_KEY, EmbeddedEngine, embedded_engine

TABLE_VARIABLE: Final = "CHAINLIT_DYNAMODB_TABLE"
BUCKET_VARIABLE: Final = "CHAINLIT_DYNAMODB_BUCKET"
LOGIN_VARIABLE: Final = "CHAINLIT_AUTH_SECRET"
_STOP_SECONDS: Final = 30.0
_ELSEWHERE: Final = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)


@dataclass(frozen=True)
class LocalSetup:
    """What stands in for AWS.

    Attributes:
        data: The folder that keeps tables and files.
        table: The table to make.
        bucket: The bucket to make.
        region: The region both are in.
    """

    data: Path
    table: str
    bucket: str
    region: str


def run_locally(setup: LocalSetup, arguments: Sequence[str], extra: Mapping[str, str] | None = None) -> int:
    """Run an app on the embedded engine until it ends, then stop the engine.

    Args:
        setup: What to make.
        arguments: All that follows `chainlit run`.
        extra: More variables for the app's environment.

    Returns:
        The exit code of the app.

    Raises:
        ConfigurationError: There can be no such region, or the data folder cannot be used.
    """
    with aws_errors():
        validate_region_name(setup.region)
    with _SignalRelay() as relay, embedded_engine(setup.data, region=setup.region) as engine:
        environment = {**local_environment(setup, engine), **(extra or {})}
        _make(setup, engine)
        _announce(setup, engine.url)
        relay.app = start_child("chainlit_dynamodb.cli.app_process", arguments, environment=environment)
        try:
            code = relay.app.wait()
        finally:
            stop_child(relay.app, _STOP_SECONDS)
    return code if code >= 0 else 128 - code


def local_environment(setup: LocalSetup, engine: EmbeddedEngine) -> dict[str, str]:
    """Return this process's environment with the standard AWS variables pointing at the engine."""
    inherited = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    past_proxies = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"]))
    return inherited | {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": engine.secret,
        "AWS_REGION": setup.region,
        "AWS_DEFAULT_REGION": setup.region,
        "AWS_ENDPOINT_URL_DYNAMODB": engine.url,
        "AWS_ENDPOINT_URL_S3": engine.url,
        "AWS_EC2_METADATA_DISABLED": "true",
        LOGIN_VARIABLE: os.environ.get(LOGIN_VARIABLE) or secret_in(setup.data, "auth-secret"),
        "NO_PROXY": past_proxies,
        "no_proxy": past_proxies,
        TABLE_VARIABLE: setup.table,
        BUCKET_VARIABLE: setup.bucket,
    }


class _SignalRelay:
    """Passes Ctrl-C and SIGTERM on to the app, so that it ends before the engine it writes to."""

    def __init__(self) -> None:
        self.app: subprocess.Popen[bytes] | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> _SignalRelay:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if number := getattr(signal, name, None):
                self._previous[number] = signal.signal(number, self._relay)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _relay(self, number: int, _: FrameType | None) -> None:
        if self.app is None:
            raise SystemExit(128 + number)
        if self.app.poll() is None:
            self.app.send_signal(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)


def _make(setup: LocalSetup, engine: EmbeddedEngine) -> None:
    create_table(engine.client("dynamodb", setup.region), setup.table)
    create_bucket(engine.client("s3", setup.region), setup.bucket)


def _announce(setup: LocalSetup, url: str) -> None:
    click.echo(f"Engine   {url} (DynamoDB and S3), data in {setup.data}/")
    click.echo(f"Table    {setup.table}   (${TABLE_VARIABLE})")
    click.echo(f"Bucket   {setup.bucket}   (${BUCKET_VARIABLE})")
    click.echo(f"Region   {setup.region}   ($AWS_REGION)")
