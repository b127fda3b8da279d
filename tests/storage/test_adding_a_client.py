"""A new client is one class and one line, as docs/storage.md says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import chainlit_dynamodb

from .documented import documented_client, documented_line

PACKAGE = Path(chainlit_dynamodb.__file__).parent
SCRIPT = """
import chainlit_dynamodb
from chainlit_dynamodb.storage.file_server import FileServerClient
client = chainlit_dynamodb.storage_from_url("files://example.com/chats?url_lifetime_seconds=60")
print(type(client) is FileServerClient)
try:
    chainlit_dynamodb.storage_from_url("files:///chats")
except chainlit_dynamodb.ConfigurationError as error:
    print(error)
"""


def test_one_class_and_one_line_make_a_client_known(tmp_path: Path) -> None:
    storage = shutil.copytree(PACKAGE, tmp_path / PACKAGE.name) / "storage"
    (storage / "file_server.py").write_text(documented_client())
    registry = (storage / "clients.py").read_text()
    first = "CLIENTS: Final = (\n"
    assert registry.count(first) == 1
    (storage / "clients.py").write_text(registry.replace(first, first + documented_line()))

    environment = {"PYTHONPATH": str(tmp_path), "FILE_SERVER_SECRET": "secret"}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    known, refused = done.stdout.splitlines()
    assert known == "True"
    assert refused.startswith("The storage URL names no server: files://server/folder, s3://bucket")
