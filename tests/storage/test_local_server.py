"""The files of the local folder, as the real Chainlit server hands them out."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import httpx
import pytest

from chainlit_dynamodb.storage.headers import content_disposition
from chainlit_dynamodb.storage.local import LocalStorageClient

from .conftest import APP, SOURCE, Storage, chainlit_server


def get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=30)


LAZY_APP = APP.replace("from chainlit_dynamodb import LocalStorageClient\n", "").replace(
    "        self.storage", "        from chainlit_dynamodb import LocalStorageClient\n        self.storage"
)


async def stored(storage: Storage, mime: str, header: str | None = None, data: bytes = b"<b>data</b>") -> str:
    client = storage.make(None)
    url = (await client.upload_file(str(uuid.uuid4()), data, mime, content_disposition=header))["url"]
    await client.close()
    return url


@pytest.fixture
def page(local_server: tuple[str, Path]) -> str:
    """What Chainlit answers for paths it does not know."""
    return get(f"{local_server[0]}/no/such/page").text


@pytest.mark.parametrize(
    "mime",
    [
        "text/html",
        "text/HTML; charset=utf-8",
        "image/svg+xml",
        "application/xhtml+xml",
        "text/xml",
        "application/xml",
        "text/javascript",
        "application/x-unknown",
        "application/octet-stream",
        "nonsense",
    ],
)
@pytest.mark.parametrize("inline", [True, False])
async def test_active_types_are_only_ever_saved(local_storage: Storage, mime: str, inline: bool) -> None:
    header = content_disposition("Übung.html", inline=inline)

    response = await local_storage.read(await stored(local_storage, mime, header))

    assert response.headers["content-disposition"] == content_disposition("Übung.html")
    assert response.headers["content-type"] == mime


async def test_active_type_without_a_name_is_only_ever_saved(local_storage: Storage) -> None:
    response = await local_storage.read(await stored(local_storage, "text/html"))

    assert response.headers["content-disposition"] == "attachment"


@pytest.mark.parametrize("mime", ["image/png", "audio/mpeg", "video/mp4", "application/pdf", "text/plain"])
async def test_passive_types_are_shown(local_storage: Storage, mime: str) -> None:
    header = content_disposition("name", inline=True)

    assert (await local_storage.read(await stored(local_storage, mime, header))).headers[
        "content-disposition"
    ] == header
    assert "content-disposition" not in (await local_storage.read(await stored(local_storage, mime))).headers


async def test_every_answer_forbids_sniffing_and_script(local_storage: Storage) -> None:
    url = await stored(local_storage, "image/png")
    answers = [
        await local_storage.read(url),
        await local_storage.read(url, Range="bytes=0-3"),
        await local_storage.read(f"{url}x"),
    ]

    assert [answer.status_code for answer in answers] == [200, 206, 403]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"


@pytest.mark.parametrize("mime", ["application/json", "application/pdf", "video/mp4"])
async def test_files_keep_their_length_whatever_the_browser_accepts(local_storage: Storage, mime: str) -> None:
    url = await stored(local_storage, mime, data=b"0" * 100_000)

    response = await local_storage.read(url, **{"Accept-Encoding": "gzip, br"})

    assert response.headers["content-length"] == "100000"
    assert response.headers["accept-ranges"] == "bytes"
    assert response.content == b"0" * 100_000


async def test_range_behind_the_end_is_refused(local_storage: Storage) -> None:
    response = await local_storage.read(await stored(local_storage, "video/mp4"), Range="bytes=500-600")

    assert response.status_code == 416


@pytest.mark.parametrize("tail", ["", "x", "..%2f..%2fetc%2fpasswd", "%00", "a/b"])
async def test_senseless_paths_open_nothing(local_storage: Storage, page: str, tail: str) -> None:
    response = await local_storage.read(f"/chainlit-dynamodb/files/{tail}")

    assert response.status_code == 403 or response.text == page


async def test_url_of_another_folder_is_refused(local_storage: Storage, tmp_path: Path) -> None:
    stranger = LocalStorageClient(tmp_path)
    url = (await stranger.upload_file("key", b"data"))["url"]
    await stranger.close()

    assert (await local_storage.read(url)).status_code == 403


async def test_head_tells_the_length_without_the_file(local_server: tuple[str, Path], local_storage: Storage) -> None:
    async with httpx.AsyncClient(trust_env=False) as browser:
        response = await browser.head(local_server[0] + await stored(local_storage, "image/png"))

    assert (response.status_code, response.headers["content-length"], response.content) == (200, "11", b"")


@pytest.mark.parametrize("root_path", ["", "/chat"])
async def test_first_request_after_a_restart_may_be_for_a_file(
    tmp_path: Path, root_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAINLIT_ROOT_PATH", root_path)
    client = LocalStorageClient(tmp_path / "files")
    url = (await client.upload_file("key", b"yesterday", "image/png"))["url"]
    await client.close()
    monkeypatch.delenv("CHAINLIT_ROOT_PATH")

    for _ in range(2):
        with chainlit_server(tmp_path / "home", tmp_path / "files", root_path=root_path) as origin:
            response = get(origin + url)

        assert (response.status_code, response.content) == (200, b"yesterday")
        assert response.headers["content-type"] == "image/png"


async def test_app_that_imports_late_serves_from_its_first_use_of_the_data_layer(tmp_path: Path) -> None:
    client = LocalStorageClient(tmp_path / "files")
    url = (await client.upload_file("key", b"data", "image/png"))["url"]
    await client.close()

    with chainlit_server(tmp_path / "home", tmp_path / "files", LAZY_APP) as origin:
        get(f"{origin}/project/settings")
        response = get(origin + url)

    assert response.content == b"data"


@pytest.mark.parametrize("moment", ["module before", "client before", "client after", "url after"])
def test_route_is_set_whatever_is_loaded_first(tmp_path: Path, moment: str) -> None:
    server = "from chainlit.server import app"
    module = "from chainlit_dynamodb import LocalStorageClient"
    client = "client = LocalStorageClient('files')"
    order = {
        "module before": [module, server, client],
        "client before": [module, client, server, "run(client.get_read_url('warm'))"],
        "client after": [server, module, client],
        "url after": [server, "import chainlit_dynamodb as c", "client = c.LocalStorageClient('files')"],
    }
    script = "\n".join(
        [
            "from asyncio import run",
            *order[moment],
            "from fastapi.testclient import TestClient",
            "url = run(client.upload_file('key', b'data', 'image/png'))['url']",
            "names = [route.name for route in app.router.routes if hasattr(route, 'name')]",
            "response = TestClient(app).get(url)",
            "print(response.status_code, response.content, names.count('chainlit-dynamodb-files'))",
        ]
    )

    printed = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={
            "PATH": "",
            "PYTHONPATH": str(SOURCE),
            "CHAINLIT_APP_ROOT": str(tmp_path),
            "HOME": str(tmp_path),
        },
        check=True,
    )

    assert printed.stdout.splitlines()[-1] == "200 b'data' 1", printed.stderr


def test_app_mounted_in_another_serves_its_files(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    script = textwrap.dedent(
        """
        import os
        from asyncio import run
        from chainlit.utils import mount_chainlit
        from fastapi import FastAPI
        from fastapi.testclient import TestClient
        outer = FastAPI()
        mount_chainlit(outer, "app.py", path="/chat")
        from chainlit_dynamodb import LocalStorageClient
        writer = LocalStorageClient(os.environ["STORAGE_FOLDER"])
        url = run(writer.upload_file("key", b"data", "image/png"))["url"]
        run(writer.close())
        response = TestClient(outer).get(url)
        print(url.startswith("/chat/chainlit-dynamodb/files/"), response.status_code, response.content)
        """
    )

    printed = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={
            "PATH": "",
            "PYTHONPATH": str(SOURCE),
            "CHAINLIT_APP_ROOT": str(tmp_path),
            "STORAGE_FOLDER": str(tmp_path / "files"),
        },
        check=True,
    )

    assert printed.stdout.splitlines()[-1] == "True 200 b'data'", printed.stderr
