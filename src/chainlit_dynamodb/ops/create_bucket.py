"""Creates the bucket for attachments on the embedded engine."""

from __future__ import annotations

from typing import Any

from chainlit_dynamodb.ops.aws import aws_errors


def create_bucket(client: Any, bucket: str) -> bool:
    """Create a bucket unless it is there.

    Args:
        client: A botocore or boto3 S3 client.
        bucket: The name of the bucket.

    Returns:
        `True` if the bucket was made, `False` if it was there.

    Raises:
        RequestError: The storage refused, or could not be reached.
    """
    with aws_errors(bucket):
        if bucket in _bucket_names(client):
            return False
        client.create_bucket(Bucket=bucket, **_location(client.meta.region_name))
        return True


def _bucket_names(client: Any) -> set[str]:
    return {bucket["Name"] for bucket in client.list_buckets().get("Buckets", [])}


def _location(region: str) -> dict[str, Any]:
    # S3 refuses the name of its oldest region here.
    if region == "us-east-1":
        return {}
    return {"CreateBucketConfiguration": {"LocationConstraint": region}}
