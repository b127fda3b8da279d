"""The same app on Amazon's own emulator of DynamoDB, by `chainlit-dynamodb run` and AWS's variables alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from chainlit_dynamodb.ops.create_bucket import create_bucket
from chainlit_dynamodb.ops.create_table import create_table
from tests.browser.chat_page import ChatPage, is_loaded
from tests.browser.chat_server import BUCKET, DEMO, TABLE, ChatServer, aws_client


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, dynamodb_local_url: str, ministack_url: str
) -> Iterator[ChatServer]:
    """The demo's app with its table on DynamoDB Local."""
    folder = tmp_path_factory.mktemp("local")
    create_table(aws_client("dynamodb", dynamodb_local_url), TABLE)
    create_bucket(aws_client("s3", ministack_url), BUCKET)
    server = ChatServer.of_app(
        DEMO / "app.py",
        folder,
        {
            "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_local_url,
            "AWS_ENDPOINT_URL_S3": ministack_url,
            "CHAINLIT_DYNAMODB_TABLE": TABLE,
            "CHAINLIT_DYNAMODB_BUCKET": BUCKET,
        },
    )
    server.start()
    yield server
    server.stop()
    assert server.complaints() == []


def test_a_rated_starred_and_renamed_chat_is_resumed_with_its_image(chat: ChatPage) -> None:
    answer = chat.ask("Show me the sunset")
    chat.thumbs_up(answer, "Just as I remember it")
    chat.star(chat.question("Show me the sunset"))
    chat.rename(chat.thread_id, "From the north pier")
    chat.reload()
    expect(chat.entry(chat.thread_id)).to_have_text("From the north pier")
    assert is_loaded(chat.answers.last.locator("img.inline-image"))
    assert chat.comment_on(chat.answers.last) == "Just as I remember it"
    expect(chat.favourites()).to_contain_text(["Show me the sunset"])


def test_a_deleted_chat_stays_deleted(chat: ChatPage) -> None:
    chat.ask("Write the report of the week")
    thread = chat.thread_id
    chat.start_new()
    chat.delete(thread)
    chat.ask("Write the report of the week")
    chat.reload()
    expect(chat.entry(chat.thread_id)).to_be_visible()
    expect(chat.entry(thread)).to_have_count(0)
