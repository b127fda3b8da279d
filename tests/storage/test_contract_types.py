"""What a browser may upload as, and what every storage client serves it as: nothing that runs."""

from __future__ import annotations

import io
import uuid
from pathlib import Path
from typing import Any

import pytest

from chainlit_dynamodb.attachments import StorageAttachments
from chainlit_dynamodb.chat.changes import File
from chainlit_dynamodb.storage.base import StorageClient
from chainlit_dynamodb.storage.headers import checked_mime, inert_mime
from chainlit_dynamodb.storage.local import LocalStorageClient

from .conftest import DISPOSITIONS, Storage

PAGE = b"<script>alert(document.domain)</script>"
SVG = "image/svg+xml"
ACTIVE = [
    "text/html",
    "TEXT/HTML; charset=utf-8",
    "application/xhtml+xml",
    "application/xml",
    "text/xml",
    "application/atom+xml",
    "application/mathml+xml",
    "text/xsl",
    "application/rdf",
    "text/javascript",
    "application/javascript",
    "application/x-javascript",
    "application/ecmascript",
    "text/javascript1.5",
    "multipart/x-mixed-replace",
]
SAFE = [
    "image/png",
    "application/pdf",
    "text/plain; charset=utf-8",
    "text/csv",
    "application/json",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/octet-stream",
    "video/mp4",
]
LISTS = ["image/png,text/html", "image/png, text/html", 'image/png; a="b,text/html"', "text/plain;,text/html"]


async def served(client: StorageClient, storage: Storage, mime: str) -> Any:
    """Store a file as the data layer does, and read it as a browser would."""
    attachments = StorageAttachments(client)
    key = await attachments.upload(File(f"user/{uuid.uuid4()}/e", PAGE, mime, "page.html"))
    return await storage.read(await attachments.url(key))


@pytest.mark.parametrize("mime", ["text/html", "application/xhtml+xml", "text/xml", "text/javascript", *LISTS[:2]])
async def test_what_could_run_is_served_as_what_does_not(client: StorageClient, storage: Storage, mime: str) -> None:
    response = await served(client, storage, mime)

    assert response.content == PAGE
    assert response.headers["content-type"].partition(";")[0] in ("text/plain", "application/octet-stream")


@pytest.mark.parametrize("mime", ["text/html", SVG, "image/png", "application/pdf"])
async def test_every_file_is_to_be_saved_when_its_url_is_opened(
    client: StorageClient, storage: Storage, mime: str
) -> None:
    storage.needs(DISPOSITIONS)
    response = await served(client, storage, mime)

    assert response.headers["content-disposition"].startswith("attachment;")


async def test_a_drawing_can_be_shown_as_an_image(client: StorageClient, storage: Storage) -> None:
    assert (await served(client, storage, SVG)).headers["content-type"] == SVG


@pytest.mark.parametrize("mime", [*ACTIVE, SVG, *SAFE])
async def test_the_route_of_local_files_lets_nothing_run(local_storage: Storage, mime: str) -> None:
    client = local_storage.make(None)
    response = await local_storage.read((await client.upload_file(str(uuid.uuid4()), PAGE, mime))["url"])
    await client.close()

    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"] == "sandbox; default-src 'none'"
    if mime not in SAFE:
        assert response.headers["content-disposition"].startswith("attachment")


class OldProvider:
    """A client of a third party that knows no `content_disposition`."""

    def __init__(self) -> None:
        self.mime = ""

    async def upload_file(self, object_key: str, data: Any, mime: str, overwrite: bool) -> dict[str, str]:
        self.mime = mime
        return {"object_key": object_key, "url": ""}


async def test_a_drawing_is_text_where_it_would_be_opened_as_a_page() -> None:
    provider = OldProvider()
    await StorageAttachments(provider).upload(File("k", PAGE, SVG, "a.svg"))  # type: ignore[arg-type]

    assert provider.mime == "text/plain"


@pytest.mark.parametrize("mime", ACTIVE)
def test_active_types_are_text(mime: str) -> None:
    assert inert_mime(mime, is_saved=True) == "text/plain"


@pytest.mark.parametrize("mime", SAFE)
def test_other_types_are_themselves(mime: str) -> None:
    assert inert_mime(mime, is_saved=True) == mime


@pytest.mark.parametrize("mime", LISTS)
def test_a_list_of_types_is_none(mime: str) -> None:
    assert checked_mime(mime) == "application/octet-stream"


async def test_a_list_that_an_older_version_stored_is_only_ever_saved(
    local_storage: Storage, local_server: tuple[str, Path]
) -> None:
    client = LocalStorageClient(local_server[1])
    name = client._name(str(uuid.uuid4()))
    client._folder.write(name, io.BytesIO(PAGE), "image/png,text/html", None, True)
    response = await local_storage.read((await client._sign(name)).url)
    await client.close()

    assert response.headers["content-disposition"] == "attachment"
