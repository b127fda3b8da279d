"""What importing the package does, and does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import chainlit_dynamodb

HEAVY = {"aiodynamo", "aiohttp", "azure", "boto3", "botocore", "chainlit", "google", "ministack"}


def test_importing_the_package_loads_nothing_else_and_writes_nothing(tmp_path: Path) -> None:
    script = f"import sys, chainlit_dynamodb; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    assert list(tmp_path.iterdir()) == []


def test_every_public_name_is_there() -> None:
    aliases = {"AzureDataLakeStorageClient": "AzureStorageClient"}
    for name in chainlit_dynamodb.__all__:
        assert getattr(chainlit_dynamodb, name).__name__ == aliases.get(name, name)
    assert sorted(chainlit_dynamodb.__all__) == chainlit_dynamodb.__all__
