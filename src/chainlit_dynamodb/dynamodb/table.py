"""The one gateway to the table: plain items in and out, pages followed, batches cut, retries done."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar
from uuid import uuid4

from chainlit_dynamodb.dynamodb.codec import Item, decode_item, encode_item
from chainlit_dynamodb.dynamodb.expressions import Condition, Placeholders, Update
from chainlit_dynamodb.dynamodb.retry import Retries, RetryPolicies, RetryPolicy
from chainlit_dynamodb.dynamodb.transport import Transport
from chainlit_dynamodb.errors import TransientError

logger = logging.getLogger("chainlit.DynamoDB")

BATCH_GET_KEYS: Final = 100
BATCH_WRITE_ITEMS: Final = 25

KeyDict = Mapping[str, str]
T = TypeVar("T")

_DEFAULT_POLICIES: Final = RetryPolicies()


class Page(NamedTuple):
    """Items of one request, and the key to go on from; `None` on the last page."""

    items: list[Item]
    next_key: Item | None


@dataclass(frozen=True)
class Write:
    """One part of a transaction: an update, or a deletion where `update` is `None`."""

    key: KeyDict
    update: Update | None = None
    condition: Condition | None = None


@dataclass(frozen=True)
class Query:
    """What to read from one partition of the table or an index.

    Attributes:
        key: Writes the key condition.
        index: An index's name, or `None` for the table.
        forward: Ascending by sort key.
        page_items: How many items one request reads; `None` for as many as fit in 1 MB.
        start_key: Where to go on.
        attributes: What to return; `None` for everything. The cost is that of the whole items.
        consistent: See all finished writes. Not possible on an index.
        policy: How long it is tried; `None` for as long as reads are.
    """

    key: Condition
    index: str | None = None
    forward: bool = True
    page_items: int | None = None
    start_key: Item | None = None
    attributes: Sequence[str] = field(default=())
    consistent: bool = False
    policy: RetryPolicy | None = None

    def request(self) -> dict[str, Any]:
        """Return the request of the Query operation, without the table's name."""
        placeholders = Placeholders()
        request: dict[str, Any] = {"KeyConditionExpression": self.key(placeholders)}
        if self.index is not None:
            request["IndexName"] = self.index
        if not self.forward:
            request["ScanIndexForward"] = False
        if self.page_items is not None:
            request["Limit"] = self.page_items
        if self.start_key is not None:
            request["ExclusiveStartKey"] = encode_item(self.start_key)
        if self.consistent:
            request["ConsistentRead"] = True
        return {**request, **_projection(self.attributes, placeholders), **placeholders.request()}


class Table:
    """One DynamoDB table.

    Attributes:
        name: Its name.
        transport: Sends single requests.
        retry: How long requests are tried.
    """

    def __init__(self, name: str, transport: Transport, retry: RetryPolicies = _DEFAULT_POLICIES) -> None:
        """Take a transport, which `close` closes.

        Args:
            name: The table's name.
            transport: Sends single requests.
            retry: How long requests are tried.
        """
        self.name = name
        self.retry = retry
        self.transport = transport
        self._retries = Retries(f"table {name}")

    async def close(self) -> None:
        """Close the transport."""
        await self.transport.close()

    async def get(
        self, key: KeyDict, *, attributes: Sequence[str] = (), policy: RetryPolicy | None = None
    ) -> Item | None:
        """Read one item, seeing all finished writes.

        Args:
            key: Its primary key.
            attributes: What to return; empty for everything.
            policy: How long it is tried; `None` for as long as reads are.

        Returns:
            The item, or `None` if there is none.

        Cost: 1 read unit per 4 KB of the whole item.
        """
        request = {"TableName": self.name, "Key": encode_item(key), "ConsistentRead": True, **_projected(attributes)}
        response = await self._retries.run(policy or self.retry.read, self._call, "GetItem", request)
        return decode_item(response["Item"]) if "Item" in response else None

    async def batch_get(
        self, keys: Sequence[KeyDict], *, attributes: Sequence[str] = (), policy: RetryPolicy | None = None
    ) -> list[Item]:
        """Read many items, seeing all finished writes, in no particular order. Missing ones are left out.

        Args:
            keys: Their primary keys.
            attributes: What to return; empty for everything.
            policy: How long each request is tried; `None` for as long as reads are.

        Cost: 1 read unit per 4 KB of each whole item; one request per 100 keys.
        """
        items: list[Item] = []
        for chunk in chunks(keys, BATCH_GET_KEYS):
            waiting: list[Any] = [encode_item(key) for key in chunk]
            await self._retries.run(policy or self.retry.read, self._batch_get, waiting, attributes, items)
        return items

    async def _batch_get(self, waiting: list[Any], attributes: Sequence[str], items: list[Item]) -> None:
        """Move what DynamoDB answers from the waiting keys to the items."""
        asked = {"Keys": waiting, "ConsistentRead": True, **_projected(attributes)}
        response = await self._call("BatchGetItem", {"RequestItems": {self.name: asked}})
        items.extend(decode_item(item) for item in response.get("Responses", {}).get(self.name, ()))
        waiting[:] = response.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", ())
        if waiting:
            raise TransientError("BatchGetItem", "UnprocessedKeys", f"{len(waiting)} keys not read yet")

    async def query_page(self, query: Query) -> Page:
        """Read one page. It may be short or empty while more follows.

        Cost: read units for all items of the page: 1 per 4 KB if consistent, else half.
        """
        request = {"TableName": self.name, **query.request()}
        response = await self._retries.run(query.policy or self.retry.read, self._call, "Query", request)
        last = response.get("LastEvaluatedKey")
        items = [decode_item(item) for item in response.get("Items", ())]
        return Page(items, decode_item(last) if last else None)

    async def query_pages(self, query: Query) -> AsyncIterator[list[Item]]:
        """Read page after page until the partition ends. Cost: see `query_page`, for each page."""
        while True:
            page = await self.query_page(query)
            yield page.items
            if page.next_key is None:
                return
            query = replace(query, start_key=page.next_key)

    async def update(
        self, key: KeyDict, update: Update, *, condition: Condition | None = None, return_values: str = "NONE"
    ) -> Item:
        """Change attributes of an item, making it if it is missing.

        Args:
            key: Its primary key.
            update: What to change.
            condition: Must hold, or nothing changes.
            return_values: DynamoDB's `ReturnValues`.

        Returns:
            What `return_values` asked for; empty if there is nothing.

        Raises:
            ConditionFailedError: The condition did not hold; the error has the item as it is.
            ItemTooLargeError: The item would exceed 400 KB.

        Cost: 1 write unit per KB of the larger of old and new item, and again for each index entry it changes.
        """

        def request() -> dict[str, Any]:  # made anew for each try: between two of them no second copy is held
            on_failure = {} if condition is None else {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
            return {**self._update(Write(key, update, condition)), "ReturnValues": return_values, **on_failure}

        response = await self._retries.run(self.retry.write, self._call, "UpdateItem", request)
        return decode_item(response.get("Attributes", {}))

    async def put(self, item: Item) -> None:
        """Write an item, replacing what was there. Cost: 1 write unit per KB of the larger of the two."""
        request = {"TableName": self.name, "Item": encode_item(item)}
        await self._retries.run(self.retry.write, self._call, "PutItem", request)

    async def replace(self, item: Item, *, condition: Condition) -> Item | None:
        """Write an item in place of another, and return that; `None` if there was none.

        Raises:
            ConditionFailedError: The condition did not hold; with the item that is there.

        Cost: 1 write unit per KB of the larger of the two.
        """
        placeholders = Placeholders()
        request = {"TableName": self.name, "Item": encode_item(item)}
        request |= {"ReturnValues": "ALL_OLD", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        request |= {**_condition(condition, placeholders), **placeholders.request()}
        response = await self._retries.run(self.retry.write, self._call, "PutItem", request)
        return decode_item(response["Attributes"]) if response.get("Attributes") else None

    async def delete(self, key: KeyDict, *, condition: Condition | None = None) -> Item | None:
        """Delete an item and return what it was; `None` if there was none.

        Cost: 1 write unit per KB of the item.
        """
        request = {**self._delete(Write(key, None, condition)), "ReturnValues": "ALL_OLD"}
        response = await self._retries.run(self.retry.write, self._call, "DeleteItem", request)
        return decode_item(response["Attributes"]) if response.get("Attributes") else None

    async def batch_delete(self, keys: Sequence[KeyDict]) -> None:
        """Delete many items; those that are gone already do no harm.

        Cost: 1 write unit per KB of each item; one request per 25.
        """
        for chunk in chunks(keys, BATCH_WRITE_ITEMS):
            waiting: list[Any] = [{"DeleteRequest": {"Key": encode_item(key)}} for key in chunk]
            await self._retries.run(self.retry.write, self._batch_delete, waiting)

    async def _batch_delete(self, waiting: list[Any]) -> None:
        """Take what DynamoDB has done off the waiting deletions."""
        response = await self._call("BatchWriteItem", {"RequestItems": {self.name: waiting}})
        waiting[:] = response.get("UnprocessedItems", {}).get(self.name, ())
        if waiting:
            raise TransientError("BatchWriteItem", "UnprocessedItems", f"{len(waiting)} items not written yet")

    async def transact(self, writes: Sequence[Write]) -> None:
        """Do all of the writes or none.

        A lost answer does no harm: all tries carry one token, and DynamoDB knows it for ten minutes.

        Raises:
            TransactionCancelledError: A condition did not hold.

        Cost: 2 write units per KB of each item.
        """
        parts = [{"Update": self._update(w)} if w.update else {"Delete": self._delete(w)} for w in writes]
        request = {"TransactItems": parts, "ClientRequestToken": str(uuid4())}
        await self._retries.run(self.retry.write, self._call, "TransactWriteItems", request)

    def _update(self, write: Write) -> dict[str, Any]:
        placeholders = Placeholders()
        expression = write.update.expression(placeholders) if write.update else ""
        request: dict[str, Any] = {"TableName": self.name, "Key": encode_item(write.key)}
        if expression:
            request["UpdateExpression"] = expression
        return {**request, **_condition(write.condition, placeholders), **placeholders.request()}

    def _delete(self, write: Write) -> dict[str, Any]:
        placeholders = Placeholders()
        condition = _condition(write.condition, placeholders)
        request = {"TableName": self.name, "Key": encode_item(write.key)}
        return {**request, **condition, **placeholders.request()}

    async def _call(self, operation: str, request: dict[str, Any] | Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if callable(request):
            request = request()
        if not logger.isEnabledFor(logging.DEBUG):
            return await self.transport.call(operation, request)
        started = time.perf_counter()
        response = await self.transport.call(operation, {**request, "ReturnConsumedCapacity": "TOTAL"})
        duration_ms = (time.perf_counter() - started) * 1000
        logger.debug("%s on %s: %.1f ms, %s units", operation, self.name, duration_ms, _capacity(response))
        return response


def _projected(attributes: Sequence[str]) -> dict[str, Any]:
    placeholders = Placeholders()
    return {**_projection(attributes, placeholders), **placeholders.request()}


def _projection(attributes: Sequence[str], placeholders: Placeholders) -> dict[str, str]:
    if not attributes:
        return {}
    return {"ProjectionExpression": ", ".join(placeholders.name(attribute) for attribute in attributes)}


def _condition(condition: Condition | None, placeholders: Placeholders) -> dict[str, str]:
    return {} if condition is None else {"ConditionExpression": condition(placeholders)}


def _capacity(response: Mapping[str, Any]) -> float:
    consumed = response.get("ConsumedCapacity") or []
    parts = consumed if isinstance(consumed, list) else [consumed]
    return float(sum(part.get("CapacityUnits", 0) for part in parts))


def chunks(items: Iterable[T], size: int) -> Iterable[list[T]]:
    """Cut into lists of at most `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
