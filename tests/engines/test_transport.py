"""What can go wrong on the way to DynamoDB, on real sockets, and what the gateway makes of it."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from chainlit_dynamodb.dynamodb import aio_transport
from chainlit_dynamodb.dynamodb.aio_transport import AioTransport
from chainlit_dynamodb.dynamodb.connect import make_transport
from chainlit_dynamodb.dynamodb.endpoint import resolve_target
from chainlit_dynamodb.dynamodb.expressions import Update, missing
from chainlit_dynamodb.dynamodb.given_client import ClientTransport
from chainlit_dynamodb.dynamodb.table import Table, Write
from chainlit_dynamodb.errors import (
    AccessDeniedError,
    ChainlitDynamoDBError,
    ConditionFailedError,
    ConfigurationError,
    CredentialsError,
    RequestError,
    TransactionCancelledError,
    TransientError,
)
from tests.conftest import REGION
from tests.engines.conftest import AIOHTTP, BOTO3, MakeTransport, boto3_client, tried_for
from tests.engines.wire import BREAK, HOST, SILENCE, Wire, answer, refusal
from tests.ports import free_port

KEY = {"PK": "p", "SK": "s"}
FOUND = answer({"Item": {"x": {"N": "1"}}})
PASSING = {
    "throttled": refusal("ProvisionedThroughputExceededException"),
    "throttled by rate": refusal("ThrottlingException"),
    "too many requests": answer(b"slow down", 429),
    "in conflict": refusal("TransactionConflictException"),
    "internal error": refusal("InternalServerError", 500),
    "unknown internal error": refusal("InternalFailure", 500),
    "an error of no kind": answer(b"", 500),
    "a gateway's page": answer(b"<html>Bad Gateway</html>", 502),
    "JSON of something else": answer(["busy"], 503),
    "broken": BREAK,
    "truncated": answer(b'{"Item": {"x"', announced=500),
    "cut JSON": answer(b'{"Item": {"x"'),
    "not JSON": answer(b"<html>OK</html>"),
    "empty": answer(b""),
    "JSON that is no object": answer([]),
    "null": answer(None),
    "not HTTP": b"garbage\r\n\r\n",
}


def _skip_what_botocore_cannot_parse(transport_kind: str, trouble: str) -> None:
    if transport_kind == BOTO3 and trouble in ("JSON of something else", "JSON that is no object", "null"):
        pytest.skip("botocore's parser fails with an AttributeError on JSON that is no object")


@pytest.fixture
def wired(wire: Wire, make_transport: MakeTransport) -> Table:
    """A table behind the scripted server."""
    return Table("chats", make_transport(wire.url), tried_for(20))


@pytest.mark.parametrize("trouble", PASSING)
async def test_passing_trouble_is_outlasted(wire: Wire, wired: Table, transport_kind: str, trouble: str) -> None:
    _skip_what_botocore_cannot_parse(transport_kind, trouble)
    wire.will_answer(PASSING[trouble], PASSING[trouble], FOUND)
    assert await wired.get(KEY) == {"x": 1}
    assert len(wire.received) == 3


@pytest.mark.parametrize("trouble", PASSING)
async def test_lasting_trouble_is_a_transient_error_without_content(
    wire: Wire, make_transport: MakeTransport, transport_kind: str, trouble: str
) -> None:
    _skip_what_botocore_cannot_parse(transport_kind, trouble)
    wire.will_answer(PASSING[trouble])
    table = Table("chats", make_transport(wire.url), tried_for(0.05))
    with pytest.raises(TransientError) as caught:
        await table.update(KEY, Update(assign={"x": "what the user wrote"}))
    assert caught.value.operation == "UpdateItem"
    assert "what the user wrote" not in str(caught.value)


async def test_every_try_sends_the_same(wire: Wire, wired: Table) -> None:
    wire.will_answer(BREAK, refusal("ThrottlingException"), answer({}))
    await wired.transact([Write(KEY, Update(assign={"x": 1}))])
    bodies = [received.body for received in wire.received]
    assert bodies[0] == bodies[1] == bodies[2]
    assert len(bodies[0]["ClientRequestToken"]) == 36


async def test_two_transactions_have_two_tokens(wire: Wire, wired: Table) -> None:
    for _ in range(2):
        await wired.transact([Write(KEY, Update(assign={"x": 1}))])
    assert len({received.body["ClientRequestToken"] for received in wire.received}) == 2


async def test_what_a_batch_leaves_is_asked_for_again(wire: Wire, wired: Table) -> None:
    keys = [{"PK": "p", "SK": str(number)} for number in range(3)]
    wired_keys = [{"PK": {"S": "p"}, "SK": {"S": str(number)}} for number in range(3)]
    wire.will_answer(
        answer({"Responses": {"chats": [wired_keys[0]]}, "UnprocessedKeys": {"chats": {"Keys": wired_keys[1:]}}}),
        refusal("ProvisionedThroughputExceededException"),
        answer({"Responses": {"chats": wired_keys[1:]}, "UnprocessedKeys": {}}),
    )
    assert await wired.batch_get(keys, attributes=["PK", "SK"]) == keys
    asked = [received.body["RequestItems"]["chats"] for received in wire.received]
    assert [len(request["Keys"]) for request in asked] == [3, 2, 2]
    assert all(request["ConsistentRead"] and request["ProjectionExpression"] for request in asked)


async def test_what_a_batch_of_deletions_leaves_is_sent_again(wire: Wire, wired: Table) -> None:
    left = [{"DeleteRequest": {"Key": {"PK": {"S": "p"}, "SK": {"S": "2"}}}}]
    wire.will_answer(answer({"UnprocessedItems": {"chats": left}}), answer({}))
    await wired.batch_delete([{"PK": "p", "SK": str(number)} for number in range(3)])
    assert [len(received.body["RequestItems"]["chats"]) for received in wire.received] == [3, 1]
    assert wire.received[1].body["RequestItems"]["chats"] == left


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("AccessDeniedException", AccessDeniedError),
        ("UnrecognizedClientException", CredentialsError),
        ("ExpiredTokenException", CredentialsError),
        ("ConditionalCheckFailedException", ConditionFailedError),
    ],
)
async def test_a_refusal_for_good_is_not_tried_again(
    wire: Wire, wired: Table, code: str, expected: type[Exception]
) -> None:
    wire.will_answer(refusal(code))
    with pytest.raises(expected):
        await wired.get(KEY)
    assert len(wire.received) == 1


async def test_a_conflict_of_transactions_is_tried_again_and_a_failed_condition_is_not(
    wire: Wire, wired: Table
) -> None:
    conflict = refusal("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}])
    failed = refusal("TransactionCanceledException", CancellationReasons=[{"Code": "ConditionalCheckFailed"}])
    wire.will_answer(conflict, failed)
    with pytest.raises(TransactionCancelledError) as caught:
        await wired.transact([Write(KEY, Update(assign={"x": 1}), missing("x"))])
    assert caught.value.reasons == ("ConditionalCheckFailed",)
    assert len(wire.received) == 2


async def test_an_endpoint_where_nobody_listens_is_a_transient_error(make_transport: MakeTransport) -> None:
    table = Table("chats", make_transport(f"http://{HOST}:{free_port()}"), tried_for(0.05))
    with pytest.raises(TransientError, match="Is the endpoint reachable"):
        await table.get(KEY)


async def test_an_endpoint_with_no_address_is_a_transient_error(make_transport: MakeTransport) -> None:
    table = Table("chats", make_transport("http://nowhere.invalid:1"), tried_for(0.05))
    with pytest.raises(TransientError):
        await table.get(KEY)


async def test_silence_ends_in_a_transient_error(
    wire: Wire, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio_transport, "READ_ANSWER_SECONDS", 0.1)
    wire.will_answer(SILENCE)
    table = Table("chats", make_transport(wire.url, read_timeout=0.1), tried_for(0.05))
    with pytest.raises(TransientError, match="no answer"):
        await table.get(KEY)


async def test_a_connection_the_server_has_closed_meanwhile_is_replaced(wire: Wire, wired: Table) -> None:
    wire.will_answer(FOUND)
    await wired.get(KEY)
    wire.break_connections()
    await asyncio.sleep(0.01)
    assert await wired.get(KEY) == {"x": 1}


async def test_fifty_calls_go_side_by_side(wire: Wire, wired: Table) -> None:
    wire.will_answer(FOUND)
    assert await asyncio.gather(*(wired.get(KEY) for _ in range(50))) == [{"x": 1}] * 50


async def test_requests_are_signed_and_carry_the_session_token(
    wire: Wire, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the-token")
    await Table("chats", make_transport(wire.url)).get(KEY)
    headers = wire.received[0].headers
    assert headers["x-amz-security-token"] == "the-token"
    assert "Credential=AKIDEXAMPLE/" in headers["authorization"]
    assert f"/{REGION}/dynamodb/aws4_request" in headers["authorization"]
    assert headers["x-amz-target"] == "DynamoDB_20120810.GetItem"


async def test_missing_credentials_say_what_to_do(
    wire: Wire, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    table = Table("chats", make_transport(wire.url))
    for request in (table.get, table.put):
        with pytest.raises(CredentialsError, match="Set AWS_ACCESS_KEY_ID"):
            await request(KEY)
    assert wire.received == []


async def test_half_of_the_credentials_are_no_credentials(
    wire: Wire, make_transport: MakeTransport, transport_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if transport_kind == BOTO3:
        pytest.skip("boto3 itself refuses them, when the client is made")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CredentialsError):
        await Table("chats", make_transport(wire.url)).get(KEY)


async def test_credentials_that_come_later_are_found(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    table = Table("chats", AioTransport("chats", REGION, wire.url, {}))
    with pytest.raises(CredentialsError):
        await table.get(KEY)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "late")
    await table.get(KEY)
    await table.close()
    assert "Credential=late/" in wire.received[0].headers["authorization"]


async def test_a_missing_region_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(CredentialsError, match="set AWS_REGION"):
        await AioTransport("chats", None, None, {}).call("GetItem", {})


@pytest.mark.parametrize(
    ("region", "environment", "expected"),
    [
        ("eu-west-1", {"AWS_REGION": "eu-west-2"}, "eu-west-1"),
        (None, {"AWS_REGION": "eu-west-2"}, "eu-west-2"),
        (None, {}, REGION),
    ],
)
def test_the_region_is_found_as_by_the_sdks(region: str | None, environment: dict[str, str], expected: str) -> None:
    target = resolve_target(region, None, environment)
    assert target.region_name == expected
    assert target.endpoint_url == f"https://dynamodb.{expected}.amazonaws.com"


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"])
def test_the_endpoint_is_found_as_by_the_sdks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://localhost:1")
    assert resolve_target(None, None, os.environ).endpoint_url == "http://localhost:1"
    assert resolve_target(None, "http://localhost:2", os.environ).endpoint_url == "http://localhost:2"


@pytest.mark.parametrize("endpoint_url", ["localhost:8000", "nonsense", "http://", "http://localhost:port"])
def test_an_endpoint_that_is_no_url_is_a_matter_of_configuration(endpoint_url: str) -> None:
    with pytest.raises(ConfigurationError, match="endpoint"):
        resolve_target(REGION, endpoint_url, {})


def test_a_region_that_is_no_region_is_a_matter_of_configuration() -> None:
    with pytest.raises(ConfigurationError, match="us east"):
        resolve_target("us east/1", None, {})


def test_an_unknown_profile_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "misspelt")
    with pytest.raises(CredentialsError, match="misspelt"):
        resolve_target(None, None, {})


async def test_nothing_is_opened_before_the_first_call() -> None:
    transport = make_transport("chats", endpoint_url="http://nowhere.invalid:1")
    assert isinstance(transport, AioTransport)
    assert not transport.is_open
    await transport.close()


def test_one_transport_serves_one_event_loop_after_the_other(transport_kind: str) -> None:
    async def use(transport: AioTransport) -> None:
        async with Wire(port):
            assert await transport.call("GetItem", {"TableName": "chats", "Key": {}}) == {}
            await transport.close()

    if transport_kind == BOTO3:
        pytest.skip("a client keeps its endpoint; threads know no loops")
    port = free_port()
    transport = AioTransport("chats", REGION, f"http://{HOST}:{port}", {})
    for _ in range(2):
        asyncio.run(use(transport))


async def test_a_client_that_was_given_stays_open(wire: Wire) -> None:
    client = boto3_client(wire.url)
    transport = make_transport("chats", client)
    assert isinstance(transport, ClientTransport)
    await transport.call("GetItem", {"TableName": "chats", "Key": {"PK": {"S": "p"}}})
    await transport.close()
    await asyncio.to_thread(client.get_item, TableName="chats", Key={"PK": {"S": "p"}})
    assert len(wire.received) == 2
    client.close()


async def test_a_call_that_waits_keeps_nobody_else_waiting(wire: Wire, wired: Table, transport_kind: str) -> None:
    wire.will_answer(FOUND)
    await wired.get(KEY)
    wire.will_answer(SILENCE, FOUND)
    waiting = asyncio.create_task(wired.get(KEY))
    await wire.has_received(2)
    assert await wired.get(KEY) == {"x": 1}
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if transport_kind == BOTO3:
        wire.break_connections()  # threads cannot be cancelled


class _Awaitable:
    """A client whose methods give awaitables, as those of aiobotocore do."""

    async def get_item(self, **request: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"Item": {"b": {"B": b"raw"}, "asked": {"S": request["TableName"]}}, "ResponseMetadata": {}}


async def test_a_client_whose_methods_give_awaitables_is_awaited() -> None:
    client: Any = _Awaitable()
    table = Table("chats", ClientTransport("chats", client))
    assert await table.get(KEY) == {"b": "cmF3", "asked": "chats"}
    await table.close()


class _NoMapping:
    """A client that answers with anything but a response, as a mock does that nobody has told what to answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __getattr__(self, _: str) -> Any:
        return lambda **_: self.answer


@pytest.mark.parametrize("answer", [MagicMock(), None, [], "text", object()], ids=lambda a: type(a).__name__)
async def test_a_client_that_answers_with_no_mapping_is_an_error_at_once(answer: Any) -> None:
    client: Any = _NoMapping(answer)
    table = Table("chats", ClientTransport("chats", client))
    for request in (table.get, table.put):
        with pytest.raises(RequestError, match="answered with no mapping") as caught:
            await asyncio.wait_for(request(KEY), 5)
        assert not isinstance(caught.value, TransientError)
        assert caught.value.code == type(answer).__name__
    await table.close()


@pytest.mark.parametrize("client", [MagicMock(), AsyncMock()], ids=lambda c: type(c).__name__)
async def test_a_mocked_client_is_an_error_at_once(client: Any) -> None:
    table = Table("chats", ClientTransport("chats", client))
    with pytest.raises(RequestError, match="answered with no mapping"):
        await asyncio.wait_for(table.update(KEY, Update(assign={"x": 1})), 5)
    await table.close()


async def test_no_content_is_logged_even_at_debug(
    wire: Wire, wired: Table, transport_kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    if transport_kind == BOTO3:
        pytest.skip("botocore logs whole requests at DEBUG; it is the client of the user")
    wire.will_answer(refusal("ThrottlingException"), answer({"Item": {"x": {"S": "what the user read"}}}))
    with caplog.at_level(logging.DEBUG):
        await wired.update(KEY, Update(assign={"x": "what the user wrote"}))
        await wired.get(KEY)
    assert "what the user" not in caplog.text


async def test_every_error_of_a_transport_is_one_of_this_package(
    wire: Wire, make_transport: MakeTransport, transport_kind: str
) -> None:
    transport = make_transport(wire.url)
    for trouble in [*PASSING.values(), refusal("Nobody"), answer(b"", 404), answer(b"", 400)]:
        wire.will_answer(trouble)
        with pytest.raises(ChainlitDynamoDBError):
            await transport.call("GetItem", {"TableName": "chats", "Key": {"PK": {"S": "p"}}})
    assert transport_kind in (AIOHTTP, BOTO3)
