"""What is said when the table, the credentials or the network are not as they must be."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from chainlit.types import Feedback
from chainlit.user import User

from chainlit_dynamodb import DynamoDBDataLayer, RetryPolicies, RetryPolicy
from chainlit_dynamodb.errors import (
    AccessDeniedError,
    ChainlitDynamoDBError,
    ConfigurationError,
    CredentialsError,
    SchemaError,
    TransientError,
)
from chainlit_dynamodb.testing.engines import DYNAMODB_LOCAL
from chainlit_dynamodb.testing.transports import Failing
from tests.conftest import REGION
from tests.contract.chats import GIVEN_CLIENT, enter_chat, message, one_engine, page_of, start_thread, tool
from tests.wiring import switch_of, wrap

both_transports = pytest.mark.parametrize("backend", [DYNAMODB_LOCAL, GIVEN_CLIENT], indirect=True)

AWAITED: dict[str, Callable[[Any], Any]] = {
    "get_user": lambda layer: layer.get_user("alice"),
    "create_user": lambda layer: layer.create_user(User("alice")),
    "get_thread": lambda layer: layer.get_thread("t1"),
    "get_thread_author": lambda layer: layer.get_thread_author("t1"),
    "list_threads": lambda layer: page_of(layer),
    "update_thread": lambda layer: layer.update_thread("t1", name="x", user_id="alice"),
    "delete_thread": lambda layer: layer.delete_thread("t1"),
    "get_element": lambda layer: layer.get_element("t1", "e1"),
    "delete_element": lambda layer: layer.delete_element("e1", "t1"),
    "upsert_feedback": lambda layer: layer.upsert_feedback(Feedback(forId="s1", value=1, threadId="t1")),
    "get_favorite_steps": lambda layer: layer.get_favorite_steps("alice"),
    "set_step_favorite": lambda layer: layer.set_step_favorite(message("s1"), True),
}
IN_BACKGROUND: dict[str, Callable[[Any], Any]] = {
    "create_step": lambda layer: layer.create_step(message("s1", output="private words")),
    "update_step": lambda layer: layer.update_step(tool("s1", output="private words")),
    "delete_step": lambda layer: layer.delete_step("s1"),
}


def assert_one_line(error: BaseException, *words: str) -> None:
    text = str(error)
    assert "\n" not in text
    for word in words:
        assert word in text


@both_transports
@pytest.mark.parametrize("method", AWAITED)
async def test_a_missing_table_is_a_clear_error(make_layer: Any, backend: str, method: str) -> None:
    layer = make_layer(table_name="no-such-table")
    enter_chat("t1")
    with pytest.raises(SchemaError) as caught:
        await AWAITED[method](layer)
    assert_one_line(caught.value, "no-such-table", "chainlit-dynamodb create-table")


@both_transports
@pytest.mark.parametrize("method", IN_BACKGROUND)
async def test_a_write_nobody_awaits_is_a_bare_log_line(
    make_layer: Any, caplog: pytest.LogCaptureFixture, backend: str, method: str
) -> None:
    layer = make_layer(table_name="no-such-table")
    enter_chat("t1")
    await IN_BACKGROUND[method](layer)
    errors = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert errors
    for record in errors:
        assert record.exc_info is None
        assert "\n" not in record.getMessage()
        assert "private words" not in record.getMessage()
        assert "no-such-table" in record.getMessage()


async def test_a_missing_index_is_a_clear_error(dynamodb_client: Any, make_layer: Any) -> None:
    import uuid

    name = f"no-index-{uuid.uuid4().hex}"
    dynamodb_client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("PK", "SK")],
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        BillingMode="PAY_PER_REQUEST",
    )
    try:
        layer = make_layer(table_name=name)
        with pytest.raises(SchemaError) as caught:
            await page_of(layer)
        assert_one_line(caught.value, name, "index", "chainlit-dynamodb create-table")
    finally:
        dynamodb_client.delete_table(TableName=name)


async def test_a_table_with_other_keys_is_a_clear_error(dynamodb_client: Any, make_layer: Any) -> None:
    import uuid

    name = f"other-keys-{uuid.uuid4().hex}"
    dynamodb_client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    try:
        with pytest.raises(SchemaError) as caught:
            await make_layer(table_name=name).get_user("alice")
        assert_one_line(caught.value, name, "keys")
    finally:
        dynamodb_client.delete_table(TableName=name)


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the credentials away."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)


async def test_missing_credentials_are_a_clear_error(no_credentials: None, dynamodb_local_url: str) -> None:
    layer = DynamoDBDataLayer("table", endpoint_url=dynamodb_local_url)
    with pytest.raises(CredentialsError) as caught:
        await layer.get_user("alice")
    assert_one_line(caught.value, "AWS_PROFILE")
    await layer.close()


async def test_missing_credentials_of_a_given_client_are_a_clear_error(
    no_credentials: None, dynamodb_local_url: str
) -> None:
    client = boto3.Session(region_name=REGION).client("dynamodb", endpoint_url=dynamodb_local_url)
    layer = DynamoDBDataLayer("table", client=client)
    with pytest.raises(CredentialsError) as caught:
        await layer.get_user("alice")
    assert_one_line(caught.value, "AWS_PROFILE")
    await layer.close()


async def test_a_missing_region_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    layer = DynamoDBDataLayer("table")
    with pytest.raises(CredentialsError) as caught:
        await layer.get_user("alice")
    assert_one_line(caught.value, "AWS_REGION")
    await layer.close()


async def test_an_unknown_profile_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    layer = DynamoDBDataLayer("table", region_name=REGION)
    with pytest.raises(CredentialsError) as caught:
        await layer.get_user("alice")
    assert_one_line(caught.value, "no-such-profile")
    await layer.close()


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_table_name_is_refused_at_once(name: str) -> None:
    with pytest.raises(ConfigurationError):
        DynamoDBDataLayer(name)


def test_a_senseless_limit_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError):
        DynamoDBDataLayer("table", user_thread_limit=0)


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_a_senseless_time_to_close_is_refused_at_once(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="close_seconds"):
        DynamoDBDataLayer("table", region_name=REGION, close_seconds=seconds)


@one_engine
@pytest.mark.parametrize("method", AWAITED)
async def test_denied_access_reaches_the_caller(layer: Any, method: str) -> None:
    """No emulator knows IAM; how its answer is read is shown with the answers themselves in the unit tests."""
    await start_thread(layer)
    await layer.create_step(message("s1"))
    denied = AccessDeniedError(
        "GetItem", "AccessDeniedException", "allow dynamodb:GetItem on table x in the IAM policy"
    )
    wrap(layer, lambda inner: Failing(inner, denied))
    with pytest.raises(AccessDeniedError) as caught:
        await AWAITED[method](layer)
    assert_one_line(caught.value, "IAM policy")


async def test_an_endpoint_that_does_not_answer_is_transient() -> None:
    from tests.ports import free_port

    layer = DynamoDBDataLayer(
        "table",
        region_name=REGION,
        endpoint_url=f"http://127.0.0.1:{free_port()}",
        retry=RetryPolicies(read=RetryPolicy(0.2)),
    )
    with pytest.raises(TransientError) as caught:
        await layer.get_user("alice")
    assert_one_line(caught.value, "endpoint")
    await layer.close()


@one_engine
async def test_throttled_writes_are_stored_in_the_end(layer: Any, make_layer: Any) -> None:
    await start_thread(layer)
    failing = wrap(layer, lambda inner: Failing(inner, TransientError("UpdateItem", "ThrottlingException", "slow")))
    writing = [asyncio.create_task(layer.create_step(message("s1")))]
    writing.append(asyncio.create_task(layer.update_step(message("s1", output="last"))))
    await asyncio.sleep(0.05)
    failing.operations = ("None",)
    await asyncio.gather(*writing)
    (step,) = (await make_layer().get_thread("t1"))["steps"]
    assert step["output"] == "last"


@one_engine
async def test_a_failed_first_use_does_not_spoil_the_layer(layer: Any) -> None:
    wrong = wrap(layer, lambda inner: Failing(inner, SchemaError("missing")))
    with pytest.raises(ChainlitDynamoDBError):
        await layer.get_user("alice")
    switch_of(layer).inner = wrong.inner
    assert await layer.get_user("alice") is None
