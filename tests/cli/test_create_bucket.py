"""`create-bucket`."""

from __future__ import annotations

import uuid

import boto3
import pytest
from click.testing import CliRunner, Result

from chainlit_dynamodb.cli.main import main
from chainlit_dynamodb.errors import AccessDeniedError
from chainlit_dynamodb.ops.create_bucket import create_bucket
from tests.ports import free_port
from tests.storage.fake_service import Answer, fake_service


def create(bucket: str, url: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["create-bucket", bucket, "--endpoint-url", url, *options])


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_the_bucket_is_made_once(ministack_url: str, region: str) -> None:
    name = f"test-{uuid.uuid4().hex}"
    said = [create(name, ministack_url, "--region", region).stdout for _ in range(2)]
    assert said == [f"Bucket {name} created in {region}.\n", f"Bucket {name} is already there.\n"]
    client = boto3.client("s3", endpoint_url=ministack_url)
    assert client.get_bucket_location(Bucket=name)["LocationConstraint"] in (region, None)
    client.delete_bucket(Bucket=name)


def test_an_endpoint_where_nobody_listens_is_one_line() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = create("files", url)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert url in result.stderr


def test_a_bucket_of_another_account_says_what_may_be_wrong() -> None:
    with (
        fake_service(lambda _: Answer(403)) as service,
        pytest.raises(AccessDeniedError, match=r"s3:CreateBucket .* unless another account"),
    ):
        create_bucket(boto3.client("s3", endpoint_url=service.url), "taken")
