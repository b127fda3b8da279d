"""Clients of the standard AWS chain, and botocore's errors as the errors of this package."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import botocore.config
import botocore.session
from botocore import exceptions as aws

from chainlit_dynamodb.dynamodb.failures import coded_failure
from chainlit_dynamodb.errors import (
    ChainlitDynamoDBError,
    ConfigurationError,
    CredentialsError,
    RequestError,
    TransientError,
)

_NO_CREDENTIALS: Final = (
    "No AWS credentials were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with "
    "--profile or AWS_PROFILE."
)
_PATIENCE: Final = botocore.config.Config(connect_timeout=5, read_timeout=6, retries={"total_max_attempts": 3})
"""Somebody waits in front of a terminal: an endpoint that takes requests and answers none is given up after 20 s."""
_NO_REGION: Final = "No AWS region is set. Pass --region, or set AWS_REGION."


@dataclass(frozen=True)
class AwsTarget:
    """Which AWS, or what stands in for it; what is `None` comes from the environment or the profile."""

    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None


def aws_client(service: str, target: AwsTarget) -> Any:
    """Make a botocore client.

    Args:
        service: The service as botocore names it, `dynamodb` or `s3`.
        target: Where the service is.

    Raises:
        CredentialsError: No region is set.
        ConfigurationError: The profile does not exist or the endpoint is not a URL.
    """
    with aws_errors():
        session = botocore.session.Session(profile=target.profile)
        try:
            return _made(session, service, target)
        except ValueError as error:  # what botocore says of a malformed endpoint
            raise ConfigurationError(str(error)) from error


def _made(session: Any, service: str, target: AwsTarget) -> Any:
    return session.create_client(
        service,
        region_name=target.region or _region_of(session),
        endpoint_url=target.endpoint_url,
        config=_PATIENCE,
    )


def _region_of(session: Any) -> str | None:
    # botocore itself reads AWS_DEFAULT_REGION only; every other SDK, and Lambda and ECS, say AWS_REGION.
    region = os.environ.get("AWS_REGION") or session.get_config_variable("region")
    return str(region) if region else None


@contextmanager
def aws_errors(resource: str = "") -> Iterator[None]:
    """Turn botocore's errors into this package's, each with what to do about it.

    Args:
        resource: The table or bucket, for the message.
    """
    try:
        yield
    except aws.ClientError as error:
        raise _refusal(error, resource) from error
    except aws.BotoCoreError as error:
        raise _failure(error) from error


def _refusal(error: Any, resource: str) -> ChainlitDynamoDBError:
    code = error.response.get("Error", {}).get("Code", "Unknown")
    message = error.response.get("Error", {}).get("Message", "")
    failure = coded_failure(error.operation_name, resource, code, message)
    if type(failure) is RequestError and message:  # of a table, not of a chat: the service's own words may be shown
        return RequestError(error.operation_name, code, message)
    return failure


def _failure(error: Any) -> ChainlitDynamoDBError:
    if isinstance(error, aws.NoRegionError):
        return CredentialsError(_NO_REGION)
    if isinstance(error, aws.NoCredentialsError | aws.PartialCredentialsError):
        return CredentialsError(_NO_CREDENTIALS)
    if isinstance(error, aws.HTTPClientError):
        return TransientError("connect", type(error).__name__, str(error))
    return ConfigurationError(str(error))
