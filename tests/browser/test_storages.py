"""The files of an old chat on each storage, chosen by `CHAINLIT_STORAGE_URL`: they open, and go with the chat."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from chainlit_dynamodb.ops.create_table import create_table
from chainlit_dynamodb.testing.azurite import ACCOUNT_KEY
from tests.browser.chat_page import ChatPage, is_drawn_on, is_loaded
from tests.browser.chat_server import ChatServer, aws_client
from tests.browser.conftest import Visitor
from tests.browser.storages import DeployedStorage, on_azure_blob, on_data_lake, on_disk, on_gcs, on_s3
from tests.storage.data_lake_shim import data_lake

APP = '''
"""The demo's bot, with its files where the environment says."""

import os

import chainlit as cl
from chainlit_dynamodb import DynamoDBDataLayer, storage_from_url
from chainlit_dynamodb.demo import app as bot

@cl.data_layer
def data_layer():
    return DynamoDBDataLayer(os.environ["CHAINLIT_DYNAMODB_TABLE"], storage_provider=storage_from_url())
'''
CATCH = secrets.token_bytes(1000)
CATCH_NAME = "catch of the day, Fänge.bin"
FILES = 5  # image, plot, PDF, the upload, and the copy of it in the answer
FETCHED = "link => fetch(link.href).then(answer => answer.arrayBuffer()).then(b => Array.from(new Uint8Array(b)))"


@pytest.fixture(scope="module")
def s3_storage(ministack_url: str) -> DeployedStorage:
    """S3."""
    return on_s3(ministack_url)


@pytest.fixture(scope="module")
def azure_blob_storage(azurite_url: str) -> DeployedStorage:
    """Azure Blob Storage."""
    return on_azure_blob(azurite_url)


@pytest.fixture(scope="module")
def data_lake_storage(azurite_url: str) -> Iterator[DeployedStorage]:
    """Azure Data Lake."""
    with data_lake(azurite_url, ACCOUNT_KEY) as shim_url:
        yield on_data_lake(azurite_url, shim_url)


@pytest.fixture(scope="module")
def gcs_storage(fake_gcs_server_url: str, tmp_path_factory: pytest.TempPathFactory) -> DeployedStorage:
    """Google Cloud Storage."""
    return on_gcs(fake_gcs_server_url, tmp_path_factory.mktemp("google"))


@pytest.fixture(scope="module")
def local_storage(tmp_path_factory: pytest.TempPathFactory) -> DeployedStorage:
    """A folder."""
    return on_disk(tmp_path_factory.mktemp("files"))


@pytest.fixture(
    scope="module",
    params=["s3_storage", "azure_blob_storage", "data_lake_storage", "gcs_storage", "local_storage"],
)
def storage(request: pytest.FixtureRequest) -> DeployedStorage:
    """Each storage in turn."""
    value: DeployedStorage = request.getfixturevalue(request.param)
    return value


@pytest.fixture(scope="module")
def server(
    storage: DeployedStorage, ministack_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ChatServer]:
    """A server that keeps its files there."""
    folder, table = tmp_path_factory.mktemp("deployed"), f"chats-{uuid.uuid4().hex}"
    create_table(aws_client("dynamodb", ministack_url), table)
    app = folder / "deployed.py"
    app.write_text(APP)
    server = ChatServer.of_app(
        app,
        folder,
        {
            **storage.variables,
            "AWS_ENDPOINT_URL_DYNAMODB": ministack_url,
            "CHAINLIT_DYNAMODB_TABLE": table,
            "CHAINLIT_STORAGE_URL": storage.url,
        },
    )
    storage.allow(server.url)
    server.start()
    yield server
    assert server.stop() == 0
    assert server.complaints() == []


@pytest.fixture(scope="module")
def old_chat(visitor: Visitor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatPage]:
    """A chat with every kind of file, left, opened again, and reloaded."""
    upload = tmp_path_factory.mktemp("uploads") / CATCH_NAME
    upload.write_bytes(CATCH)
    tab = visitor.new_tab().open()
    tab.ask("Show me the sunset")
    tab.ask("Plot the temperatures of the day")
    tab.ask("Write the report of the week")
    tab.ask("Keep this for me", [upload])
    thread = tab.thread_id
    tab.page.close()
    tab = visitor.new_tab().open(f"/thread/{thread}")
    tab.reload()
    yield tab
    tab.page.close()


def test_the_image_opens(old_chat: ChatPage) -> None:
    assert is_loaded(old_chat.answer("Tonight's sunset").locator("img.inline-image"))


def test_the_plot_opens(old_chat: ChatPage) -> None:
    plot = old_chat.answer("The day of all three").locator(".js-plotly-plot")
    plot.scroll_into_view_if_needed()
    lines = plot.locator("svg .scatterlayer path.js-line")
    expect(lines).to_have_count(3)
    assert all(len(line.get_attribute("d") or "") > 100 for line in lines.all())


def test_the_pdf_opens(old_chat: ChatPage) -> None:
    page = old_chat.answer("Here is the report").locator(".inline-pdf canvas")
    page.scroll_into_view_if_needed()
    expect(page).to_be_visible()
    assert is_drawn_on(page)


@pytest.mark.parametrize("message", ["answer", "question"])
def test_the_uploaded_file_can_be_fetched_byte_for_byte(old_chat: ChatPage, message: str) -> None:
    step = old_chat.answer("Got it") if message == "answer" else old_chat.question("Keep this")
    assert bytes(step.locator("a.inline-file").evaluate(FETCHED)) == CATCH


@pytest.mark.parametrize("message", ["answer", "question"])
def test_the_uploaded_file_is_saved_under_its_name(old_chat: ChatPage, message: str) -> None:
    step = old_chat.answer("Got it") if message == "answer" else old_chat.question("Keep this")
    with old_chat.page.expect_download() as download:
        step.locator("a.inline-file").click()
    assert download.value.path().read_bytes() == CATCH
    assert download.value.suggested_filename == CATCH_NAME


def test_the_files_are_gone_from_the_storage_with_the_chat(
    chat: ChatPage, old_chat: ChatPage, storage: DeployedStorage
) -> None:
    assert len(storage.names()) >= FILES
    chat.delete(old_chat.thread_id)
    assert storage.names() == []
