"""Creates the table, once."""

from __future__ import annotations

import time
from typing import Any, Final

from chainlit_dynamodb.errors import RequestError, TransientError
from chainlit_dynamodb.ops.aws import aws_errors
from chainlit_dynamodb.ops.check_table import Description, check_layout
from chainlit_dynamodb.schema import TableSpec

_POLL_SECONDS: Final = 0.5


def create_table(client: Any, table_name: str, *, timeout_seconds: float = 300) -> bool:
    """Create the table and wait until it and its index can be used.

    A table that is already there is checked instead, and left as it is.

    Args:
        client: A botocore or boto3 DynamoDB client.
        table_name: The name of the table.
        timeout_seconds: How long to wait for DynamoDB to make the table.

    Returns:
        `True` if the table was made, `False` if it was there.

    Raises:
        SchemaError: The table is there with another layout.
        RequestError: DynamoDB refused, or could not be reached.
    """
    spec = TableSpec(table_name)
    with aws_errors(table_name):
        made = describe_table(client, table_name) is None and _request_table(client, spec)
        description = _wait_until_active(client, table_name, timeout_seconds)
    check_layout(spec, description)
    return made


def describe_table(client: Any, table_name: str) -> Description | None:
    """Return the table as DescribeTable does, or `None` where there is none."""
    try:
        description: Description = client.describe_table(TableName=table_name)["Table"]
    except client.exceptions.ResourceNotFoundException:
        return None
    return description


def _request_table(client: Any, spec: TableSpec) -> bool:
    try:
        client.create_table(**spec.create_table_request())
    except client.exceptions.ResourceInUseException:  # somebody else was faster
        return False
    return True


def _wait_until_active(client: Any, table_name: str, timeout_seconds: float) -> Description:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        description = describe_table(client, table_name)
        if description and _is_active(description):
            return description
        if description and description["TableStatus"] == "DELETING":
            raise RequestError("CreateTable", "ResourceInUse", f"Table {table_name!r} is being deleted.")
        time.sleep(_POLL_SECONDS)
    raise TransientError(
        "DescribeTable", "Timeout", f"Table {table_name!r} was not active after {timeout_seconds:g} s."
    )


def _is_active(description: Description) -> bool:
    indexes = description.get("GlobalSecondaryIndexes", [])
    states = [description.get("TableStatus"), *(index.get("IndexStatus", "ACTIVE") for index in indexes)]
    return all(state == "ACTIVE" for state in states)
