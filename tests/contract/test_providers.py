"""Storage providers of third parties, and providers that fail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from chainlit.data.storage_clients.base import BaseStorageClient
from chainlit.element import Text

from chainlit_dynamodb.errors import StorageError
from tests.contract.chats import message, one_engine, start_thread, stored

pytestmark = one_engine


class OldClient:
    """A client as they were before 2.7: no content_disposition, and bytes or text only."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | str] = {}
        self.options: list[dict[str, Any]] = []
        self.closed = 0

    async def upload_file(
        self, object_key: str, data: bytes | str, mime: str = "application/octet-stream", overwrite: bool = True
    ) -> dict[str, Any]:
        assert isinstance(data, (bytes, str))
        self.files[object_key] = data
        return {"object_key": object_key, "url": f"https://old/{object_key}"}

    async def delete_file(self, object_key: str) -> bool:
        return self.files.pop(object_key, None) is not None

    async def get_read_url(self, object_key: str) -> str:
        return f"https://old/{object_key}?signed"

    async def close(self) -> None:
        self.closed += 1


class NewClient(OldClient):
    """A client of today."""

    async def upload_file(
        self,
        object_key: str,
        data: bytes | str,
        mime: str = "application/octet-stream",
        overwrite: bool = True,
        content_disposition: str | None = None,
    ) -> dict[str, Any]:
        self.options.append({"mime": mime, "content_disposition": content_disposition})
        return await super().upload_file(object_key, data, mime, overwrite)


class RenamingClient(OldClient):
    """A client that chooses the keys."""

    async def upload_file(self, object_key: str, data: bytes | str, **options: Any) -> dict[str, Any]:  # type: ignore[override]
        return await super().upload_file(f"prefix/{object_key}", data)


def text(element_id: str = "e1", **fields: Any) -> Any:
    options = {"name": "a.txt", "content": "hello", "for_id": "s1", "thread_id": "t1", **fields}
    return Text(id=element_id, **options)


async def elements_of(layer: Any) -> dict[str, Any]:
    return {element["id"]: element for element in (await layer.get_thread("t1"))["elements"]}


async def test_a_client_without_content_disposition_works(make_layer: Any, tmp_path: Any) -> None:
    provider = OldClient()
    layer = make_layer(storage_provider=provider)
    await start_thread(layer)
    (tmp_path / "a").write_bytes(b"from a path")
    await layer.create_element(text("e1"))
    await layer.create_element(text("e2", content=None, path=str(tmp_path / "a")))
    assert sorted(map(str, provider.files.values())) == ["b'from a path'", "hello"]
    assert (await elements_of(layer))["e1"]["url"].endswith("?signed")
    await layer.delete_thread("t1")
    assert provider.files == {}


async def test_a_client_of_today_gets_a_safe_file_name(make_layer: Any) -> None:
    provider = NewClient()
    layer = make_layer(storage_provider=provider)
    await start_thread(layer)
    await layer.create_element(text(name='ev"il\r\nSet-Cookie: ü.txt'))
    (options,) = provider.options
    assert options["mime"] == "application/octet-stream"
    assert options["content_disposition"].isascii()
    assert not set(options["content_disposition"]) & set("\r\n")


async def test_the_key_a_client_really_used_is_deleted(make_layer: Any) -> None:
    provider = RenamingClient()
    layer = make_layer(storage_provider=provider)
    await start_thread(layer)
    await layer.create_element(text())
    (key,) = provider.files
    assert (await elements_of(layer))["e1"]["objectKey"] == key
    await layer.delete_element("e1", "t1")
    assert provider.files == {}


async def test_object_keys_lie_under_user_and_thread_whatever_their_ids_hold(make_layer: Any) -> None:
    provider = OldClient()
    layer = make_layer(storage_provider=provider)
    await start_thread(layer, "../t1", user_id="a/../b")
    await layer.create_element(text("../../e", thread_id="../t1"))
    (key,) = provider.files
    assert key.count("/") == 2


@pytest.mark.parametrize("answer", [{}, None, False])
async def test_of_an_upload_that_failed_nothing_but_its_announcement_stays(
    make_layer: Any, rows: Any, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = OldClient()

    async def fail(object_key: str, data: Any, mime: str = "", overwrite: bool = True) -> Any:
        return answer

    monkeypatch.setattr(provider, "upload_file", fail)
    layer = make_layer(storage_provider=provider)
    await start_thread(layer)
    before = rows()
    await layer.create_element(text())
    assert stored(rows()) == before
    assert (await layer.get_thread("t1"))["elements"] == []


async def test_an_upload_that_raises_is_one_line_of_the_log(
    make_layer: Any, rows: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    provider = OldClient()

    async def fail(object_key: str, data: Any, mime: str = "", overwrite: bool = True) -> Any:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(provider, "upload_file", fail)
    layer = make_layer(storage_provider=provider)
    await start_thread(layer)
    before = rows()
    await layer.create_element(text())
    assert stored(rows()) == before
    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert "\n" not in record.getMessage()
    assert record.exc_info is None
    assert "secret inside" not in record.getMessage()


async def test_one_failing_url_costs_that_element_only(make_layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = OldClient()
    layer = make_layer(storage_provider=provider)
    await start_thread(layer)
    await layer.create_step(message("s1"))
    for n in range(3):
        await layer.create_element(text(f"e{n}"))

    async def sign(object_key: str) -> str:
        if object_key.endswith("e1"):
            raise RuntimeError("no")
        return f"https://old/{object_key}"

    monkeypatch.setattr(provider, "get_read_url", sign)
    elements = await elements_of(layer)
    assert {element_id: bool(e["url"]) for element_id, e in elements.items()} == {"e0": True, "e1": False, "e2": True}
    assert (await layer.get_element("t1", "e1"))["url"] is None


async def test_urls_are_signed_side_by_side(make_layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = OldClient()
    layer = make_layer(storage_provider=provider)
    await start_thread(layer)
    for n in range(8):
        await layer.create_element(text(f"e{n}"))
    running = 0
    together = asyncio.Event()

    async def sign(object_key: str) -> str:
        nonlocal running
        running += 1
        if running == 8:
            together.set()
        await asyncio.wait_for(together.wait(), 5)
        return "https://old/x"

    monkeypatch.setattr(provider, "get_read_url", sign)
    assert all(element["url"] for element in (await elements_of(layer)).values())


@pytest.mark.parametrize("fault", ["raises", "says no"])
async def test_a_file_that_cannot_be_deleted_is_deleted_when_that_is_repeated(
    make_layer: Any, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = OldClient()
    layer = make_layer(storage_provider=provider)
    await start_thread(layer)
    await layer.create_element(text())

    async def refuse(object_key: str) -> bool:
        if fault == "raises":
            raise RuntimeError("no")
        return False

    with monkeypatch.context() as away:
        away.setattr(provider, "delete_file", refuse)
        with pytest.raises(StorageError):
            await layer.delete_element("e1", "t1")
    assert (await elements_of(layer), len(provider.files)) == ({}, 1)
    await layer.delete_element("e1", "t1")
    assert (await elements_of(layer), provider.files) == ({}, {})


async def test_the_provider_is_closed_with_the_layer(make_layer: Any) -> None:
    provider = OldClient()
    layer = make_layer(storage_provider=provider)
    await layer.close()
    assert provider.closed == 1


async def test_our_clients_are_chainlits(make_layer: Any, storage: Any) -> None:
    assert isinstance(storage, BaseStorageClient)


async def test_a_client_that_cannot_tell_missing_from_failed_holds_no_deletion_up(make_layer: Any, rows: Any) -> None:
    provider = OldClient()  # `False` for what is not there, as Chainlit's own for Google Cloud and Azure
    layer = make_layer(storage_provider=provider)
    await start_thread(layer)
    for element_id in ("e1", "e2"):
        await layer.create_element(text(element_id))
    await layer.delete_element("e1", "t1")
    await layer.delete_thread("t1")
    assert provider.files == {}
    assert [row["SK"]["S"] for row in rows()] == ["THREAD"]
