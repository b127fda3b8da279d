"""Compares a table that exists with the one this package needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chainlit_dynamodb.errors import SchemaError
from chainlit_dynamodb.schema import TableSpec

Description = Mapping[str, Any]


def check_layout(spec: TableSpec, description: Description) -> None:
    """Check keys and index of a table.

    Args:
        spec: The table that is needed.
        description: `Table` of the answer to DescribeTable.

    Raises:
        SchemaError: Something differs; the message lists all of it.
    """
    if differences := list(layout_differences(spec, description)):
        raise SchemaError(f"Table {spec.table_name!r} has another layout: {'; '.join(differences)}.")


def layout_differences(spec: TableSpec, description: Description) -> Iterator[str]:
    """Return one phrase for each thing that differs."""
    wanted = spec.create_table_request()
    types = _types(description)
    yield from _key_differences("its key", wanted, description, types)
    for index in wanted["GlobalSecondaryIndexes"]:
        yield from _index_differences(index, _index_named(index["IndexName"], description), types)


def _index_differences(wanted: Description, found: Description | None, types: Mapping[str, str]) -> Iterator[str]:
    name = wanted["IndexName"]
    if found is None:
        yield f"the index {name} is missing"
        return
    yield from _key_differences(f"the key of its index {name}", wanted, found, types)
    if missing := _unprojected(wanted["Projection"], found.get("Projection", {})):
        yield f"its index {name} does not project {', '.join(missing)}"


def _key_differences(what: str, wanted: Description, found: Description, types: Mapping[str, str]) -> Iterator[str]:
    needed = [(key["AttributeName"], key["KeyType"], "S") for key in wanted["KeySchema"]]
    actual = [
        (key["AttributeName"], key["KeyType"], types.get(key["AttributeName"], "?"))
        for key in found.get("KeySchema", [])
    ]
    if needed != actual:
        yield f"{what} is {_written(actual)} instead of {_written(needed)}"


def _written(key: Sequence[tuple[str, str, str]]) -> str:
    return " + ".join(f"{name} ({kind}, {type_})" for name, kind, type_ in key) or "empty"


def _unprojected(wanted: Description, found: Description) -> list[str]:
    if found.get("ProjectionType") == "ALL":
        return []
    return sorted(set(wanted["NonKeyAttributes"]) - set(found.get("NonKeyAttributes", [])))


def _types(description: Description) -> dict[str, str]:
    return {item["AttributeName"]: item["AttributeType"] for item in description.get("AttributeDefinitions", [])}


def _index_named(name: str, description: Description) -> Description | None:
    indexes = description.get("GlobalSecondaryIndexes", [])
    return next((index for index in indexes if index["IndexName"] == name), None)
