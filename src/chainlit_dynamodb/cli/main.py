"""The command `chainlit-dynamodb`."""

from __future__ import annotations

from typing import Any

import click

from chainlit_dynamodb import __version__
from chainlit_dynamodb.cli.bucket import create_bucket
from chainlit_dynamodb.cli.demo import demo
from chainlit_dynamodb.cli.run import run
from chainlit_dynamodb.cli.table import create_table, template
from chainlit_dynamodb.errors import ChainlitDynamoDBError


class _OneLineErrors(click.Group):
    """A group whose failures are one line on stderr and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ChainlitDynamoDBError as error:
            raise click.ClickException(" ".join(str(error).split())) from error


@click.group(cls=_OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chainlit-dynamodb")
def main() -> None:
    """Chainlit chats on Amazon DynamoDB.

    \b
    Example:
      chainlit-dynamodb demo                    a chat to play with, no AWS account needed
      chainlit-dynamodb create-table chats      make the table in your AWS account
      chainlit-dynamodb create-bucket files     and the bucket
      chainlit-dynamodb run --local app.py      your own app, everything on this machine
    """


for command in (create_table, create_bucket, template, run, demo):
    main.add_command(command)

if __name__ == "__main__":
    main()
