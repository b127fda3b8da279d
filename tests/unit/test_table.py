"""Reads are tried as reads, writes as writes, and a read that a write depends on as long as the write."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from chainlit_dynamodb.dynamodb.expressions import Update, equals
from chainlit_dynamodb.dynamodb.retry import RetryPolicies, RetryPolicy
from chainlit_dynamodb.dynamodb.table import Query, Table, Write
from chainlit_dynamodb.errors import TransientError

KEY = {"PK": "p", "SK": "s"}
NEVER_AGAIN, AGAIN = RetryPolicy(0), RetryPolicy(30)

READS: dict[str, Callable[[Table, RetryPolicy | None], Awaitable[Any]]] = {
    "get": lambda table, policy: table.get(KEY, policy=policy),
    "batch_get": lambda table, policy: table.batch_get([KEY], policy=policy),
    "query_page": lambda table, policy: table.query_page(Query(equals("PK", "p"), policy=policy)),
}
WRITES: dict[str, Callable[[Table], Awaitable[Any]]] = {
    "update": lambda table: table.update(KEY, Update(assign={"x": 1})),
    "put": lambda table: table.put(KEY),
    "delete": lambda table: table.delete(KEY),
    "batch_delete": lambda table: table.batch_delete([KEY]),
    "transact": lambda table: table.transact([Write(KEY)]),
}


class Throttled:
    """Refuses the first requests, then answers with nothing."""

    def __init__(self, refusals: int = 1) -> None:
        self.refusals = refusals
        self.calls = 0

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        self.calls += 1
        if self.calls <= self.refusals:
            raise TransientError(operation, "ThrottlingException", "slow down")
        return {}

    async def close(self) -> None:
        """There is nothing to close."""


@pytest.mark.parametrize("read", READS)
async def test_a_read_is_tried_as_long_as_reads_are(read: str) -> None:
    with pytest.raises(TransientError):
        await READS[read](Table("chats", Throttled(), RetryPolicies(NEVER_AGAIN, AGAIN)), None)
    patient = Throttled()
    await READS[read](Table("chats", patient, RetryPolicies(AGAIN, NEVER_AGAIN)), None)
    assert patient.calls == 2


@pytest.mark.parametrize("read", READS)
async def test_a_read_may_have_a_policy_of_its_own(read: str) -> None:
    transport = Throttled()
    table = Table("chats", transport, RetryPolicies(NEVER_AGAIN, AGAIN))
    await READS[read](table, table.retry.write)
    assert transport.calls == 2


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_is_tried_as_long_as_writes_are(write: str) -> None:
    with pytest.raises(TransientError):
        await WRITES[write](Table("chats", Throttled(), RetryPolicies(AGAIN, NEVER_AGAIN)))
    patient = Throttled()
    await WRITES[write](Table("chats", patient, RetryPolicies(NEVER_AGAIN, AGAIN)))
    assert patient.calls == 2


async def test_every_page_of_a_query_is_tried_by_its_policy() -> None:
    class TwoPages(Throttled):
        async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
            await super().call(operation, request)
            if "ExclusiveStartKey" in request:
                return {}
            self.refusals = self.calls + 1
            return {"LastEvaluatedKey": {"PK": {"S": "p"}, "SK": {"S": "s"}}}

    table = Table("chats", TwoPages(), RetryPolicies(NEVER_AGAIN, AGAIN))
    pages = table.query_pages(Query(equals("PK", "p"), policy=table.retry.write))
    assert [page async for page in pages] == [[], []]


async def test_each_table_warns_for_itself(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("one", "two"):
        await Table(name, Throttled(4)).get(KEY)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len([message for message in said if "did not take" in message]) == 2
