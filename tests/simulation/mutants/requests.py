"""Bugs of single requests: consistency, batches, pages, repetition."""

from __future__ import annotations

from chainlit_dynamodb.dynamodb.retry import Retries
from chainlit_dynamodb.dynamodb.table import Query, Table
from tests.simulation.mutants.mutant import Mutant

REQUESTS = (
    Mutant("single reads may lag", Table.get, '"ConsistentRead": True', '"ConsistentRead": False'),
    Mutant("batch reads may lag", Table._batch_get, '"ConsistentRead": True', '"ConsistentRead": False'),
    Mutant("queries may lag", Query.request, "if self.consistent:", "if False:"),
    Mutant("keys that were not read are dropped", Table._batch_get, "if waiting:", "if False:"),
    Mutant("items that were not deleted are dropped", Table._batch_delete, "if waiting:", "if False:"),
    Mutant("only the first page is read", Table.query_pages, "if page.next_key is None:", "if True:"),
    Mutant(
        "a request is tried once",
        Retries.run,
        "return await self._run_again",
        "raise failure\n        return await self._run_again",
    ),
    Mutant(
        "a request is tried for ever", Retries._run_again, "stop_after_delay(seconds_left)", "stop_after_delay(1e9)"
    ),
    Mutant(
        "a request is tried half as long",
        Retries._run_again,
        "stop_after_delay(seconds_left)",
        "stop_after_delay(seconds_left / 2)",
    ),
)
