"""Creates the bucket for attachments, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

from chainlit_dynamodb.errors import AccessDeniedError
from chainlit_dynamodb.ops.aws import aws_errors


def create_bucket(client: Any, bucket: str) -> bool:
    """Create a bucket unless it is there. New ones are private: S3 blocks public access to them.

    Args:
        client: A botocore or boto3 S3 client.
        bucket: The name of the bucket.

    Returns:
        `True` if the bucket was made, `False` if it was there.

    Raises:
        AccessDeniedError: IAM does not allow it, or another account has a bucket of that name.
        RequestError: The storage refused, or could not be reached.
    """
    with aws_errors(bucket), _denials_of(bucket):
        if _is_there(client, bucket):
            return False
        client.create_bucket(Bucket=bucket, **_location(client.meta.region_name))
        return True


@contextmanager
def _denials_of(bucket: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if _status(error) != HTTPStatus.FORBIDDEN:
            raise
        advice = f"allow s3:CreateBucket and s3:ListBucket on bucket {bucket}, unless another account has that name"
        raise AccessDeniedError(error.operation_name, "AccessDenied", advice) from error


def _is_there(client: Any, bucket: str) -> bool:
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if _status(error) != HTTPStatus.NOT_FOUND:
            raise
        return False
    return True


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _location(region: str) -> dict[str, Any]:
    # S3 refuses the name of its oldest region here.
    if region == "us-east-1":
        return {}
    return {"CreateBucketConfiguration": {"LocationConstraint": region}}
