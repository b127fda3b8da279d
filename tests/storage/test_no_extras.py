"""Where no SDK is installed: importing works, using a client gives the line to run. And the seed's own examples."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SEED = Path(__file__).parent.parent / "seed" / "README.md"
BLOCK = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        # Chainlit itself brings google.protobuf.
        if name.split(".")[0] in {"boto3", "azure"} or name in {"google.cloud", "google.auth", "google.oauth2"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def run(folder: Path, script: str) -> str:
    """Run Python in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def seed_clients() -> dict[str, str]:
    """Return the seed's four ways to make a storage client, those in comments too, placeholders filled in."""
    text = re.sub(r"(?m)^    # ", "    ", SEED.read_text())
    calls = re.findall(r"storage_client = (\w+)\((.*?)\n    \)", text, re.DOTALL)
    return {name: re.sub(r"os\.environ\[.*?\]", "'x'", arguments) for name, arguments in calls}


def test_the_seed_has_four_clients() -> None:
    assert set(seed_clients()) == {
        "S3StorageClient",
        "AzureBlobStorageClient",
        "GCSStorageClient",
        "AzureStorageClient",
    }


def test_importing_works_without_any_sdk(tmp_path: Path) -> None:
    script = f"""{BLOCK}
import chainlit_dynamodb
print(*(getattr(chainlit_dynamodb, name).__name__ for name in chainlit_dynamodb.__all__))
"""
    assert "AzureBlobStorageClient" in run(tmp_path, script)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        ("S3StorageClient('b')", "pip install 'chainlit-dynamodb[s3]'"),
        ("AzureBlobStorageClient('c', 'a', 'a2V5')", "pip install 'chainlit-dynamodb[azure-blob]'"),
        ("AzureStorageClient('https://a.dfs.core.windows.net', 'c')", "pip install 'chainlit-dynamodb[azure]'"),
        ("AzureDataLakeStorageClient('https://a.dfs.core.windows.net', 'c')", "'chainlit-dynamodb[azure]'"),
        ("GCSStorageClient('b')", "pip install 'chainlit-dynamodb[gcs]'"),
        ("storage_from_url('s3://b')", "pip install 'chainlit-dynamodb[s3]'"),
        ("storage_from_url('az://a/c')", "pip install 'chainlit-dynamodb[azure-blob]'"),
        ("storage_from_url('abfss://c@a.dfs.core.windows.net')", "pip install 'chainlit-dynamodb[azure]'"),
        ("storage_from_url('gs://b')", "pip install 'chainlit-dynamodb[gcs]'"),
    ],
)
def test_using_a_client_without_its_sdk_gives_the_line_to_run(tmp_path: Path, call: str, line: str) -> None:
    script = f"""{BLOCK}
import chainlit_dynamodb
try:
    chainlit_dynamodb.{call}
except chainlit_dynamodb.MissingDependencyError as error:
    print(error)
"""
    assert line in run(tmp_path, script)


@pytest.mark.parametrize("name", sorted(seed_clients()))
def test_the_seeds_client_without_its_sdk_gives_the_line_to_run(tmp_path: Path, name: str) -> None:
    script = f"""{BLOCK}
import chainlit_dynamodb, chainlit_dynamodb.drop_in
from chainlit.data.storage_clients import {name}
try:
    {name}({seed_clients()[name]}
    )
except chainlit_dynamodb.MissingDependencyError as error:
    print(error)
"""
    assert "Run: pip install 'chainlit-dynamodb[" in run(tmp_path, script)


@pytest.mark.parametrize("name", sorted(seed_clients()))
def test_the_seeds_client_is_made_as_the_seed_makes_it(tmp_path: Path, name: str, private_pem: str) -> None:
    values = {
        "<your-key>": private_pem if name == "GCSStorageClient" else "a2V5",
        "<your-credential>": "a2V5",
        "<account>": "account",
    }
    arguments = seed_clients()[name]
    for placeholder, value in values.items():
        arguments = arguments.replace(placeholder, value.replace("\n", "\\n"))
    script = f"""
import chainlit_dynamodb, chainlit_dynamodb.drop_in
from chainlit.data.storage_clients import {name}
client = {name}({arguments}
)
print(isinstance(client, chainlit_dynamodb.StorageClient))
"""
    assert run(tmp_path, script) == "True\n"
