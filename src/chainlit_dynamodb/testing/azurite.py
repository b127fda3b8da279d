"""Azurite: Microsoft's emulator of Azure Blob Storage, installed once from the npm registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from chainlit_dynamodb.testing.missing import EngineMissingError

ACCOUNT: Final = "devstoreaccount1"
# The same in every Azurite, and no secret.
ACCOUNT_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_PACKAGE: Final = "azurite@3.37.0"


def command_line(port: int) -> list[str]:
    """Return the command that serves blobs in memory.

    Args:
        port: Where it will listen.

    Raises:
        EngineMissingError: Node.js, npm or the package cannot be had.
    """
    node = shutil.which("node")
    if node is None:
        raise EngineMissingError("Node.js is not installed (Debian: nodejs, at least 18)")
    main = fetch() / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    # The SDKs speak newer versions of the protocol than Azurite knows.
    options = ["--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry", "--silent"]
    return [node, str(main), "--blobHost", "127.0.0.1", "--blobPort", str(port), *options]


def fetch() -> Path:
    """Install Azurite unless that was done before.

    Returns:
        The folder that holds its `node_modules`, below `.cache/engines` or what `ENGINES_CACHE` names.

    Raises:
        EngineMissingError: npm is missing or failed.
    """
    cache = Path(os.environ.get("ENGINES_CACHE", ".cache/engines")).resolve()
    installed = cache / _PACKAGE.replace("@", "-")
    if not installed.is_dir():
        unfinished = installed.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _install(unfinished)
        unfinished.rename(installed)
    return installed


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise EngineMissingError("npm is not installed (Debian: npm), so Azurite cannot be installed")
    options = ["--prefix", str(folder), "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--silent"]
    done = subprocess.run(  # noqa: S603 - npm, with constants
        [npm, "install", *options, _PACKAGE], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise EngineMissingError(f"npm could not install {_PACKAGE}: {' '.join(done.stderr.split())}")


def main() -> None:
    """Install it, or say why not: then the tests on it skip."""
    try:
        fetch()
    except EngineMissingError as error:
        sys.stderr.write(f"Without Azurite: {error}\n")


if __name__ == "__main__":
    main()
