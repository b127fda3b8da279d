"""`create-bucket`."""

from __future__ import annotations

import click

from chainlit_dynamodb.cli.options import aws_options
from chainlit_dynamodb.ops.aws import AwsTarget, aws_client
from chainlit_dynamodb.ops.create_bucket import create_bucket as create


@click.command("create-bucket", short_help="Create the bucket for files on Amazon S3.")
@click.argument("bucket")
@aws_options
def create_bucket(bucket: str, region: str | None, endpoint_url: str | None, profile: str | None) -> None:
    """Create BUCKET, private, for the files of chats.

    One that is there already is left as it is, so this can run before every deployment. The names of all buckets
    in the world differ: choose one that nobody else has.

    \b
    Example:
      chainlit-dynamodb create-bucket example-com-chat-files --region eu-west-1
      chainlit-dynamodb create-bucket chat-files --endpoint-url http://localhost:9000
    """
    client = aws_client("s3", AwsTarget(region, endpoint_url, profile))
    if create(client, bucket):
        click.echo(f"Bucket {bucket} created in {client.meta.region_name}.")
    else:
        click.echo(f"Bucket {bucket} is already there.")
