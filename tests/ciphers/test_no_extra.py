"""Where cryptography is not installed: everything but a cipher works, and a cipher gives the line to run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "cryptography":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def run(folder: Path, script: str) -> str:
    """Run Python in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-c", BLOCK + script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_layer_without_a_cipher_needs_no_cryptography(tmp_path: Path) -> None:
    script = """
from chainlit_dynamodb import DynamoDBDataLayer, KeyProvider, KmsKeys, LocalKeys
print(DynamoDBDataLayer("chats").keys, KeyProvider.__name__)
"""
    assert run(tmp_path, script) == "None KeyProvider\n"


@pytest.mark.parametrize("call", ["KmsKeys('alias/chats')", "LocalKeys('keys')"])
def test_a_cipher_without_cryptography_gives_the_line_to_run(tmp_path: Path, call: str) -> None:
    script = f"""
import chainlit_dynamodb
try:
    chainlit_dynamodb.{call}
except chainlit_dynamodb.MissingDependencyError as error:
    print(error)
"""
    line = "cryptography is not installed. Run: pip install 'chainlit-dynamodb[kms]'\n"
    assert run(tmp_path, script) == line
