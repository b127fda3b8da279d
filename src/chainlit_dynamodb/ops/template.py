"""The table as CloudFormation, for those who create it with their other infrastructure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from chainlit_dynamodb.errors import ConfigurationError
from chainlit_dynamodb.schema import TableSpec

PLACEHOLDER: Final = "<YOUR-TABLE-NAME>"
_TABLE_NAME: Final = re.compile("[A-Za-z0-9_.-]{3,255}")
_HEADER: Final = "# CloudFormation template for required table structure\nAWSTemplateFormatVersion: 2010-09-09\n"


def cloudformation(table_name: str = PLACEHOLDER) -> str:
    """Return the CloudFormation template of the table.

    Args:
        table_name: The name of the table.

    Returns:
        YAML that ends with a line break.

    Raises:
        ConfigurationError: A table cannot have this name.
    """
    if table_name != PLACEHOLDER and not _TABLE_NAME.fullmatch(table_name):
        raise ConfigurationError(f"{table_name!r} is no table name: 3 to 255 letters, digits, '_', '-' and '.'.")
    properties = TableSpec(table_name).create_table_request() | {"TableName": json.dumps(table_name)}
    table = {"Type": "AWS::DynamoDB::Table", "Properties": properties}
    lines = _mapping({"Resources": {"DynamoDBTable": table}}, "")
    return _HEADER + "\n".join(lines) + "\n"


def _mapping(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from _mapping(value, indent + "  ")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield from _sequence(key, value, indent)
        else:
            yield f"{indent}{key}: {value}"


def _sequence(key: str, values: Sequence[Any], indent: str) -> Iterator[str]:
    if all(isinstance(value, str) for value in values):
        yield f"{indent}{key}: [{', '.join(values)}]"
        return
    yield f"{indent}{key}:"
    for value in values:
        first, *rest = _mapping(value, indent + "    ")
        yield f"{indent}  - {first.lstrip()}"
        yield from rest
