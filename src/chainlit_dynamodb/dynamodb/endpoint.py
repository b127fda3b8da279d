"""Where DynamoDB is: what was configured, else the region's own endpoint.

A botocore client knows it too, but making one parses megabytes of JSON in one go, which holds up the event loop even
from another thread. So botocore is asked only where its configuration is out of the ordinary.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from botocore.session import Session
from botocore.utils import is_valid_endpoint_url, validate_region_name

_VARIABLES: Final = ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL")
_SPECIAL_VARIABLES: Final = ("use_fips_endpoint", "use_dualstack_endpoint", "ignore_configured_endpoint_urls")
_SPECIAL_SETTINGS: Final = frozenset({"endpoint_url", "services"})


def endpoint_of(session: Session, region_name: str, endpoint_url: str | None, environment: Mapping[str, str]) -> str:
    """Give the URL that a client of this session would use. Blocks: reads files.

    Args:
        session: Knows the configuration.
        region_name: The region.
        endpoint_url: Wins over everything else.
        environment: The process's environment.

    Raises:
        BotoCoreError: The configuration makes no sense.
        ValueError: The endpoint is no URL.
    """
    validate_region_name(region_name)
    if any(session.get_config_variable(name) for name in _SPECIAL_VARIABLES):
        return _as_botocore_says(session, region_name, endpoint_url)
    url = endpoint_url or next(filter(None, map(environment.get, _VARIABLES)), None)
    if url is None and _SPECIAL_SETTINGS & set(session.get_scoped_config()):
        return _as_botocore_says(session, region_name, None)
    if url is not None and not is_valid_endpoint_url(url):
        raise ValueError(f"Invalid endpoint: {url}")
    return url or _of_region(session, region_name) or _as_botocore_says(session, region_name, None)


def _of_region(session: Session, region_name: str) -> str | None:
    partitions: list[dict[str, Any]] = session.get_component("data_loader").load_data("partitions")["partitions"]
    for partition in partitions:
        if region_name in partition["regions"] or re.match(partition["regionRegex"], region_name):
            return f"https://dynamodb.{region_name}.{partition['outputs']['dnsSuffix']}"
    return None


def _as_botocore_says(session: Session, region_name: str, endpoint_url: str | None) -> str:
    client = session.create_client(
        "dynamodb",
        region_name=region_name,
        endpoint_url=endpoint_url,
        aws_access_key_id="-",
        aws_secret_access_key="-",  # noqa: S106 - it signs nothing
    )
    url = str(client.meta.endpoint_url)
    client.close()
    return url
