"""The engine in memory answers as DynamoDB Local does: the same operations on both, the same answers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from chainlit_dynamodb.ops.create_table import create_table
from chainlit_dynamodb.schema import INDEX_NAME
from chainlit_dynamodb.testing.simulation.engine import Engine, EngineError
from tests.conftest import REGION

NAMES = ("a", "b", "c", "s", "id", "name", "UserThreadPK", "UserThreadSK", "PK")
PKS = ("p1", "p2")
SKS = ("THREAD", "STEP#1", "STEP#1\x1fx", "STEP#2", "STEP#é", "ELEMENT#1")

Operation = tuple[str, dict[str, Any]]

texts = st.sampled_from(["", "x", "xy", "é", "THREAD"]).map(lambda text: {"S": text})
numbers = st.sampled_from(["0", "1", "-2.5", "10"]).map(lambda number: {"N": number})
sets = st.sets(st.sampled_from(["x", "y", "z"]), min_size=1).map(lambda members: {"SS": sorted(members)})
flat = texts | numbers | sets | st.just({"BOOL": True}) | st.just({"NULL": True}) | st.just({"B": "AAE="})
documents = st.lists(flat, max_size=2).map(lambda inner: {"L": inner}) | st.dictionaries(
    st.sampled_from(["x", "y"]), flat, max_size=2
).map(lambda inner: {"M": inner})
values = flat | documents
names = st.sampled_from(NAMES[:6])
keys = st.builds(lambda pk, sk: {"PK": {"S": pk}, "SK": {"S": sk}}, st.sampled_from(PKS), st.sampled_from(SKS))


class Written:
    """An expression, its names and its values."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def name(self, name: str) -> str:
        for short, known in self.names.items():
            if known == name:
                return short
        short = f"#{len(self.names)}"
        self.names[short] = name
        return short

    def value(self, value: Any) -> str:
        short = f":{len(self.values)}"
        self.values[short] = value
        return short

    def request(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.names:
            found["ExpressionAttributeNames"] = self.names
        if self.values:
            found["ExpressionAttributeValues"] = self.values
        return found


def a_condition(draw: Any, written: Written, depth: int = 0) -> str:
    kinds = ["exists", "missing", "compare", "compare", "begins_with", "contains", "size"]
    kind = draw(st.sampled_from(kinds + (["and", "or", "not"] if depth < 2 else [])))
    if kind in ("and", "or"):
        left, right = a_condition(draw, written, depth + 1), a_condition(draw, written, depth + 1)
        return f"({left}) {kind.upper()} ({right})"
    if kind == "not":
        return f"NOT ({a_condition(draw, written, depth + 1)})"
    path = written.name(draw(st.sampled_from(NAMES)))
    if kind == "exists":
        return f"attribute_exists({path})"
    if kind == "missing":
        return f"attribute_not_exists({path})"
    if kind == "begins_with":
        return f"begins_with({path}, {written.value({'S': 'x'})})"
    if kind == "contains":
        return f"contains({path}, {written.value({'S': 'x'})})"
    operator = draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">="]))
    if kind == "size":
        return f"size({path}) {operator} {written.value({'N': '2'})}"
    comparable = values if operator in ("=", "<>") else texts | numbers
    return f"{path} {operator} {written.value(draw(comparable))}"


def an_update(draw: Any, written: Written) -> str:
    free = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    clauses: dict[str, list[str]] = {"SET": [], "REMOVE": [], "ADD": [], "DELETE": []}
    for name in free:
        path, verb = written.name(name), draw(st.sampled_from(["SET", "SET", "default", "REMOVE", "ADD", "DELETE"]))
        if verb == "REMOVE":
            clauses[verb].append(path)
        elif verb in ("ADD", "DELETE"):
            clauses[verb].append(f"{path} {written.value(draw(sets))}")
        else:
            value = written.value(draw(values))
            clauses["SET"].append(
                f"{path} = {value}" if verb == "SET" else f"{path} = if_not_exists({path}, {value})"
            )
    for index in draw(st.sampled_from([(), ("UserThreadPK", "UserThreadSK")])):
        clauses["SET"].append(f"{written.name(index)} = {written.value({'S': draw(st.sampled_from(['u', 'v']))})}")
    return " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items() if parts)


@st.composite
def an_update_item(draw: Any) -> Operation:
    written = Written()
    request: dict[str, Any] = {"Key": draw(keys)}
    if draw(st.booleans()) or draw(st.booleans()):
        request["UpdateExpression"] = an_update(draw, written)
    if draw(st.booleans()):
        request["ConditionExpression"] = a_condition(draw, written)
        request["ReturnValuesOnConditionCheckFailure"] = draw(st.sampled_from(["NONE", "ALL_OLD"]))
    returned = ["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"]
    return "UpdateItem", {**request, **written.request(), "ReturnValues": draw(st.sampled_from(returned))}


@st.composite
def a_delete_item(draw: Any) -> Operation:
    written = Written()
    request: dict[str, Any] = {"Key": draw(keys), "ReturnValues": draw(st.sampled_from(["NONE", "ALL_OLD"]))}
    if draw(st.booleans()):
        request["ConditionExpression"] = a_condition(draw, written)
    return "DeleteItem", {**request, **written.request()}


@st.composite
def a_put_item(draw: Any) -> Operation:
    written = Written()
    request: dict[str, Any] = {"Item": {**draw(st.dictionaries(names, values, max_size=3)), **draw(keys)}}
    if draw(st.booleans()):
        request["ConditionExpression"] = a_condition(draw, written)
    return "PutItem", {**request, **written.request()}


@st.composite
def a_read(draw: Any) -> Operation:
    request: dict[str, Any] = {"ConsistentRead": True}
    if draw(st.booleans()):
        some = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
        written = Written()
        request["ProjectionExpression"] = ", ".join(map(written.name, some))
        request |= written.request()
    if draw(st.booleans()):
        return "GetItem", {"Key": draw(keys), **request}
    return "BatchGetItem", {"RequestItems": {"?": {"Keys": draw(st.lists(keys, min_size=1, max_size=3)), **request}}}


@st.composite
def a_query(draw: Any) -> Operation:
    written = Written()
    on_index = draw(st.booleans())
    pk, sk = ("UserThreadPK", "UserThreadSK") if on_index else ("PK", "SK")
    place = draw(st.sampled_from(["u", "v"])) if on_index else draw(st.sampled_from(PKS))
    text = f"{written.name(pk)} = {written.value({'S': place})}"
    if draw(st.booleans()):
        prefix = draw(st.sampled_from(["STEP#", "STEP#1", "THREAD", "u"]))
        text = f"({text}) AND (begins_with({written.name(sk)}, {written.value({'S': prefix})}))"
    request: dict[str, Any] = {"KeyConditionExpression": text, **written.request()}
    if on_index:
        request["IndexName"] = INDEX_NAME
    if draw(st.booleans()):
        request["ScanIndexForward"] = False
    if draw(st.booleans()):
        request["Limit"] = draw(st.integers(1, 3))
    return "Query", request


@st.composite
def a_batch_write(draw: Any) -> Operation:
    some = draw(st.lists(keys, min_size=1, max_size=3))
    writes = [{"DeleteRequest": {"Key": key}} for key in some]
    return "BatchWriteItem", {"RequestItems": {"?": writes}}


@st.composite
def a_transaction(draw: Any) -> Operation:
    parts = []
    places = draw(st.lists(keys, min_size=1, max_size=3, unique_by=repr))  # one place twice: AWS and Local differ
    for key in places:
        operation, request = draw(an_update_item() | a_delete_item())
        request["Key"] = key
        for name in ("ReturnValues", "ReturnValuesOnConditionCheckFailure"):
            request.pop(name, None)
        if operation == "UpdateItem" and "UpdateExpression" not in request:
            continue
        parts.append({operation.removesuffix("Item"): request})
    assume(parts)
    return "TransactWriteItems", {"TransactItems": parts, "ClientRequestToken": draw(st.sampled_from(["t1", "t2"]))}


operations = st.lists(
    an_update_item()
    | an_update_item()
    | a_delete_item()
    | a_put_item()
    | a_read()
    | a_query()
    | a_batch_write()
    | a_transaction(),
    min_size=1,
    max_size=12,
)


class Pair:
    """DynamoDB Local and the engine, with the same in them."""

    def __init__(self, client: Any, table: str) -> None:
        self.client = client
        self.table = table
        self.engine = Engine(self.table, lambda: 0.0)
        self._tokens = uuid.uuid4().hex

    def both(self, operation: str, request: dict[str, Any]) -> tuple[Any, Any]:
        """Do an operation on both and return what both answer."""
        request = self._addressed(operation, request)
        return self._local(operation, request), self._ours(operation, request)

    def has_equals(self, operation: str, request: dict[str, Any]) -> bool:
        """Return whether a query of the index finds equal sort keys: nothing says in which order they come."""
        if operation != "Query" or "IndexName" not in request:
            return False
        whole = {name: value for name, value in request.items() if name != "Limit"}
        found = [
            item["UserThreadSK"]["S"] for item in self._ours(operation, self._addressed(operation, whole))["Items"]
        ]
        return len(set(found)) < len(found)

    def _addressed(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if "RequestItems" in request:
            return {"RequestItems": {self.table: request["RequestItems"]["?"]}}
        if operation != "TransactWriteItems":
            return {"TableName": self.table, **request}
        parts = [
            {kind: {"TableName": self.table, **inner} for kind, inner in p.items()} for p in request["TransactItems"]
        ]
        return {"TransactItems": parts, "ClientRequestToken": (request["ClientRequestToken"] + self._tokens)[:36]}

    def _local(self, operation: str, request: dict[str, Any]) -> Any:
        method = "".join(f"_{c.lower()}" if c.isupper() else c for c in operation)[1:]
        try:
            answer = getattr(self.client, method)(**_with_bytes(request))
        except ClientError as exc:
            error = exc.response
            reasons = [reason["Code"] for reason in error.get("CancellationReasons", ())]
            return _Refusal(error["Error"]["Code"], reasons, _plain(error.get("Item")))
        return _comparable(_plain({name: value for name, value in answer.items() if name != "ResponseMetadata"}))

    def _ours(self, operation: str, request: dict[str, Any]) -> Any:
        import json

        try:
            return _comparable(_plain(self.engine.execute(operation, request)))
        except EngineError as exc:
            body = json.loads(exc.body)
            reasons = [reason["Code"] for reason in body.get("CancellationReasons", ())]
            return _Refusal(exc.code, reasons, _plain(body.get("Item")))


class _Refusal:
    def __init__(self, code: str, reasons: list[str], item: Any) -> None:
        self.code, self.reasons, self.item = code, reasons, item

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Refusal) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(self.code)

    def __repr__(self) -> str:
        return f"{self.code} {self.reasons} {self.item}"


def _with_bytes(value: Any) -> Any:
    if isinstance(value, dict):
        if value == {"B": "AAE="}:
            return {"B": b"\0\1"}
        return {name: _with_bytes(inner) for name, inner in value.items()}
    return [_with_bytes(inner) for inner in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) in ({"SS"}, {"NS"}):
            return {kind: sorted(members) for kind, members in value.items()}
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (bytes, bytearray)):
        return "AAE="
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _comparable(answer: Any) -> Any:
    """Leave out what is said of nothing, and the order in which a batch is answered."""
    found = {
        name: value
        for name, value in answer.items()
        if name not in ("ScannedCount", "ConsumedCapacity") and value != {}
    }
    if "Responses" in found:
        ((_, items),) = found["Responses"].items()
        found["Responses"] = sorted(items, key=repr)
        if not items:
            del found["Responses"]
    return found


@pytest.fixture(scope="module")
def client(dynamodb_local_url: str) -> Any:
    unchecked = Config(parameter_validation=False)
    session = botocore.session.Session()
    return session.create_client("dynamodb", region_name=REGION, endpoint_url=dynamodb_local_url, config=unchecked)


@pytest.fixture(scope="module")
def table(client: Any) -> Iterator[str]:
    name = f"sim-{uuid.uuid4().hex}"
    create_table(client, name)
    yield name
    client.delete_table(TableName=name)


def empty(client: Any, table: str) -> None:
    places = [{"PK": {"S": pk}, "SK": {"S": sk}} for pk in PKS for sk in SKS]
    client.batch_write_item(RequestItems={table: [{"DeleteRequest": {"Key": place}} for place in places]})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(operations=operations)
def test_the_same_operations_have_the_same_answers(client: Any, table: str, operations: list[Operation]) -> None:
    empty(client, table)
    pair = Pair(client, table)
    for operation, request in operations:
        if not pair.has_equals(operation, request):
            local, ours = pair.both(operation, request)
            assert ours == local, f"{operation} {request}"
    local, ours = {}, {}
    for pk in PKS:
        local[pk], ours[pk] = pair.both("Query", _whole(pk))
    assert ours == local


def _whole(pk: str) -> dict[str, Any]:
    return {
        "KeyConditionExpression": "#0 = :0",
        "ExpressionAttributeNames": {"#0": "PK"},
        "ExpressionAttributeValues": {":0": {"S": pk}},
        "ConsistentRead": True,
    }
