"""`create-table` and `template`."""

from __future__ import annotations

import click

from chainlit_dynamodb.cli.options import aws_options
from chainlit_dynamodb.ops.aws import AwsTarget, aws_client
from chainlit_dynamodb.ops.create_table import create_table as create
from chainlit_dynamodb.ops.template import PLACEHOLDER, cloudformation


@click.command("create-table", short_help="Create the table, or check it.")
@click.argument("table")
@aws_options
def create_table(table: str, region: str | None, endpoint_url: str | None, profile: str | None) -> None:
    """Create TABLE and wait until it can be used.

    A table that is there already is checked and left as it is, so this can run before every deployment.

    \b
    Example:
      chainlit-dynamodb create-table chats --region eu-west-1
      chainlit-dynamodb create-table chats --endpoint-url http://localhost:8000
    """
    client = aws_client("dynamodb", AwsTarget(region, endpoint_url, profile))
    if create(client, table):
        click.echo(f"Table {table} created in {client.meta.region_name}.")
    else:
        click.echo(f"Table {table} is already there, with the right keys and index.")


@click.command("template", short_help="Print the table as CloudFormation.")
@click.argument("table", default=PLACEHOLDER, metavar="[TABLE]")
def template(table: str) -> None:
    """Print the CloudFormation template of the table.

    \b
    Example:
      chainlit-dynamodb template chats > table.yaml
      aws cloudformation deploy --stack-name chats --template-file table.yaml
    """
    click.echo(cloudformation(table), nl=False)
