"""The check of the soak finds what it looks for: each kind of damage, done by hand, is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chainlit.types import Feedback

from chainlit_dynamodb import DynamoDBDataLayer
from tests.contract.chats import ALICE, message, start_thread
from tests.reliability.conftest import Rows, dynamodb_local
from tests.soak.check import Checker, records_of
from tests.soak.content import content
from tests.soak.ledger import Entry, Ledger, What, read_ledgers

pytestmark = dynamodb_local

Tell = Callable[..., None]
Check = Callable[[], Any]


def opinion(comment: str) -> Any:
    return Feedback(forId="s1", threadId="t1", value=1, comment=comment)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger of one process."""
    return Ledger(tmp_path / "p0.ledger")


@pytest.fixture
def tell(ledger: Ledger) -> Tell:
    """Note a write as asked and, unless told otherwise, as acknowledged."""

    def note(what: What, key: str = "", number: int = 0, *, thread: str = "t1", acknowledged: bool = True) -> None:
        for state in (False, True)[: 1 + acknowledged]:
            ledger.note(Entry(state, what, ALICE.identifier, thread, key, number))

    return note


@pytest.fixture
def check(layer: DynamoDBDataLayer, rows: Rows, tmp_path: Path) -> Check:
    """Check the table against the ledgers."""

    async def run() -> dict[str, int]:
        def raw(thread_id: str) -> list[dict[str, Any]]:
            return [row for row in rows() if row["PK"]["S"] == f"THREAD#{thread_id}"]

        checker = Checker(layer, raw)
        await checker.check(records_of(read_ledgers(tmp_path)))
        return dict(checker.findings)

    return run


@pytest.fixture
async def a_sound_chat(layer: DynamoDBDataLayer, tell: Tell) -> None:
    """A chat in which everything that was acknowledged is there."""
    await start_thread(layer)
    tell("thread")
    for number in range(3):
        await layer.update_step(message("s1", output=content("s1", number)))
        tell("step", "s1", number)
    await layer.update_thread("t1", metadata={"turn 0": 0})
    tell("metadata", "turn 0", 0)
    await layer.upsert_feedback(opinion("1"))
    tell("feedback", "s1", 1)
    await layer.create_step(message("s2", output=content("s2", 0)))
    tell("step", "s2", 0)
    await layer.delete_step("s2")
    tell("step deletion", "s2")


@pytest.fixture
def spoil(dynamodb_client: Any, table_name: str, rows: Rows) -> Callable[..., None]:
    """Change a row behind the layer's back, or take it away."""

    def change(sk: str, **attributes: Any) -> None:
        (row,) = (row for row in rows() if row["SK"]["S"] == sk)
        key = {name: row[name] for name in ("PK", "SK")}
        dynamodb_client.delete_item(TableName=table_name, Key=key)
        if attributes:
            kept = {**row, **attributes}
            item = {name: value for name, value in kept.items() if value is not None}
            dynamodb_client.put_item(TableName=table_name, Item=item)

    return change


@pytest.mark.usefixtures("a_sound_chat")
async def test_nothing_is_found_where_nothing_is_wrong(check: Check) -> None:
    assert await check() == {}


@pytest.mark.usefixtures("a_sound_chat")
async def test_what_was_asked_but_never_acknowledged_may_be_missing(check: Check, tell: Tell) -> None:
    tell("step", "s3", acknowledged=False)
    tell("step", "s1", 3, acknowledged=False)
    tell("thread", thread="t2", acknowledged=False)
    assert await check() == {}


@pytest.mark.usefixtures("a_sound_chat")
async def test_a_missing_step_is_lost(check: Check, spoil: Callable[..., None]) -> None:
    spoil("STEP#s1")
    assert await check() == {"lost": 1}


@pytest.mark.usefixtures("a_sound_chat")
async def test_a_missing_chat_is_lost_from_the_table_and_from_the_list(check: Check, tell: Tell) -> None:
    tell("thread", thread="t2")
    assert await check() == {"lost": 2}


@pytest.mark.usefixtures("a_sound_chat")
@pytest.mark.parametrize("metadata", [{"M": {}}, {"M": {"turn 0": {"N": "7"}}}])
async def test_missing_metadata_is_lost(check: Check, spoil: Callable[..., None], metadata: Any) -> None:
    spoil("THREAD", metadata=metadata)
    assert await check() == {"lost": 1}


@pytest.mark.usefixtures("a_sound_chat")
async def test_missing_feedback_is_lost(check: Check, spoil: Callable[..., None]) -> None:
    spoil("STEP#s1", feedback=None)
    assert await check() == {"lost": 1}


@pytest.mark.usefixtures("a_sound_chat")
async def test_an_older_comment_is_lost_feedback(check: Check, tell: Tell) -> None:
    tell("feedback", "s1", 2)
    assert await check() == {"lost": 1}


@pytest.mark.usefixtures("a_sound_chat")
async def test_an_older_text_is_out_of_order(check: Check, spoil: Callable[..., None]) -> None:
    spoil("STEP#s1", output={"S": content("s1", 1)})
    assert await check() == {"out of order": 1}


@pytest.mark.usefixtures("a_sound_chat")
@pytest.mark.parametrize("text", ["", "2|", content("s1", 2)[:-1], content("s2", 2), content("s1", 7)])
async def test_a_text_nobody_wrote_is_damaged(check: Check, spoil: Callable[..., None], text: str) -> None:
    spoil("STEP#s1", output={"S": text})
    assert await check() == {"damaged": 1}


@pytest.mark.usefixtures("a_sound_chat")
async def test_a_deleted_step_that_is_there_is_not_deleted(
    check: Check, dynamodb_client: Any, table_name: str
) -> None:
    step = {"type": "user_message", "createdAt": "2026-11-01T10:00:00.000000Z", "output": content("s2", 0)}
    row = {"PK": "THREAD#t1", "SK": "STEP#s2", **step}
    dynamodb_client.put_item(TableName=table_name, Item={name: {"S": value} for name, value in row.items()})
    assert await check() == {"not deleted": 1}


@pytest.mark.usefixtures("a_sound_chat")
async def test_a_row_that_a_deleted_chat_has_left_is_not_deleted(
    check: Check, tell: Tell, layer: Any, dynamodb_client: Any
) -> None:
    await layer.delete_thread("t1")
    tell("thread deletion")
    assert await check() == {}
    late = {"PK": {"S": "THREAD#t1"}, "SK": {"S": "STEP#s1"}, "output": {"S": "late"}}
    dynamodb_client.put_item(TableName=layer.table_name, Item=late)
    assert await check() == {"not deleted": 1}


@pytest.mark.usefixtures("a_sound_chat")
async def test_a_deleted_chat_that_is_whole_is_not_deleted(check: Check, tell: Tell) -> None:
    tell("thread deletion")
    found = await check()
    assert found.pop("not deleted") >= 2
    assert found == {}


@pytest.mark.usefixtures("a_sound_chat")
async def test_a_step_or_a_chat_that_is_there_twice_is_duplicated(
    check: Check,
    layer: DynamoDBDataLayer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, page = layer.get_thread, layer.list_threads

    async def twice(thread_id: str) -> Any:
        thread: Any = await read(thread_id)
        return {**thread, "steps": thread["steps"] * 2}

    async def listed_twice(*arguments: Any) -> Any:
        found = await page(*arguments)
        found.data = found.data * 2
        return found

    monkeypatch.setattr(layer, "get_thread", twice)
    monkeypatch.setattr(layer, "list_threads", listed_twice)
    assert await check() == {"duplicated": 2}
