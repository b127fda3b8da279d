"""`create-table` on both engines."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from click.testing import CliRunner, Result

from chainlit_dynamodb.cli.main import main
from chainlit_dynamodb.ops import aws
from chainlit_dynamodb.schema import TableSpec
from tests.ports import free_port


def create(table: str, url: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["create-table", table, "--endpoint-url", url, *options])


def one_line(result: Result) -> str:
    """Give the error of a command that failed as it should."""
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture
def new_name(dynamodb_client: Any) -> Iterator[str]:
    """A name without a table; one that the test makes is dropped."""
    name = f"test-{uuid.uuid4().hex}"
    yield name
    if name in dynamodb_client.list_tables()["TableNames"]:
        dynamodb_client.delete_table(TableName=name)


def test_the_table_is_made_as_specified(dynamodb_client: Any, dynamodb_url: str, new_name: str) -> None:
    result = create(new_name, dynamodb_url)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"Table {new_name} created in us-east-1.\n"
    described = dynamodb_client.describe_table(TableName=new_name)["Table"]
    wanted = TableSpec(new_name).create_table_request()
    assert described["KeySchema"] == wanted["KeySchema"]
    assert sorted(described["AttributeDefinitions"], key=str) == sorted(wanted["AttributeDefinitions"], key=str)
    index = wanted["GlobalSecondaryIndexes"][0]
    assert index.items() <= described["GlobalSecondaryIndexes"][0].items()


def test_a_second_time_changes_nothing(dynamodb_url: str, table_name: str) -> None:
    result = create(table_name, dynamodb_url)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"Table {table_name} is already there, with the right keys and index.\n"


def test_a_table_with_other_keys_is_refused(dynamodb_client: Any, dynamodb_url: str, new_name: str) -> None:
    dynamodb_client.create_table(
        TableName=new_name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    error = one_line(create(new_name, dynamodb_url))
    assert f"Table '{new_name}' has another layout" in error
    assert "its key is id (HASH, N) instead of PK (HASH, S) + SK (RANGE, S)" in error
    assert "the index UserThread is missing" in error


@pytest.mark.parametrize(
    ("projection", "accepted"),
    [
        ({"ProjectionType": "ALL"}, True),
        ({"ProjectionType": "INCLUDE", "NonKeyAttributes": ["id", "name", "more"]}, True),
        ({"ProjectionType": "INCLUDE", "NonKeyAttributes": ["id"]}, False),
        ({"ProjectionType": "KEYS_ONLY"}, False),
    ],
)
def test_an_index_may_project_more_but_not_less(
    dynamodb_client: Any, dynamodb_url: str, new_name: str, projection: dict[str, Any], accepted: bool
) -> None:
    request = TableSpec(new_name).create_table_request()
    request["GlobalSecondaryIndexes"][0]["Projection"] = projection
    dynamodb_client.create_table(**request)
    result = create(new_name, dynamodb_url)
    if accepted:
        assert result.exit_code == 0, result.output
    else:
        assert "its index UserThread does not project" in one_line(result)


def test_an_endpoint_where_nobody_listens_is_one_line() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert url in one_line(create("chats", url))


def test_an_endpoint_that_answers_nobody_is_given_up_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = aws._PATIENCE
    assert ours.read_timeout * ours.retries["total_max_attempts"] < 20
    monkeypatch.setattr(aws, "_PATIENCE", ours.merge(Config(read_timeout=0.3)))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert url in one_line(create("chats", url))


@pytest.mark.parametrize("url", ["nonsense", "ftp//x"])
def test_an_endpoint_that_is_none_is_one_line(url: str) -> None:
    assert url in one_line(create("chats", url))


def test_an_impossible_name_is_one_line(dynamodb_url: str) -> None:
    one_line(create("a/b c", dynamodb_url))


def test_missing_credentials_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "AWS_ACCESS_KEY_ID" in one_line(create("chats", "http://127.0.0.1:1"))


def test_a_missing_region_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert "--region" in one_line(create("chats", "http://127.0.0.1:1"))


def test_a_profile_that_is_not_there_is_one_line() -> None:
    assert "nobody" in one_line(create("chats", "http://127.0.0.1:1", "--profile", "nobody"))
