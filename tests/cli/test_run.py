"""`run`, on AWS and with everything on this machine."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Serve
from tests.cli.processes import Served, listens, wait_for

APP = """
import os

import boto3
import chainlit as cl
from chainlit.data.storage_clients import S3StorageClient

assert S3StorageClient.__module__.startswith("chainlit_dynamodb."), S3StorageClient
table = boto3.resource("dynamodb").Table(os.environ["CHAINLIT_DYNAMODB_TABLE"])
start = str(table.scan(Select="COUNT")["Count"])
table.put_item(Item={"PK": start, "SK": "start"})
files = boto3.client("s3")
files.put_object(Bucket=os.environ["CHAINLIT_DYNAMODB_BUCKET"], Key=start, Body=start)
stored = files.list_objects_v2(Bucket=os.environ["CHAINLIT_DYNAMODB_BUCKET"])["KeyCount"]
print(f"starts before: {start}, files: {stored}, region: {table.meta.client.meta.region_name}", flush=True)


@cl.on_message
async def answer(message):
    await cl.Message("hello").send()
"""

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def app(tmp_path: Path) -> None:
    """An app that counts its starts in the table and in the bucket."""
    (tmp_path / "app.py").write_text(APP)


def run_locally(serve: Serve, *options: str) -> Served:
    return serve("run", "--local", "app.py", "-h", *options)


def test_an_app_runs_without_an_account_and_finds_its_data_again(serve: Serve, tmp_path: Path) -> None:
    first = run_locally(serve)
    assert first.get() == 200
    assert "starts before: 0, files: 1, region: us-east-1" in first.output
    assert first.stop(signal.SIGINT) == 0
    second = run_locally(serve)
    assert "starts before: 1, files: 2" in second.output
    assert second.stop(signal.SIGTERM) == 0
    assert (tmp_path / ".chainlit-dynamodb" / "state" / "dynamodb.json").exists()


def test_names_region_and_folder_can_be_chosen(serve: Serve, tmp_path: Path) -> None:
    options = ("--table", "chats", "--bucket", "my-files", "--region", "eu-west-1", "--data", "kept/here")
    served = run_locally(serve, *options)
    for told in ("chats", "my-files", "eu-west-1", "kept/here", "starts before: 0"):
        assert told in served.output
    assert "region: eu-west-1" in served.output
    served.stop()
    assert (tmp_path / "kept" / "here" / "state").is_dir()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(serve: Serve, number: int) -> None:
    served = run_locally(serve)
    engine = served.engine_port
    assert listens(engine)
    served.stop(number)
    assert wait_for(lambda: not listens(served.port) and not listens(engine))


def test_a_second_start_on_the_same_folder_is_refused(serve: Serve, cli: Cli) -> None:
    served = run_locally(serve)
    second = cli("run", "--local", "app.py", "-h", "--port", "0")
    assert second.returncode == 1
    assert second.stderr == ("Error: The data folder .chainlit-dynamodb is in use by another chainlit-dynamodb.\n")
    assert served.get() == 200


@pytest.mark.parametrize("options", [["run", "app.py"], ["run", "--local", "app.py"], ["demo"]])
def test_a_taken_port_is_one_line(cli: Cli, options: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = cli(*options, "--port", str(port))
    assert result.returncode == 1
    assert result.stderr == (
        f"Error: Port {port} is taken by another program. Stop it, or choose another port with --port.\n"
    )


def test_without_local_the_app_gets_the_given_endpoint(serve: Serve, ministack_url: str) -> None:
    variables = {
        "CHAINLIT_DYNAMODB_TABLE": "absent",
        "CHAINLIT_DYNAMODB_BUCKET": "absent",
    }
    with pytest.raises(AssertionError, match="ResourceNotFoundException"):
        serve("run", "app.py", "-h", "--endpoint-url", ministack_url, **variables)


def test_an_app_that_fails_ends_the_engine_too(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nonsense_that_is_not_there")
    result = cli("run", "--local", "broken.py", "-h", "--port", "0")
    assert result.returncode == 1
    assert "nonsense_that_is_not_there" in result.stderr
    engine = int(result.stdout.partition("http://127.0.0.1:")[2].split()[0])
    assert not listens(engine)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [(["app.py", "--region", "not a region"], 1, "'not a region'"), (["nope.py"], 2, "File does not exist: nope.py")],
)
def test_what_cannot_run_leaves_nothing_behind(
    cli: Cli, tmp_path: Path, options: list[str], code: int, words: str
) -> None:
    before = sorted(tmp_path.iterdir())
    result = cli("run", "--local", *options, "-h", "--port", "0")
    assert result.returncode == code
    assert "Traceback" not in result.stderr
    assert words in result.stderr.splitlines()[-1]
    assert sorted(tmp_path.iterdir()) == before
