"""create_element, get_element, delete_element: rows and files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chainlit.element import Audio, CustomElement, File, Image, Pdf, Task, TaskList, Text, Video

from chainlit_dynamodb.storage.local.signed_urls import FILES_PATH
from chainlit_dynamodb.testing.transports import Gated
from tests.contract.chats import (
    ALICE,
    BOB,
    assert_clean,
    enter_bot,
    enter_chat,
    ids,
    leave,
    living,
    message,
    one_engine,
    start_thread,
    stored,
)
from tests.wiring import wrap

Rows = Callable[[], list[dict[str, Any]]]
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32


def text(element_id: str = "e1", **fields: Any) -> Any:
    options = {"name": "a.txt", "content": "hello", "for_id": "s1", "thread_id": "t1", "mime": "text/plain", **fields}
    return Text(id=element_id, **options)


def custom(element_id: str = "e1", **fields: Any) -> Any:
    options = {"name": "Chart", "props": {"n": 3, "x": 0.5}, "for_id": "s1", "thread_id": "t1", **fields}
    return CustomElement(id=element_id, **options)


async def elements_of(layer: Any, thread_id: str = "t1") -> dict[str, Any]:
    return {element["id"]: element for element in (await layer.get_thread(thread_id))["elements"]}


async def content_of(storage: Any, url: str) -> bytes:
    """Read what a URL opens, as the server's route does."""
    digest = await storage.accepted_digest(url.removeprefix(f"{FILES_PATH}/"))
    assert digest is not None
    return bytes((await storage.find(digest)).path.read_bytes())


def contents(storage: Any) -> list[bytes]:
    """Give the contents of all files."""
    return [path.read_bytes() for path in storage.path.rglob("*") if path.is_file()]


CONTENTS: dict[str, Any] = {
    "text": lambda _: Text(id="e1", name="a", content="héllo", for_id="s1", thread_id="t1"),
    "bytes": lambda _: Image(id="e1", name="a.png", content=PNG, for_id="s1", thread_id="t1", mime="image/png"),
    "path": lambda tmp: File(id="e1", name="a.bin", path=str(tmp / "a.bin"), for_id="s1", thread_id="t1"),
}
EXPECTED = {"text": "héllo".encode(), "bytes": PNG, "path": b"from a file"}


@pytest.mark.parametrize("kind", CONTENTS)
async def test_content_is_stored_and_its_url_opens_it(layer: Any, storage: Any, tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.bin").write_bytes(b"from a file")
    await start_thread(layer)
    await layer.create_element(CONTENTS[kind](tmp_path))
    element = (await elements_of(layer))["e1"]
    assert_clean(element)
    assert await content_of(storage, element["url"]) == EXPECTED[kind]
    assert await content_of(storage, (await layer.get_element("t1", "e1"))["url"]) == EXPECTED[kind]


async def test_a_path_is_streamed_not_read_into_memory(
    layer: Any, storage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "big.bin").write_bytes(b"x" * 1000)
    given: list[Any] = []
    upload = storage.upload_file

    async def note(**arguments: Any) -> Any:
        given.append(arguments["data"])
        return await upload(**arguments)

    monkeypatch.setattr(storage, "upload_file", note)
    await start_thread(layer)
    await layer.create_element(File(id="e1", name="b", path=str(tmp_path / "big.bin"), for_id="s1", thread_id="t1"))
    (path,) = given
    assert isinstance(path, Path)


async def test_an_elements_url_is_kept_as_it_is(layer: Any, storage: Any) -> None:
    await start_thread(layer)
    await layer.create_element(Image(id="e1", name="x", url="https://example.org/x.png", for_id="s1", thread_id="t1"))
    assert (await elements_of(layer))["e1"]["url"] == "https://example.org/x.png"
    assert contents(storage) == []


async def test_a_custom_element_keeps_its_props(layer: Any, storage: Any) -> None:
    await start_thread(layer)
    await layer.create_element(custom())
    element = (await elements_of(layer))["e1"]
    assert (element["props"], element["type"], element["name"]) == ({"n": 3, "x": 0.5}, "custom", "Chart")
    assert type(element["props"]["n"]) is int
    assert contents(storage) == []


FIELDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "pdf": (lambda **o: Pdf(page=3, **o), {"type": "pdf", "page": 3, "mime": "application/pdf"}),
    "image": (lambda **o: Image(size="large", display="side", **o), {"size": "large", "display": "side"}),
    "audio": (lambda **o: Audio(auto_play=True, **o), {"type": "audio", "autoPlay": True}),
    "video": (lambda **o: Video(player_config={"youtube": {"x": 1}}, **o), {"playerConfig": {"youtube": {"x": 1}}}),
    "text": (lambda **o: Text(language="python", **o), {"type": "text", "language": "python"}),
}


@one_engine
@pytest.mark.parametrize("kind", FIELDS)
async def test_what_the_browser_reads_comes_back(layer: Any, kind: str) -> None:
    make, expected = FIELDS[kind]
    await start_thread(layer)
    await layer.create_element(make(id="e1", name="x", url="https://example.org", for_id="s1", thread_id="t1"))
    element = (await elements_of(layer))["e1"]
    assert_clean(element)
    assert element.items() >= expected.items()
    assert (element["forId"], element["threadId"], element["chainlitKey"]) == ("s1", "t1", None)


@one_engine
@pytest.mark.parametrize(("mime", "stored"), [(None, "application/octet-stream"), ("text/plain", "text/plain")])
async def test_a_mime_is_not_improved(
    layer: Any, monkeypatch: pytest.MonkeyPatch, storage: Any, mime: str | None, stored: str
) -> None:
    """Chainlit's browser side breaks on a data frame that calls itself application/json."""
    mimes: list[str] = []
    upload = storage.upload_file

    async def note(**arguments: Any) -> Any:
        mimes.append(arguments["mime"])
        return await upload(**arguments)

    monkeypatch.setattr(storage, "upload_file", note)
    await start_thread(layer)
    await layer.create_element(File(id="e1", name="a.json", content="{}", for_id="s1", thread_id="t1", mime=mime))
    assert mimes == [stored]


@one_engine
@pytest.mark.parametrize("for_id", ["", None])
async def test_an_element_for_no_message_is_not_kept(layer: Any, rows: Rows, for_id: str | None) -> None:
    await start_thread(layer)
    before = rows()
    await layer.create_element(text(for_id=for_id))
    tasks = TaskList(tasks=[Task(title="x")])
    tasks.thread_id, tasks.for_id = "t1", ""
    await layer.create_element(tasks)
    assert living(rows()) == before


async def test_an_element_may_come_before_its_step_and_thread(layer: Any) -> None:
    enter_bot("t1")
    await layer.create_element(text())
    await layer.create_step(message("s1"))
    await layer.update_thread("t1", name="late", user_id="alice")
    assert list(await elements_of(layer)) == ["e1"]


async def test_creating_again_is_an_update(layer: Any, storage: Any, rows: Rows) -> None:
    await start_thread(layer)
    await layer.create_element(text(content="first"))
    count = len(rows())
    await layer.create_element(text(content="second", name="b.txt"))
    element = (await elements_of(layer))["e1"]
    assert (element["name"], len(rows())) == ("b.txt", count)
    assert await content_of(storage, element["url"]) == b"second"
    assert b"first" not in contents(storage)


async def test_overlapping_updates_end_in_the_last_one(layer: Any) -> None:
    await start_thread(layer)
    gated = wrap(layer, lambda inner: Gated(inner, "UpdateItem"))
    writing = [asyncio.create_task(layer.create_element(custom(props={"n": n}))) for n in range(20)]
    await gated.arrived.wait()
    gated.gate.set()
    await asyncio.gather(*writing)
    assert (await elements_of(layer))["e1"]["props"] == {"n": 19}


async def test_what_changes_after_the_call_is_not_stored(layer: Any) -> None:
    await start_thread(layer)
    element = custom(props={"state": "then"})
    writing = asyncio.create_task(layer.create_element(element))
    await asyncio.sleep(0)
    element.props["state"] = "later"
    await writing
    assert (await elements_of(layer))["e1"]["props"] == {"state": "then"}


async def test_the_file_of_a_session_that_ends_at_once_is_kept(layer: Any, storage: Any, tmp_path: Path) -> None:
    """Chainlit deletes the session's folder right after the turn of a bot."""
    (tmp_path / "a.bin").write_bytes(b"short-lived")
    enter_bot("t1")
    gated = wrap(layer, lambda inner: Gated(inner, "GetItem"))
    element = File(id="e1", name="a.bin", path=str(tmp_path / "a.bin"), for_id="s1", thread_id="t1")
    writing = asyncio.create_task(layer.create_element(element))
    await gated.arrived.wait()
    (tmp_path / "a.bin").unlink()
    gated.gate.set()
    await writing
    assert b"short-lived" in contents(storage)


async def test_a_file_that_is_gone_costs_this_element_only(
    layer: Any, rows: Rows, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await start_thread(layer)
    before = rows()
    await layer.create_element(File(id="e1", name="a", path=str(tmp_path / "gone"), for_id="s1", thread_id="t1"))
    assert stored(rows()) == before
    assert [record.levelname for record in caplog.records if record.name == "chainlit.DynamoDB"] == ["ERROR"]


async def test_without_storage_files_are_not_kept(
    make_layer: Any, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    layer = make_layer(storage_provider=None)
    await start_thread(layer)
    before = rows()
    await layer.create_element(text("e1"))
    await layer.create_element(text("e2"))
    assert living(rows()) == before
    assert len([r for r in caplog.records if "storage_provider=" in r.message]) == 1


async def test_without_storage_custom_and_url_elements_are_kept(make_layer: Any) -> None:
    layer = make_layer(storage_provider=None)
    await start_thread(layer)
    await layer.create_element(custom("e1"))
    await layer.create_element(Image(id="e2", name="x", url="https://example.org/x.png", for_id="s1", thread_id="t1"))
    elements = await elements_of(layer)
    assert sorted(elements) == ["e1", "e2"]
    assert elements["e2"]["url"] == "https://example.org/x.png"


async def test_get_element_of_an_unknown_one_is_none(layer: Any) -> None:
    await start_thread(layer)
    assert await layer.get_element("t1", "unknown") is None
    assert await layer.get_element("unknown", "e1") is None


@one_engine
@pytest.mark.parametrize(("thread_id", "element_id"), [("", ""), ("t1", ""), ("a\nb", "e1"), ("t1", "x" * 3000)])
async def test_get_element_of_an_id_that_cannot_be_is_none(layer: Any, thread_id: str, element_id: str) -> None:
    assert await layer.get_element(thread_id, element_id) is None


async def test_get_element_gives_a_clean_dict(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_element(text())
    leave()
    assert_clean(await layer.get_element("t1", "e1"))


async def test_delete_element_takes_row_and_file(layer: Any, rows: Rows, storage: Any) -> None:
    await start_thread(layer)
    before = rows()
    await layer.create_element(text())
    await layer.delete_element("e1", "t1")
    assert living(rows()) == before
    assert b"hello" not in contents(storage)


async def test_delete_element_without_thread_uses_the_sessions(layer: Any, rows: Rows) -> None:
    await start_thread(layer)
    before = rows()
    await layer.create_element(text())
    await layer.delete_element("e1")
    assert living(rows()) == before


async def test_a_late_create_of_a_deleted_element_does_nothing(layer: Any, rows: Rows, storage: Any) -> None:
    await start_thread(layer)
    before = rows()
    await layer.create_element(text())
    await layer.delete_element("e1", "t1")
    await layer.create_element(text(content="late"))
    assert living(rows()) == before
    assert b"late" not in contents(storage)


async def test_delete_step_takes_its_elements_and_their_files(layer: Any, rows: Rows, storage: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    await layer.create_step(message("s2"))
    await layer.create_element(text("e1", content="first"))
    await layer.create_element(text("e2", content="second", for_id="s2"))
    await layer.delete_step("s1")
    assert list(await elements_of(layer)) == ["e2"]
    assert b"first" not in contents(storage)
    assert b"second" in contents(storage)


async def test_an_element_for_a_deleted_step_is_not_kept(layer: Any, rows: Rows, storage: Any) -> None:
    await start_thread(layer)
    await layer.create_step(message("s1"))
    await layer.delete_step("s1")
    before = rows()
    await layer.create_element(text())
    assert living(rows()) == living(before)


@pytest.mark.parametrize("user", [BOB, None])
async def test_an_element_for_another_users_thread_is_refused(
    layer: Any, rows: Rows, storage: Any, caplog: pytest.LogCaptureFixture, user: Any
) -> None:
    await start_thread(layer)
    before = rows()
    enter_chat("own", user)
    await layer.create_element(text())
    await layer.create_element(custom("e2"))
    assert living(rows()) == before
    assert b"hello" not in contents(storage)
    assert len([r for r in caplog.records if "refused" in r.message]) == 1  # in a second, for the same user


async def test_deleting_another_users_element_is_refused(layer: Any, rows: Rows) -> None:
    await start_thread(layer)
    await layer.create_element(text())
    before = rows()
    enter_chat("own", BOB)
    await layer.delete_element("e1", "t1")
    assert living(rows()) == before


async def test_an_element_for_another_thread_of_the_same_user_is_kept(layer: Any, rows: Rows) -> None:
    await start_thread(layer)
    enter_chat("own", ALICE)
    await layer.create_element(custom())
    assert list(await elements_of(layer)) == ["e1"]
    await layer.delete_element("e1", "t1")
    assert await elements_of(layer) == {}


async def test_an_object_key_from_outside_is_not_taken(layer: Any) -> None:
    await start_thread(layer)
    await layer.create_element(text("e1", content="mine"))
    stolen = (await elements_of(layer))["e1"]["objectKey"]
    await layer.create_element(custom("e2", object_key=stolen))
    await layer.delete_element("e2", "t1")
    element = (await elements_of(layer))["e1"]
    assert element["objectKey"] == stolen
    assert await layer.storage_provider.find(
        await layer.storage_provider.accepted_digest(element["url"].removeprefix(f"{FILES_PATH}/"))
    )


async def test_elements_come_with_their_thread_in_any_number(layer: Any) -> None:
    await start_thread(layer)
    await asyncio.gather(*(layer.create_element(text(f"e{n}", content=f"{n}")) for n in range(30)))
    elements = (await layer.get_thread("t1"))["elements"]
    assert sorted(ids(elements)) == sorted(f"e{n}" for n in range(30))
    assert len({element["url"] for element in elements}) == 30


async def test_a_visitor_who_never_speaks_leaves_no_element(layer: Any, rows: Rows, storage: Any) -> None:
    enter_chat("t1", spoken=False)
    await layer.create_element(text())
    await layer.delete_element("e1", "t1")
    assert (rows(), contents(storage)) == ([], [])
