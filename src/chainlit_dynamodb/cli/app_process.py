"""`chainlit run` with this package's classes at the import paths of Chainlit's own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from chainlit_dynamodb.ops.child import end_with_parent


def run_chainlit(arguments: Sequence[str]) -> None:
    """Run Chainlit's own `run` command in this process. It exits the process.

    Args:
        arguments: All that follows `chainlit run`.
    """
    import_module("chainlit_dynamodb.drop_in")
    import_module("chainlit.cli").cli.main(["run", *arguments], prog_name="chainlit-dynamodb")


def main() -> None:
    """Run an app as a child process of `chainlit-dynamodb`."""
    end_with_parent()
    run_chainlit(sys.argv[1:])


if __name__ == "__main__":
    main()
