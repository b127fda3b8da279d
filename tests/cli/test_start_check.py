"""What is missing is one line at the start of `run`, and nothing is served."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from chainlit_dynamodb.ops.create_bucket import create_bucket
from chainlit_dynamodb.ops.create_table import create_table
from tests.cli.conftest import Cli, Serve
from tests.cli.processes import Served, listens, wait_for
from tests.cli.test_demo import log_in, threads
from tests.ports import free_port

APP = """
import os

import chainlit as cl
from chainlit_dynamodb import DynamoDBDataLayer, S3StorageClient


@cl.data_layer
def data_layer():
    files = S3StorageClient(os.environ["APP_BUCKET"]) if "APP_BUCKET" in os.environ else None
    return DynamoDBDataLayer(os.environ["APP_TABLE"], storage_provider=files)


@cl.password_auth_callback
async def log_in(username, password):
    return cl.User(identifier=username)


@cl.on_app_startup
async def start():
    print("starts to serve", flush=True)


@cl.on_message
async def answer(message):
    await cl.Message("hello").send()
"""
SQL_APP = """
import chainlit as cl
from chainlit.data.base import BaseDataLayer

Other = type("Other", (BaseDataLayer,), {name: None for name in BaseDataLayer.__abstractmethods__})


@cl.data_layer
def data_layer():
    return Other()


@cl.on_message
async def answer(message):
    await cl.Message("hello").send()
"""
SECRET = {"CHAINLIT_AUTH_SECRET": "only for this test, and long enough"}

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def app(tmp_path: Path) -> None:
    """An app whose table and bucket the environment names."""
    (tmp_path / "app.py").write_text(APP)


@pytest.fixture
def on_engine(ministack_url: str) -> dict[str, str]:
    """An environment in which the engine is AWS."""
    return {**SECRET, "AWS_ENDPOINT_URL_DYNAMODB": ministack_url, "AWS_ENDPOINT_URL_S3": ministack_url}


@pytest.fixture
def name(ministack_url: str) -> Iterator[str]:
    """The name of a table and of a bucket; both are there."""
    name = f"test-{uuid.uuid4().hex}"
    tables, buckets = (boto3.client(service, endpoint_url=ministack_url) for service in ("dynamodb", "s3"))
    create_table(tables, name)
    create_bucket(buckets, name)
    yield name
    tables.delete_table(TableName=name)
    buckets.delete_bucket(Bucket=name)  # an empty one only


@pytest.fixture
def run(cli: Cli, on_engine: dict[str, str]) -> Run:
    """Run the app until it ends."""

    def run(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return cli("run", "app.py", "-h", "--port", str(free_port()), *options, **on_engine, **variables)

    return run


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """Give the one line of an app that was not served."""
    assert done.returncode == 1, done.stderr
    assert "starts to serve" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("options", [[], ["-w"]])
def test_an_app_with_all_it_needs_is_served(
    serve: Serve, on_engine: dict[str, str], name: str, options: list[str]
) -> None:
    served = serve("run", "app.py", "-h", *options, **on_engine, APP_TABLE=name, APP_BUCKET=name)
    assert "starts to serve" in served.output
    assert served.get() == 200
    assert served.stop() == 0


def test_a_reload_goes_on(serve: Serve, on_engine: dict[str, str], name: str, tmp_path: Path) -> None:
    served = serve("run", "app.py", "-h", "-w", **on_engine, APP_TABLE=name)

    def reloaded() -> bool:
        (tmp_path / "app.py").write_text(APP + "\nprint('loaded anew', flush=True)\n")  # the watch begins some time
        return "loaded anew" in served.output

    assert wait_for(reloaded)
    assert served.get() == 200
    assert served.stop() == 0


def test_a_missing_table(run: Run) -> None:
    assert refusal(run(APP_TABLE="forgotten")) == (
        "Error: Table forgotten does not exist in this account and region. Check the name and the region, or create "
        "it: chainlit-dynamodb create-table forgotten\n"
    )


def test_a_table_of_another_region(run: Run, name: str) -> None:
    assert f"Table {name} does not exist" in refusal(run("--region", "eu-west-1", APP_TABLE=name))


def test_a_table_without_its_index(run: Run, ministack_url: str) -> None:
    client = boto3.client("dynamodb", endpoint_url=ministack_url)
    name = f"test-{uuid.uuid4().hex}"
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("PK", "SK")],
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert f"Table {name} lacks the index" in refusal(run(APP_TABLE=name))
    client.delete_table(TableName=name)


def test_a_missing_bucket(run: Run, name: str) -> None:
    line = refusal(run(APP_TABLE=name, APP_BUCKET="forgotten-files"))
    assert "s3://forgotten-files" in line
    assert "chainlit-dynamodb create-bucket forgotten-files" in line


def test_a_storage_that_answers_nobody_does_not_hold_up_the_end(
    cli: Cli, on_engine: dict[str, str], name: str, tmp_path: Path
) -> None:
    hurried = "from chainlit_dynamodb import start_check\n\nstart_check._STORAGE_SECONDS = 1\n"
    (tmp_path / "app.py").write_text(hurried + APP)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nowhere = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        variables = {**on_engine, **nowhere, "APP_TABLE": name, "APP_BUCKET": name}
        done = cli("run", "app.py", "-h", "--port", str(free_port()), **variables)  # in less than its patience
    assert done.returncode == 1
    assert "has not stored a file within 1 s" in done.stderr


def test_a_login_without_a_secret(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAINLIT_AUTH_SECRET", raising=False)
    line = refusal(cli("run", "app.py", "-h", "--port", str(free_port()), APP_TABLE="chats"))
    assert "Run: chainlit create-secret, and set CHAINLIT_AUTH_SECRET" in line


def test_missing_credentials(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "No AWS credentials found. Set AWS_ACCESS_KEY_ID" in refusal(run(APP_TABLE="chats"))


def test_no_region(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert "No AWS region found." in refusal(run(APP_TABLE="chats"))


def test_a_region_that_is_none(run: Run) -> None:
    assert "'not a region'" in refusal(run("--region", "not a region", APP_TABLE="chats"))


def test_a_layer_that_cannot_be_made(run: Run) -> None:
    assert "table_name must be" in refusal(run(APP_TABLE=" "))


def test_an_endpoint_where_nobody_listens(cli: Cli) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    options = ("--port", str(free_port()), "--endpoint-url", nowhere)
    line = refusal(cli("run", "app.py", "-h", *options, **SECRET, APP_TABLE="chats"))
    assert f"no answer from {nowhere}. Is the endpoint reachable?" in line


def test_with_local_it_says_how_the_table_is_named_and_stops_the_engine(cli: Cli) -> None:
    done = cli("run", "--local", "app.py", "-h", "--port", str(free_port()), APP_TABLE="my-chats")
    line = refusal(done)
    assert "Table my-chats does not exist" in line
    assert "--local made table chainlit and bucket chainlit-files; --table and --bucket choose others." in line
    assert not listens(int(done.stdout.partition("http://127.0.0.1:")[2].split()[0]))


def test_another_data_layer_is_left_alone(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SQL_APP)
    served = serve("run", "app.py", "-h")
    assert served.get() == 200


@pytest.fixture
def served_by_chainlit(tmp_path: Path, on_engine: dict[str, str]) -> Iterator[Served]:
    """The app without its table, under Chainlit's own command."""
    port, log = free_port(), tmp_path / "output.txt"
    own = {**on_engine, "APP_TABLE": "forgotten", "CHAINLIT_APP_ROOT": str(tmp_path)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "chainlit", "run", "app.py", "-h", "--port", str(port)],
            cwd=tmp_path,
            env={**os.environ, **own},
            stdout=output,
            stderr=output,
        )
    yield Served(process, port, log)
    process.kill()
    process.wait()


def test_elsewhere_it_is_a_line_a_minute_and_no_traceback(served_by_chainlit: Served) -> None:
    served_by_chainlit.wait_until_ready()
    _, cookie = log_in(served_by_chainlit, "ada", "any")
    assert [threads(served_by_chainlit, cookie) for _ in range(3)] == [500] * 3
    assert served_by_chainlit.stop(signal.SIGTERM) == 0
    said = [line for line in served_by_chainlit.output.splitlines() if "Table forgotten does not exist" in line]
    assert sum("ERROR - chainlit - Table forgotten" in line for line in said) == 1
    assert len(said) == 2  # and once by Chainlit's login, in a line of its own
    assert "Traceback" not in served_by_chainlit.output
