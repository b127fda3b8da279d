"""The program of the embedded engine's process."""

from __future__ import annotations

import os
from typing import Final

from chainlit_dynamodb.ops.child import end_with_parent
from chainlit_dynamodb.ops.engine_gate import Gate

SECRET_VARIABLE: Final = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - a name
"""As the engine itself knows it; other users of the machine cannot read the environment of a process."""


def main() -> None:
    """Serve DynamoDB, S3 and KMS as the environment says; what is held is written on the way out."""
    os.umask(0o077)
    from ministack import app as engine  # noqa: PLC0415

    end_with_parent(grace_seconds=3)  # the app, which ends with the same parent, writes its last
    engine.app = Gate(engine.app, os.environ[SECRET_VARIABLE])
    engine.main()


if __name__ == "__main__":
    main()
