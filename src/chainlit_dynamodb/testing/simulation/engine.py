"""DynamoDB in memory: the operations this package sends, as DynamoDB answers them.

It knows one table. Requests come and answers go in DynamoDB's JSON; answers share their values with the table, and
nobody may change them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from chainlit_dynamodb.schema import INDEX_NAME, INDEX_PK, INDEX_SK, PK, SK
from chainlit_dynamodb.testing.simulation.conditions import condition, named, value_at
from chainlit_dynamodb.testing.simulation.expressions import ExpressionError, parse_projection
from chainlit_dynamodb.testing.simulation.items import Index, Item, Items, Place
from chainlit_dynamodb.testing.simulation.queries import KeyRange, key_range
from chainlit_dynamodb.testing.simulation.sizes import item_bytes
from chainlit_dynamodb.testing.simulation.updates import updated

MAX_ITEM_BYTES: Final = 400 * 1024
MAX_PAGE_BYTES: Final = 1024 * 1024
TOKEN_SECONDS: Final = 600.0
_MAX_KEYS: Final = 100
_MAX_WRITES: Final = 25
_TABLE_KEYS: Final = {PK, SK}

Answer = dict[str, Any]
Request = Mapping[str, Any]


class EngineError(Exception):
    """A refusal.

    Attributes:
        code: DynamoDB's code.
        body: The answer as it goes over the wire.
    """

    def __init__(self, code: str, message: str, **more: Any) -> None:
        """Refuse."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message, **more})


def invalid(message: str) -> EngineError:
    """Return the refusal of a request that makes no sense."""
    return EngineError("ValidationException", message)


def _no_lag(_: Place) -> tuple[float, float]:
    return 0.0, 0.0


class Engine:
    """One table."""

    def __init__(
        self,
        table_name: str,
        now: Callable[[], float],
        lag: Callable[[Place], tuple[float, float]] = _no_lag,
    ) -> None:
        """Start empty.

        Args:
            table_name: The table.
            now: The time in seconds.
            lag: How long the index takes, see `Index`.
        """
        self.table_name = table_name
        self.items = Items(now)
        self.index = Index(now, lag)
        self._now = now
        self._tokens: dict[str, tuple[float, Any]] = {}
        self._operations: dict[str, Callable[[Request], Answer]] = {
            "GetItem": self._get_item,
            "BatchGetItem": self._batch_get_item,
            "Query": self._query,
            "PutItem": self._put_item,
            "UpdateItem": self._update_item,
            "DeleteItem": self._delete_item,
            "BatchWriteItem": self._batch_write_item,
            "TransactWriteItems": self._transact_write_items,
        }

    def execute(self, operation: str, request: Request, *, stale_seconds: float = 0.0) -> Answer:
        """Do an operation.

        Args:
            operation: DynamoDB's name of it.
            request: Its parameters.
            stale_seconds: How far behind reads are that need not be consistent.

        Raises:
            EngineError: The request is refused.
        """
        self._as_of = self._now() - stale_seconds if stale_seconds else None
        try:
            return self._operations[operation](request)
        except ExpressionError as exc:
            raise invalid(f"Invalid expression: {exc}") from exc

    def _get_item(self, request: Request) -> Answer:
        self._check_table(request)
        item = self._read(_place(request["Key"]), request)
        return {} if item is None else {"Item": _projected(item, request)}

    def _batch_get_item(self, request: Request) -> Answer:
        ((table, asked),) = request["RequestItems"].items()
        self._check_table({"TableName": table})
        places = [_place(key) for key in asked["Keys"]]
        _check_batch(places, _MAX_KEYS)
        found = [_projected(item, asked) for place in places if (item := self._read(place, asked)) is not None]
        return {"Responses": {table: found}, "UnprocessedKeys": {}}

    def _query(self, request: Request) -> Answer:
        self._check_table(request)
        wanted = key_range(request)
        on_index = request.get("IndexName") is not None
        if on_index and request["IndexName"] != INDEX_NAME:
            raise invalid("The table does not have the specified index")
        if on_index and request.get("ConsistentRead"):
            raise invalid("Consistent reads are not supported on global secondary indexes")
        found = self._index_entries(wanted, request) if on_index else self._partition(wanted, request)
        page, last = _page(found, request)
        answer: Answer = {"Items": [_projected(item, request) for item in page], "Count": len(page)}
        if last is not None:
            keys = (PK, SK, INDEX_PK, INDEX_SK) if on_index else (PK, SK)
            answer["LastEvaluatedKey"] = {name: last[name] for name in keys}
        return answer

    def _partition(self, wanted: KeyRange, request: Request) -> list[Item]:
        start = request.get("ExclusiveStartKey")
        keys = wanted.select(self.items.sort_keys(wanted.pk), start[SK]["S"] if start else None)
        found = (self._read((wanted.pk, sk), request) for sk in keys)
        return [item for item in found if item is not None]

    def _index_entries(self, wanted: KeyRange, request: Request) -> list[Item]:
        start = request.get("ExclusiveStartKey")
        after = (start[INDEX_SK]["S"], start[PK]["S"], start[SK]["S"]) if start else None
        entries = self.index.entries(wanted.pk)
        if not wanted.forward:
            entries.reverse()
        found = []
        for key, item in entries:
            is_behind = after is None or (key > after if wanted.forward else key < after)
            if is_behind and wanted.holds(key[0]):
                found.append(item)
        return found

    def _put_item(self, request: Request) -> Answer:
        self._check_table(request)
        place, new = _place(request["Item"], whole=True), dict(request["Item"])
        old = self.items.get(place)
        _check_condition(request, old)
        self._store(place, old, new)
        return {"Attributes": old} if old and request.get("ReturnValues") == "ALL_OLD" else {}

    def _update_item(self, request: Request) -> Answer:
        self._check_table(request)
        place, old, new, touched = self._updated(request)
        self._store(place, old, new)
        return _returned(request.get("ReturnValues", "NONE"), old or {}, new, touched)

    def _updated(self, request: Request) -> tuple[Place, Item | None, Item, dict[str, bool]]:
        place = _place(request["Key"])
        old = self.items.get(place)
        _check_condition(request, old)
        base = old if old is not None else dict(request["Key"])
        text = request.get("UpdateExpression")
        if text is None:
            return place, old, base, {}
        names, values = _placeholders(request)
        new, touched = updated(base, text, names, values)
        if touched.keys() & _TABLE_KEYS:
            raise invalid("Cannot update attribute. This attribute is part of the key")
        return place, old, new, touched

    def _delete_item(self, request: Request) -> Answer:
        self._check_table(request)
        place = _place(request["Key"])
        old = self.items.get(place)
        _check_condition(request, old)
        if old is not None:
            self._store(place, old, None)
        return {"Attributes": old} if old and request.get("ReturnValues") == "ALL_OLD" else {}

    def _batch_write_item(self, request: Request) -> Answer:
        ((table, writes),) = request["RequestItems"].items()
        self._check_table({"TableName": table})
        changes = [_batch_change(write) for write in writes]
        _check_batch([place for place, _ in changes], _MAX_WRITES)
        for place, new in changes:
            self._store(place, self.items.get(place), new)
        return {"UnprocessedItems": {}}

    def _transact_write_items(self, request: Request) -> Answer:
        token, parts = request.get("ClientRequestToken"), request["TransactItems"]
        if token is not None and (known := self._tokens.get(token)) and self._now() < known[0] + TOKEN_SECONDS:
            if known[1] != parts:
                raise EngineError("IdempotentParameterMismatchException", "The token was used for another request")
            return {}
        changes = self._transaction(parts)
        for place, new in changes:
            self._store(place, self.items.get(place), new)
        if token is not None:
            self._tokens[token] = (self._now(), parts)
        return {}

    def _transaction(self, parts: Sequence[Request]) -> list[tuple[Place, Item | None]]:
        changes: list[tuple[Place, Item | None]] = []
        reasons: list[dict[str, Any]] = []
        for part in parts:
            ((kind, request),) = part.items()
            self._check_table(request)
            try:
                if (change := self._transacted(kind, request)) is not None:
                    changes.append(change)
                reasons.append({"Code": "None"})
            except EngineError as exc:
                if exc.code == "ConditionalCheckFailedException":
                    reasons.append({"Code": "ConditionalCheckFailed"})
                else:
                    reasons.append({"Code": "ValidationError"})
        _check_batch([_place(r.get("Key") or r["Item"], whole="Item" in r) for p in parts for r in p.values()], 100)
        if any(reason["Code"] != "None" for reason in reasons):
            raise EngineError("TransactionCanceledException", "cancelled", CancellationReasons=reasons)
        return changes

    def _transacted(self, kind: str, request: Request) -> tuple[Place, Item | None] | None:
        if kind == "Update":
            place, _, new, _ = self._updated(request)
            _check_item(new)
            return place, new
        place = _place(request["Item"], whole=True) if kind == "Put" else _place(request["Key"])
        _check_condition(request, self.items.get(place))
        if kind == "ConditionCheck":
            return None
        return place, dict(request["Item"]) if kind == "Put" else None

    def _read(self, place: Place, request: Request) -> Item | None:
        if self._as_of is None or request.get("ConsistentRead"):
            return self.items.get(place)
        return self.items.get_as_of(place, self._as_of)

    def _store(self, place: Place, old: Item | None, new: Item | None) -> None:
        if new is not None:
            _check_item(new)
        self.items.set(place, new)
        self.index.follow(place, old, new)

    def _check_table(self, request: Request) -> None:
        if request.get("TableName") != self.table_name:
            raise EngineError("ResourceNotFoundException", "Cannot do operations on a non-existent table")


def _place(key: Item, *, whole: bool = False) -> Place:
    try:
        place = key[PK]["S"], key[SK]["S"]
    except KeyError as exc:
        raise invalid("The provided key element does not match the schema") from exc
    if (not whole and len(key) != 2) or not all(place):
        raise invalid("The provided key element does not match the schema")
    return place


def _placeholders(request: Request) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    return request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})


def _projected(item: Item, request: Request) -> Item:
    text = request.get("ProjectionExpression")
    if text is None:
        return item
    names = request.get("ExpressionAttributeNames", {})
    found = {}
    for path in parse_projection(text):
        value = value_at(item, path, names)
        if value is not None:
            found[named(str(path.steps[0]), names)] = value
    return found


def _check_condition(request: Request, item: Item | None) -> None:
    text = request.get("ConditionExpression")
    if text is None or condition(text)(item or {}, *_placeholders(request)):
        return
    wants_item = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    more = {"Item": item} if wants_item and item is not None else {}
    raise EngineError("ConditionalCheckFailedException", "The conditional request failed", **more)


def _check_item(item: Item) -> None:
    for name in (INDEX_PK, INDEX_SK):
        if name in item and not item[name].get("S"):
            raise invalid(f"One or more parameter values were invalid: Type mismatch for Index Key {name}")
    if item_bytes(item, MAX_ITEM_BYTES) > MAX_ITEM_BYTES:
        raise invalid("Item size to update has exceeded the maximum allowed size")


def _check_batch(places: Sequence[Place], limit: int) -> None:
    if not 1 <= len(places) <= limit:
        raise invalid("Too many items requested")
    if len(set(places)) < len(places):
        raise invalid("Provided list of item keys contains duplicates")


def _batch_change(write: Request) -> tuple[Place, Item | None]:
    if "PutRequest" in write:
        item = write["PutRequest"]["Item"]
        return _place(item, whole=True), dict(item)
    return _place(write["DeleteRequest"]["Key"]), None


def _returned(wanted: str, old: Item, new: Item, touched: Mapping[str, bool]) -> Answer:
    if wanted == "NONE":
        return {}
    source = old if wanted.endswith("OLD") else new
    found = source if wanted.startswith("ALL") else {name: source[name] for name in touched if name in source}
    return {"Attributes": dict(found)} if found else {}


def _page(found: Sequence[Item], request: Request) -> tuple[Sequence[Item], Item | None]:
    """Return the items of one page, and the last of them if more may follow."""
    limit, size_bytes = request.get("Limit"), 0
    for count, item in enumerate(found, 1):
        size_bytes += item_bytes(item, MAX_PAGE_BYTES)
        if count == limit or size_bytes > MAX_PAGE_BYTES:
            return found[:count], item
    return found, None
