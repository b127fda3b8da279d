"""The program of the embedded engine's process."""

from __future__ import annotations

from chainlit_dynamodb.ops.child import end_with_parent


def main() -> None:
    """Serve DynamoDB and S3 as the environment says; what is held is written on the way out."""
    from ministack.app import main as serve  # noqa: PLC0415

    end_with_parent(grace_seconds=3)  # the app, which ends with the same parent, writes its last
    serve()


if __name__ == "__main__":
    main()
