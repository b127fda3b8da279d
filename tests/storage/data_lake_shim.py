"""Data Lake's write calls in front of Azurite, which serves blobs only. It checks no signature of its callers.

create -> put blob, append -> stage block, flush -> commit block list, rename -> copy blob and delete, delete ->
delete blob. Reading goes to Azurite itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, BlobServiceClient, ContentSettings

NEW_ONLY = {"match_condition": MatchConditions.IfMissing}
CODES = {
    "BlobNotFound": "PathNotFound",
    "ContainerNotFound": "FilesystemNotFound",
    "BlobAlreadyExists": "PathAlreadyExists",
}


class DataLake(BaseHTTPRequestHandler):
    """One request; `blobs` is Azurite."""

    protocol_version = "HTTP/1.1"
    blobs: BlobServiceClient

    def blob(self, path: str) -> Any:
        """Find a blob by /container/name, with or without the account in front."""
        container, name = unquote(path).removeprefix(f"/{self.blobs.account_name}").lstrip("/").split("/", 1)
        return self.blobs.get_blob_client(container, name)

    def settings(self) -> ContentSettings:
        """Return type and disposition as the request has them."""
        return ContentSettings(
            content_type=self.headers["x-ms-content-type"],
            content_disposition=self.headers["x-ms-content-disposition"],
        )

    def handle_call(self) -> int:
        """Do what was asked; gives the status."""
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        blob, position = self.blob(url.path), int(query.get("position", 0))
        condition = NEW_ONLY if self.headers["If-None-Match"] == "*" else {}
        if self.command == "DELETE":
            blob.delete_blob()
            return 200
        if source := self.headers["x-ms-rename-source"]:
            original = self.blob(source)
            blob.start_copy_from_url(original.url, **condition)
            original.delete_blob()
            return 201
        if query.get("resource") == "file":
            blob.upload_blob(b"", overwrite=not condition, content_settings=self.settings())
            return 201
        if query["action"] == "append":
            blob.stage_block(f"{position:020d}", body)
            return 202
        blocks = [block.id for block in blob.get_block_list("uncommitted")[1]] if position else []
        blob.commit_block_list([BlobBlock(name) for name in sorted(blocks)], content_settings=self.settings())
        return 200

    def answer(self) -> None:
        """Answer, failures as Data Lake words them."""
        error = ""
        try:
            status = self.handle_call()
        except HttpResponseError as exc:
            code = str(getattr(exc.error_code, "value", exc.error_code))
            status, error = int(exc.status_code or 500), CODES.get(code, code)
        self.send_response(status)
        if error:
            self.send_header("x-ms-error-code", error)
        self.send_header("ETag", '"0x1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the names that the base class looks for

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def data_lake(azurite_url: str, account_key: str) -> Iterator[str]:
    """Run the shim; gives its endpoint, which ends with the account as Azurite's does."""
    with BlobServiceClient(azurite_url, credential=account_key) as blobs:
        handler = type("Handler", (DataLake,), {"blobs": blobs})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{blobs.account_name}"
        finally:
            server.shutdown()
            server.server_close()
