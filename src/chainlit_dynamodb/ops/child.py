"""Child processes that never outlive their parent, and get no signal but the parent's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Final

_PARENT: Final = "CHAINLIT_DYNAMODB_PARENT"
_POLL_SECONDS: Final = 0.5


def start_child(
    module: str,
    arguments: Sequence[str] = (),
    *,
    environment: Mapping[str, str],
    output: IO[bytes] | None = None,
    inherited: tuple[int, ...] = (),
) -> subprocess.Popen[bytes]:
    """Run a module of this package in a process of its own.

    It gets a session of its own, so Ctrl-C reaches the parent only, which then decides the order of things.

    Args:
        module: The module; it calls `end_with_parent` first.
        arguments: Its arguments.
        environment: Its whole environment.
        output: Where stdout and stderr go; `None` shares those of this process.
        inherited: File descriptors it keeps.
    """
    return subprocess.Popen(  # noqa: S603 - a module of this package, and the user's own arguments
        [sys.executable, "-m", module, *arguments],
        env={**environment, _PARENT: str(os.getpid())},
        stdin=None if output is None else subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        start_new_session=True,
        pass_fds=inherited,
    )


def stop_child(process: subprocess.Popen[bytes], timeout_seconds: float) -> None:
    """Ask a child to end, wait, and end it by force only after the timeout. Stopping twice is fine."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_with_parent(*, grace_seconds: float = 0) -> None:
    """Called in the child: end cleanly, as by SIGTERM, when the parent is gone.

    Args:
        grace_seconds: How long to go on after that, for those who still need this process.
    """
    parent = os.environ.get(_PARENT)
    if parent:
        threading.Thread(target=_watch, args=(int(parent), grace_seconds), daemon=True).start()


def _watch(parent: int, grace_seconds: float) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    time.sleep(grace_seconds)
    os.kill(os.getpid(), signal.SIGTERM)
