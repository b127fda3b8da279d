"""`chainlit run` with this package's classes at the import paths of Chainlit's own."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from chainlit_dynamodb.cli.local import BUCKET_VARIABLE, TABLE_VARIABLE
from chainlit_dynamodb.ops.child import end_with_parent


def run_chainlit(arguments: Sequence[str], advice: str = "") -> None:
    """Run Chainlit's own `run` command in this process. It exits the process.

    Args:
        arguments: All that follows `chainlit run`.
        advice: What is said after the failure of a data layer that is checked at the start.
    """
    import_module("chainlit_dynamodb.drop_in")
    chainlit = import_module("chainlit.cli").cli
    server = import_module("chainlit_dynamodb.cli.checked_server")
    server.check_before_serving(advice)
    server.check_secret_in_one_line()
    chainlit.main(["run", *arguments], prog_name="chainlit-dynamodb")


def main() -> None:
    """Run an app as a child process of `chainlit-dynamodb`, which has made a table and a bucket for it."""
    end_with_parent()
    made = f"table {os.environ[TABLE_VARIABLE]} and bucket {os.environ[BUCKET_VARIABLE]}"
    run_chainlit(sys.argv[1:], f"(--local made {made}; --table and --bucket choose others.)")


if __name__ == "__main__":
    main()
