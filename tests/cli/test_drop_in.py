"""The drop-in, and the seed's own example unchanged."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.cli.conftest import Serve
from tests.cli.processes import wait_for

SEED = Path(__file__).parent.parent / "seed" / "README.md"
PLACEHOLDERS = {
    "<your-bucket>": "seed-files",
    "<your-region>": "us-east-1",
    "<your-table-name>": "seed-table",
}
CHAT = """

import chainlit_dynamodb
from chainlit.data import get_data_layer

assert isinstance(get_data_layer(), chainlit_dynamodb.DynamoDBDataLayer)


@cl.on_app_startup
async def write_and_read():
    await get_data_layer().create_user(cl.User(identifier="ada"))
    print("kept:", (await get_data_layer().get_user("ada")).identifier, flush=True)


@cl.on_message
async def answer(message):
    await cl.Message("hello").send()
"""


def seed_example() -> str:
    """Give the Python example of the seed, its placeholders filled in."""
    blocks = re.findall(r"```python\n(.*?)```", SEED.read_text(), re.DOTALL)
    text: str = next(block for block in blocks if "@cl.data_layer" in block)
    for placeholder, value in PLACEHOLDERS.items():
        assert placeholder in text
        text = text.replace(placeholder, value)
    return text


def run_script(folder: Path, text: str) -> str:
    """Run Python in a process of its own, for what stays in `sys.modules`."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(text)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_seed_runs_behind_one_import(tmp_path: Path) -> None:
    script = f"import chainlit_dynamodb.drop_in\n{seed_example()}\nprint(type(get_data_layer()).__module__)\n"
    assert run_script(tmp_path, script) == "chainlit_dynamodb.data_layer\n"


def test_the_seed_runs_on_this_machine(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(seed_example() + CHAT)
    served = serve("run", "--local", "--table", "seed-table", "--bucket", "seed-files", "app.py", "-h")
    assert wait_for(lambda: "kept: ada" in served.output)
    assert served.get() == 200
    assert served.stop() == 0


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("chainlit.data.dynamodb", "DynamoDBDataLayer"),
        ("chainlit.data.storage_clients", "S3StorageClient"),
        ("chainlit.data.storage_clients.s3", "S3StorageClient"),
        ("chainlit.data.storage_clients", "AzureBlobStorageClient"),
        ("chainlit.data.storage_clients.azure_blob", "AzureBlobStorageClient"),
        ("chainlit.data.storage_clients", "AzureStorageClient"),
        ("chainlit.data.storage_clients.azure", "AzureStorageClient"),
        ("chainlit.data.storage_clients", "GCSStorageClient"),
        ("chainlit.data.storage_clients.gcs", "GCSStorageClient"),
    ],
)
def test_the_paths_of_chainlit_give_the_classes_of_this_package(tmp_path: Path, module: str, name: str) -> None:
    script = f"""
        import chainlit_dynamodb
        import chainlit_dynamodb.drop_in
        import {module}
        from {module} import {name}
        assert {name} is {module}.{name} is chainlit_dynamodb.{name}
        from chainlit.data.storage_clients.base import BaseStorageClient
    """
    run_script(tmp_path, script)


def test_a_client_without_its_sdk_fails_only_when_it_is_made(tmp_path: Path) -> None:
    script = """
        import sys
        sys.modules["boto3"] = None
        import chainlit_dynamodb
        import chainlit_dynamodb.drop_in
        from chainlit.data.storage_clients import S3StorageClient
        try:
            S3StorageClient(bucket="files")
        except chainlit_dynamodb.MissingDependencyError as error:
            print(error)
    """
    assert "pip install 'chainlit-dynamodb[s3]'" in run_script(tmp_path, script)


def test_neither_the_built_in_layer_nor_an_sdk_is_imported(tmp_path: Path) -> None:
    script = """
        import sys
        import chainlit_dynamodb.drop_in
        import chainlit.data.storage_clients.gcs
        loaded = {"boto3", "azure.storage.blob", "google.cloud.storage"} & set(sys.modules)
        assert not loaded, loaded
        assert not hasattr(sys.modules["chainlit.data.dynamodb"], "__file__")
    """
    run_script(tmp_path, script)


def test_doing_it_twice_changes_nothing(tmp_path: Path) -> None:
    script = """
        import sys
        import chainlit_dynamodb.drop_in as drop_in
        before = sys.modules["chainlit.data.dynamodb"]
        drop_in.install()
        assert sys.modules["chainlit.data.dynamodb"] is before
    """
    run_script(tmp_path, script)


def test_coming_too_late_is_said(tmp_path: Path) -> None:
    script = """
        import logging, sys
        logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
        import chainlit.data.storage_clients.s3
        import chainlit_dynamodb.drop_in
        from chainlit.data.storage_clients.s3 import S3StorageClient
        print(S3StorageClient.__module__)
    """
    said, module = run_script(tmp_path, script).splitlines()[-2:]
    assert said.startswith("chainlit.data.storage_clients.s3 was imported before")
    assert module == "chainlit_dynamodb.storage.s3"
