"""A storage that takes connections and answers nobody holds up uploads and deletions, not the URLs of old chats."""

from __future__ import annotations

import asyncio
import socket
import time

from botocore.config import Config

from chainlit_dynamodb.attachments import StorageAttachments
from chainlit_dynamodb.chat.changes import File
from chainlit_dynamodb.dynamodb.retry import RetryPolicy
from chainlit_dynamodb.patient_attachments import PatientAttachments
from chainlit_dynamodb.storage.s3 import S3StorageClient


async def test_urls_are_signed_while_the_storage_answers_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        config = Config(read_timeout=2, retries={"total_max_attempts": 1})
        client = S3StorageClient("outages", endpoint_url=f"http://127.0.0.1:{port}", config=config)
        files = PatientAttachments(StorageAttachments(client), RetryPolicy(0))
        uploads = [asyncio.create_task(files.upload(File(f"k{n}", b"x", "text/plain", "a"))) for n in range(12)]
        deletions = [asyncio.create_task(files.delete(f"k{n}")) for n in range(12)]
        await asyncio.sleep(0.5)
        started = time.monotonic()
        assert "X-Amz-Signature" in await files.url("key")
        assert time.monotonic() - started < 0.5
        assert not any(task.done() for task in uploads + deletions)
        for task in uploads + deletions:
            task.cancel()
        await asyncio.gather(*uploads, *deletions, return_exceptions=True)
    await files.close()
    await client.close()
