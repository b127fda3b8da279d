"""Every refusal of DynamoDB becomes an error of this package that says what to do, and repeats no content."""

from __future__ import annotations

import inspect
import json
from typing import Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlit_dynamodb import errors
from chainlit_dynamodb.dynamodb.failures import coded_failure, service_failure, transport_failure
from chainlit_dynamodb.errors import (
    AccessDeniedError,
    ChainlitDynamoDBError,
    ConditionFailedError,
    CredentialsError,
    ItemTooLargeError,
    RequestError,
    SchemaError,
    TransactionCancelledError,
    TransientError,
)

OPERATIONS = (
    "GetItem",
    "BatchGetItem",
    "Query",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "BatchWriteItem",
    "TransactWriteItems",
)
SECRET = "what the user wrote"
EXPECTED: dict[str, type[ChainlitDynamoDBError]] = {
    "ConditionalCheckFailedException": ConditionFailedError,
    "IdempotentParameterMismatchException": RequestError,
    "InternalServerError": TransientError,
    "ItemCollectionSizeLimitExceededException": RequestError,
    "LimitExceededException": TransientError,
    "ProvisionedThroughputExceededException": TransientError,
    "ReplicatedWriteConflictException": TransientError,
    "RequestLimitExceeded": TransientError,
    "ResourceNotFoundException": SchemaError,
    "TableNotFoundException": SchemaError,
    "ThrottlingException": TransientError,
    "TransactionCanceledException": TransactionCancelledError,
    "TransactionConflictException": TransientError,
    "TransactionInProgressException": TransientError,
}
"""Every error of the operations used here; whatever else the service model knows is a plain RequestError."""


def _model() -> Any:
    return botocore.session.Session().get_service_model("dynamodb")


def _codes(shapes: Any) -> set[str]:
    return {shape.metadata.get("error", {}).get("code") or shape.name for shape in shapes}


ALL_CODES = sorted(_codes(_model().error_shapes))


def test_every_error_of_the_operations_used_is_decided_on() -> None:
    model = _model()
    used = set().union(*(_codes(model.operation_model(operation).error_shapes) for operation in OPERATIONS))
    assert used <= set(EXPECTED)


@pytest.mark.parametrize("code", ALL_CODES)
def test_every_error_of_the_service_model_is_mapped(code: str) -> None:
    failure = coded_failure("UpdateItem", "chats", code, SECRET)
    assert type(failure) is EXPECTED.get(code, RequestError)
    assert SECRET not in str(failure)


@pytest.mark.parametrize("code", ALL_CODES)
def test_both_transports_hear_the_same(code: str) -> None:
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": SECRET}).encode()
    heard = service_failure("UpdateItem", "chats", 400, body)
    assert type(heard) is type(coded_failure("UpdateItem", "chats", code, SECRET))
    assert SECRET not in str(heard)


@pytest.mark.parametrize(
    "code",
    [
        "ExpiredTokenException",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
    ],
)
def test_refused_credentials_are_a_matter_of_configuration(code: str) -> None:
    failure = coded_failure("GetItem", "chats", code, SECRET)
    assert type(failure) is CredentialsError
    assert code in str(failure)
    assert SECRET not in str(failure)


@pytest.mark.parametrize("code", ["AccessDeniedException", "AccessDenied"])
def test_denied_access_names_what_to_allow(code: str) -> None:
    failure = coded_failure("Query", "chats", code, SECRET)
    assert type(failure) is AccessDeniedError
    assert "dynamodb:Query" in str(failure)
    assert "chats" in str(failure)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Item size has exceeded the maximum allowed size", ItemTooLargeError),
        ("Item size to update has exceeded the maximum allowed size", ItemTooLargeError),
        ("The table does not have the specified index: UserThread", SchemaError),
        ("The provided key element does not match the schema", SchemaError),
        ("One of the required keys was not given a value. Missing the key PK in the item", SchemaError),
        (f"Invalid UpdateExpression: {SECRET}", RequestError),
    ],
)
def test_what_is_invalid_is_told_apart(message: str, expected: type[Exception]) -> None:
    failure = coded_failure("UpdateItem", "chats", "ValidationException", message)
    assert type(failure) is expected
    assert SECRET not in str(failure)


@pytest.mark.parametrize(
    "failure",
    [
        coded_failure("Query", "chats", "ResourceNotFoundException", ""),
        coded_failure("Query", "chats", "ValidationException", "The table does not have the specified index: x"),
        coded_failure("Query", "chats", "ValidationException", "The provided key element does not match the schema"),
    ],
)
def test_a_wrong_table_names_the_command_that_helps(failure: Exception) -> None:
    assert "chainlit-dynamodb create-table chats" in str(failure)


@given(st.text().map(lambda text: f"<{text}>"))
def test_no_message_of_the_service_is_passed_on(message: str) -> None:
    for code in (*ALL_CODES, "ValidationException", "AccessDeniedException", "Nobody knows this"):
        assert message not in str(coded_failure("UpdateItem", "chats", code, message))


def test_a_cancelled_transaction_keeps_the_reason_of_each_part() -> None:
    reasons = [
        {"Code": "None"},
        {"Code": "ConditionalCheckFailed", "Message": SECRET, "Item": {"a": {"S": SECRET}}},
        {},
    ]
    failure = coded_failure("TransactWriteItems", "chats", "TransactionCanceledException", SECRET, reasons)
    assert isinstance(failure, TransactionCancelledError)
    assert failure.reasons == (None, "ConditionalCheckFailed", None)
    assert SECRET not in str(failure)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["TransactionConflict", "None"], TransientError),
        (["ThrottlingError", "ProvisionedThroughputExceeded"], TransientError),
        (["TransactionConflict", "ConditionalCheckFailed"], TransactionCancelledError),
        (["ValidationError"], TransactionCancelledError),
        (["None", "None"], TransactionCancelledError),
        ([], TransactionCancelledError),
    ],
)
def test_a_cancelled_transaction_is_tried_again_only_if_that_may_help(codes: list[str], expected: type) -> None:
    reasons = [{"Code": code} for code in codes]
    failure = coded_failure("TransactWriteItems", "chats", "TransactionCanceledException", "", reasons)
    assert type(failure) is expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (500, b"", TransientError),
        (502, b"<html>Bad Gateway</html>", TransientError),
        (503, b'{"message": "slow down"}', TransientError),
        (500, b'{"__type": "com.amazon.coral.service#InternalFailure"}', TransientError),
        (429, b"", TransientError),
        (408, b"", TransientError),
        (400, b"<html>", RequestError),
        (403, b"", RequestError),
        (413, b"too much", RequestError),
        (301, b"", RequestError),
        (400, b"null", RequestError),
        (400, b"[1]", RequestError),
        (400, b'"text"', RequestError),
        (400, b"\xff\xfe", RequestError),
        (400, b"[" * 100_000, RequestError),
        (400, b'{"__type": 7, "message": {"a": 1}}', RequestError),
        (400, b'{"__type": "#TransactionCanceledException", "CancellationReasons": 7}', TransactionCancelledError),
        (400, b'{"__type": "#TransactionCanceledException", "CancellationReasons": [7]}', TransactionCancelledError),
        (
            400,
            b'{"__type": "#TransactionCanceledException", "CancellationReasons": {"Code": 1}}',
            TransactionCancelledError,
        ),
    ],
)
def test_whatever_answers_in_place_of_dynamodb_is_understood(status: int, body: bytes, expected: type) -> None:
    assert type(service_failure("UpdateItem", "chats", status, body)) is expected


@given(
    st.integers(201, 599), st.binary(max_size=30) | st.text().map(lambda text: json.dumps({"__type": text}).encode())
)
def test_no_answer_raises_while_it_is_read(status: int, body: bytes) -> None:
    assert isinstance(service_failure("UpdateItem", "chats", status, body), ChainlitDynamoDBError)


def test_a_connection_that_breaks_may_work_a_moment_later() -> None:
    failure = transport_failure("GetItem", ConnectionResetError(SECRET))
    assert (type(failure), failure.operation, failure.code) == (TransientError, "GetItem", "ConnectionResetError")
    assert SECRET not in str(failure)


def test_a_failure_knows_its_operation_and_code() -> None:
    failure = coded_failure("Query", "chats", "ThrottlingException", "")
    assert isinstance(failure, RequestError)
    assert (failure.operation, failure.code) == ("Query", "ThrottlingException")


def test_every_kind_of_refusal_is_met_here() -> None:
    kinds = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RequestError)}
    assert kinds == set(EXPECTED.values()) & kinds | {AccessDeniedError, ItemTooLargeError}
