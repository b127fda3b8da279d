"""Content that is sealed: nothing of it in the table, its keys, their owners, and what happens when they go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from chainlit.types import Feedback
from chainlit.user import User

from chainlit_dynamodb import CipherError, LocalKeys
from chainlit_dynamodb.dynamodb.packing import UNREADABLE
from chainlit_dynamodb.limits import COMMENT_CHARS
from chainlit_dynamodb.rows import cipher as sealing
from chainlit_dynamodb.schema import LEFT_OPEN
from chainlit_dynamodb.testing.transports import Counting
from tests.contract.chats import (
    ids,
    listed,
    message,
    page_of,
    sealed_only,
    start_thread,
    steps_of,
    tool,
)
from tests.contract.sealed import MARK, noise, tell_everything
from tests.wiring import wrap

pytestmark = sealed_only

SEALED_MAGIC = b"\x00cds"
Raw = Callable[[], list[dict[str, Any]]]


def entries_of(client: Any, table: str) -> list[dict[str, Any]]:
    """Scan the index."""
    found: list[dict[str, Any]] = client.scan(TableName=table, IndexName="UserThread")["Items"]
    return found


def in_the_clear(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the attributes of a raw row that are not sealed, feedback taken apart."""
    for name, value in row.items():
        inside = value["M"].items() if name == "feedback" else [(name, value)]
        yield from ((n, v) for n, v in inside if not v.get("B", b"").startswith(SEALED_MAGIC))


async def test_no_word_of_a_chat_is_in_the_table_nor_in_its_index(
    layer: Any, rows: Raw, dynamodb_client: Any, table_name: str, key_table: str
) -> None:
    await tell_everything(layer)
    keys = dynamodb_client.scan(TableName=key_table)["Items"]
    dump = [*rows(), *entries_of(dynamodb_client, table_name), *keys]
    assert len(dump) > 10
    assert {row["SK"]["S"].partition("#")[0].partition("\x1f")[0] for row in dump} == {
        "USER",
        "THREAD",
        "STEP",
        "ELEMENT",
        "FEEDBACK",
        "KEY",
    }
    assert MARK not in repr(dump)


async def test_all_that_is_left_open_are_keys_ids_times_types_and_flags(layer: Any, rows: Raw) -> None:
    await tell_everything(layer)
    empty: tuple[Any, ...] = ({"S": ""}, {"M": {}}, {"L": []}, {"NULL": True}, {"BOOL": True}, {"BOOL": False})
    left_open = {name for row in rows() for name, value in in_the_clear(row) if value not in empty}
    assert left_open <= LEFT_OPEN | {"value"}


async def test_what_was_told_is_read(layer: Any, make_layer: Any) -> None:
    await tell_everything(layer)
    for reader in (layer, make_layer()):
        thread = await reader.get_thread("t1")
        step = next(step for step in thread["steps"] if step["id"] == "s1")
        assert (step["output"], step["metadata"][MARK]) == (MARK + noise(300_000) + "!", MARK + noise(300_000))
        comment = (MARK + noise(300_000))[:COMMENT_CHARS]
        assert (step["ours"], step["tags"], step["feedback"]["comment"]) == (MARK, [MARK], comment)
        assert (await steps_of(reader))["s2"]["count"] == 12345.5
        assert thread["name"] == (MARK + noise(300_000))[:5_000]
        assert thread["metadata"][MARK] == MARK + noise(300_000)
        assert [element["props"] for element in thread["elements"] if element["type"] == "custom"] == [
            {MARK: MARK + noise(300_000)}
        ]
        assert (await reader.get_user("alice")).metadata == {MARK: MARK}
        assert ids(await reader.get_favorite_steps("alice")) == ["s1"]
        assert await listed(reader, search=f"{MARK}{MARK}") == ["t1"]
        assert await listed(reader, feedback=1) == ["t1"]


async def test_a_row_written_before_the_cipher_is_read_and_changed(
    make_layer: Any, rows: Raw, dynamodb_client: Any
) -> None:
    plain, layer = make_layer(cipher=None), make_layer()
    await start_thread(plain, name="before")
    await plain.create_step(message("s1", output="before"))
    await plain.upsert_feedback(Feedback(forId="s1", threadId="t1", value=1, comment="before"))
    assert (await steps_of(layer))["s1"]["output"] == "before"
    await layer.upsert_feedback(Feedback(forId="s1", threadId="t1", value=0, comment="after"))
    await layer.update_step(message("s1", output="after"))
    await layer.update_thread("t1", metadata={"is": "after"})
    step = (await steps_of(layer))["s1"]
    assert (step["output"], step["feedback"]["comment"], step["feedback"]["value"]) == ("after", "after", 0)
    assert (await layer.get_thread("t1"))["metadata"] == {"is": "after"}
    assert "after" not in repr(rows())


async def test_feedback_is_changed_and_deleted_though_a_comment_never_seals_to_the_same(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    told: list[tuple[Literal[0, 1], str | None]] = [(1, "good"), (1, "very good"), (0, "very good"), (0, None)]
    for value, comment in told:
        given = Feedback(forId="s1", threadId="t1", value=value, comment=comment)
        feedback_id = await layer.upsert_feedback(given)
        stored = (await steps_of(layer))["s1"]["feedback"]
        assert (stored["value"], stored["comment"]) == (value, comment)
        assert await listed(layer, feedback=value) == ["t1"]
        assert await listed(layer, feedback=1 - value) == []
    assert await layer.delete_feedback(feedback_id)
    assert await listed(layer, feedback=0) == []


async def test_metadata_that_changes_nothing_is_not_written_again(layer: Any) -> None:
    await start_thread(layer)
    await layer.update_thread("t1", metadata={"a": "b" * 20_000})
    counting = wrap(layer, Counting)
    await layer.update_thread("t1", metadata={"a": "b" * 20_000})
    assert counting.counts["UpdateItem"] == 0


async def test_parts_of_a_value_go_when_it_is_replaced(layer: Any, rows: Raw) -> None:
    await start_thread(layer)
    for text in (noise(600_000), noise(700_000), "short"):
        await layer.update_step(message("s1", output=text))
        assert (await steps_of(layer))["s1"]["output"] == text
    assert [row["SK"]["S"] for row in rows()] == ["STEP#s1", "THREAD"]


async def test_a_write_costs_no_request_more_once_the_key_is_known(layer: Any) -> None:
    await start_thread(layer)
    counting = wrap(layer, Counting)
    await layer.create_step(tool("s1"))
    await layer.get_thread("t1")
    assert counting.counts == {"UpdateItem": 1, "Query": 1}


async def test_a_cold_process_reads_the_keys_of_a_chat_and_of_its_owner(layer: Any, make_layer: Any) -> None:
    await start_thread(layer)
    other = make_layer()
    counting = wrap(other, Counting)
    await other.get_thread("t1")
    assert counting.counts == {"Query": 1, "BatchGetItem": 2}


async def test_another_key_file_is_a_clear_error(make_layer: Any, tmp_path: Path, key_table: str) -> None:
    await start_thread(make_layer())
    other = make_layer(cipher=LocalKeys(tmp_path / "other", key_table=key_table))
    with pytest.raises(CipherError, match="Was the file made anew"):
        await other.get_thread("t1")


async def test_sealed_rows_without_a_cipher_are_a_clear_error(layer: Any, make_layer: Any) -> None:
    await layer.create_user(User("alice", metadata={"a": "b"}))
    await start_thread(layer)
    await layer.create_step(message("s1"))
    plain = make_layer(cipher=None)
    for call in (plain.get_thread("t1"), plain.get_user("alice"), page_of(plain), page_of(plain, search="chat")):
        with pytest.raises(CipherError, match="Pass the cipher="):
            await call


def change(client: Any, table: str, pk: str, sk: str, **attributes: Any) -> None:
    """Overwrite attributes of a raw row."""
    client.update_item(
        TableName=table,
        Key={"PK": {"S": pk}, "SK": {"S": sk}},
        UpdateExpression="SET " + ", ".join(f"#{n} = :{n}" for n in attributes),
        ExpressionAttributeNames={f"#{n}": n for n in attributes},
        ExpressionAttributeValues={f":{n}": v for n, v in attributes.items()},
    )


@pytest.fixture
async def two_steps(layer: Any, rows: Raw) -> dict[str, dict[str, Any]]:
    """The raw rows of two steps."""
    await start_thread(layer)
    for step_id in ("s1", "s2"):
        await layer.create_step(tool(step_id, input=f"in {step_id}", output=f"out {step_id}"))
    return {row["SK"]["S"]: row for row in rows()}


@pytest.mark.parametrize(("row", "attribute"), [("STEP#s2", "output"), ("STEP#s1", "input"), ("THREAD", "name")])
async def test_what_was_moved_to_another_place_is_refused(
    layer: Any,
    two_steps: Any,
    dynamodb_client: Any,
    table_name: str,
    caplog: pytest.LogCaptureFixture,
    row: str,
    attribute: str,
) -> None:
    change(dynamodb_client, table_name, "THREAD#t1", "STEP#s1", output=two_steps[row][attribute])
    steps = await steps_of(layer)
    assert (steps["s1"]["output"], steps["s2"]["output"]) == (UNREADABLE, "out s2")
    assert "THREAD#t1 STEP#s1: output was changed or moved" in caplog.text


async def test_a_value_of_another_chat_is_not_there(
    layer: Any, two_steps: Any, dynamodb_client: Any, table_name: str
) -> None:
    await start_thread(layer, "t2")
    await layer.create_step(tool("s1", "t2"))
    change(dynamodb_client, table_name, "THREAD#t2", "STEP#s1", output=two_steps["STEP#s1"]["output"])
    assert await steps_of(layer, "t2") == {}


@pytest.mark.parametrize("at", [8, 20, -1])
async def test_what_was_changed_is_refused(
    layer: Any, two_steps: Any, dynamodb_client: Any, table_name: str, at: int
) -> None:
    data = bytearray(two_steps["STEP#s1"]["output"]["B"])
    data[at] ^= 1
    change(dynamodb_client, table_name, "THREAD#t1", "STEP#s1", output={"B": bytes(data)})
    assert (await steps_of(layer))["s1"]["output"] == UNREADABLE


async def test_what_was_cut_off_is_refused(layer: Any, two_steps: Any, dynamodb_client: Any, table_name: str) -> None:
    for length in (4, 8, 15, 30):
        data = two_steps["STEP#s1"]["output"]["B"][:length]
        change(dynamodb_client, table_name, "THREAD#t1", "STEP#s1", output={"B": data})
        assert (await steps_of(layer)).get("s1", {"output": UNREADABLE})["output"] == UNREADABLE


@pytest.mark.usefixtures("two_steps")
async def test_the_key_of_another_chat_is_refused(
    layer: Any, make_layer: Any, dynamodb_client: Any, key_table: str
) -> None:
    await start_thread(layer, "t2")
    keys = {row["PK"]["S"]: row for row in dynamodb_client.scan(TableName=key_table)["Items"]}
    change(dynamodb_client, key_table, "KEY#THREAD#t1", "KEY", _key=keys["KEY#THREAD#t2"]["_key"])
    with pytest.raises(CipherError, match="changed or moved"):
        await make_layer().get_thread("t1")


async def test_a_given_client_takes_what_is_sealed(
    make_layer: Any, dynamodb_client: Any, table_name: str, key_table: str, rows: Raw
) -> None:
    layer = make_layer(client=dynamodb_client)
    await tell_everything(layer)
    assert MARK not in repr(rows())
    assert (await steps_of(make_layer()))["s2"]["output"] == MARK == (await steps_of(layer))["s2"]["output"]


async def test_wrapped_keys_may_lie_in_the_table_of_the_chats(make_layer: Any, tmp_path: Path) -> None:
    layer = make_layer(cipher=LocalKeys(tmp_path / "keys"))
    await tell_everything(layer)
    assert len((await make_layer(cipher=LocalKeys(tmp_path / "keys")).get_thread("t1"))["steps"]) == 2


async def test_large_values_are_sealed_and_opened_off_the_event_loop(
    layer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop_thread, threads = threading.get_ident(), set[int]()
    seal, open_all = sealing._seal, sealing._open_all

    def noting(function: Any, *args: Any) -> Any:
        threads.add(threading.get_ident())
        return function(*args)

    await start_thread(layer)
    monkeypatch.setattr(sealing, "_seal", partial(noting, seal))
    monkeypatch.setattr(sealing, "_open_all", partial(noting, open_all))
    await layer.create_step(message("s1", output=noise(1_000_000), input="x"))
    await layer.get_thread("t1")
    assert threads - {loop_thread}
