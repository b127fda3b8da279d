"""`check`: what an app needs is tried before anybody logs in, and nothing of it stays."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chainlit_dynamodb import DynamoDBDataLayer, start_check
from chainlit_dynamodb.errors import AccessDeniedError, SchemaError, StorageError, TransientError
from chainlit_dynamodb.schema import TableSpec
from chainlit_dynamodb.testing.transports import Counting, Failing, Gated
from tests.conftest import REGION
from tests.contract.chats import one_engine
from tests.ports import free_port
from tests.wiring import wrap


@pytest.fixture
def make_table(dynamodb_client: Any) -> Iterator[Callable[..., str]]:
    """Make a table that is not quite as it should be; it is dropped after the test."""
    made: list[str] = []

    def make(**changes: Any) -> str:
        made.append(f"test-{uuid.uuid4().hex}")
        request = {**TableSpec(made[-1]).create_table_request(), **changes}
        dynamodb_client.create_table(**{name: value for name, value in request.items() if value})
        return made[-1]

    yield make
    for name in made:
        dynamodb_client.delete_table(TableName=name)


def attributes(*names: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": "S"} for name in names]


class Provider:
    """A storage that does, or fails to do, what it is told."""

    def __init__(self, *, failing: str = "", answers: bool = True) -> None:
        self.calls: list[str] = []
        self._failing = failing
        self._answers = answers

    async def upload_file(self, object_key: str, data: bytes, mime: str, overwrite: bool) -> dict[str, str]:
        await self._do("upload")
        return {"object_key": object_key}

    async def get_read_url(self, object_key: str) -> str:
        await self._do("sign")
        return "https://files/"

    async def delete_file(self, object_key: str) -> bool:
        await self._do("delete")
        return True

    async def close(self) -> None:
        """Nothing is open."""

    async def _do(self, what: str) -> None:
        self.calls.append(what)
        if what == self._failing:
            raise OSError("the disk is full")
        if not self._answers:
            await asyncio.Event().wait()


async def test_all_is_well_and_nothing_stays(layer: Any, rows: Any, tmp_path: Path) -> None:
    counting = wrap(layer, Counting)
    await layer.check()
    assert counting.counts == {"GetItem": 1, "Query": 1}
    assert rows() == []
    assert list((tmp_path / "files").rglob("*.*")) == []


async def test_a_layer_without_files_needs_no_storage(make_layer: Any) -> None:
    await make_layer(storage_provider=None).check()


async def test_a_missing_table_is_named(make_layer: Any) -> None:
    with pytest.raises(SchemaError, match="create-table no-such-table"):
        await make_layer(table_name="no-such-table").check()


async def test_a_missing_index_is_found(make_layer: Any, make_table: Any) -> None:
    name = make_table(GlobalSecondaryIndexes=None, AttributeDefinitions=attributes("PK", "SK"))
    with pytest.raises(SchemaError, match=f"Table {name} lacks the index"):
        await make_layer(table_name=name).check()


async def test_other_keys_are_found(make_layer: Any, make_table: Any) -> None:
    name = make_table(
        GlobalSecondaryIndexes=None,
        AttributeDefinitions=attributes("id"),
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    with pytest.raises(SchemaError, match=f"Table {name} has other keys"):
        await make_layer(table_name=name).check()


@one_engine
async def test_an_index_that_shows_too_little_is_found(make_layer: Any, make_table: Any) -> None:
    (index,) = TableSpec("any").create_table_request()["GlobalSecondaryIndexes"]
    name = make_table(GlobalSecondaryIndexes=[{**index, "Projection": {"ProjectionType": "KEYS_ONLY"}}])
    with pytest.raises(SchemaError, match="the index"):
        await make_layer(table_name=name).check()


@one_engine
@pytest.mark.parametrize("operation", ["GetItem", "Query"])
async def test_denied_reads_are_found(layer: Any, operation: str) -> None:
    denied = AccessDeniedError(operation, "AccessDeniedException", "allow it in the IAM policy")
    wrap(layer, lambda inner: Failing(inner, denied, operation))
    with pytest.raises(AccessDeniedError, match="IAM policy"):
        await layer.check()


@one_engine
async def test_an_endpoint_that_does_not_answer_is_given_up_soon(layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_check, "_TABLE_SECONDS", 0.1)
    wrap(layer, lambda inner: Gated(inner, "GetItem"))
    with pytest.raises(TransientError, match="Is the endpoint reachable"):
        await layer.check()


async def test_an_endpoint_where_nobody_listens_is_given_up_soon() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    layer = DynamoDBDataLayer("table", region_name=REGION, endpoint_url=url)
    with pytest.raises(TransientError, match="Is the endpoint reachable"):
        await asyncio.wait_for(layer.check(), 8)
    await layer.close()


@one_engine
@pytest.mark.parametrize(
    ("failing", "done"),
    [("upload", ["upload"]), ("sign", ["upload", "sign", "delete"]), ("delete", ["upload", "sign", "delete"])],
)
async def test_a_storage_must_store_sign_and_delete(make_layer: Any, failing: str, done: list[str]) -> None:
    provider = Provider(failing=failing)
    with pytest.raises(StorageError, match="OSError"):
        await make_layer(storage_provider=provider).check()
    assert provider.calls == done


@one_engine
async def test_a_storage_that_does_not_answer_is_given_up(make_layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_check, "_STORAGE_SECONDS", 0.1)
    with pytest.raises(StorageError, match="reachable"):
        await make_layer(storage_provider=Provider(answers=False)).check()
