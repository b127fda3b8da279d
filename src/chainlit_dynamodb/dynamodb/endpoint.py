"""Region, endpoint, proxy and certificates: what was configured, else the region's own endpoint.

A botocore client knows it too, but making one parses megabytes of JSON in one go, which holds up the event loop even
from another thread. So botocore is asked only where its configuration is out of the ordinary.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ProfileNotFound
from botocore.session import Session
from botocore.utils import get_environ_proxies, is_valid_endpoint_url, validate_region_name
from yarl import URL

from chainlit_dynamodb.errors import ConfigurationError, CredentialsError

NO_REGION: Final = "No AWS region found. Pass region_name= or set AWS_REGION."

_VARIABLES: Final = ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL")
_SPECIAL_VARIABLES: Final = ("use_fips_endpoint", "use_dualstack_endpoint", "ignore_configured_endpoint_urls")
_SPECIAL_SETTINGS: Final = frozenset({"endpoint_url", "services"})


@dataclass(frozen=True)
class Target:
    """Where requests go and who signs them.

    Attributes:
        session: Knows the credentials.
        region_name: Part of what is signed.
        endpoint_url: Where requests go.
        proxy_url: What they go through; `None` for nothing.
        tls: Which certificates are trusted; `None` for those the system trusts.
    """

    session: Session
    region_name: str
    endpoint_url: str
    proxy_url: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None


def resolve_target(region_name: str | None, endpoint_url: str | None, environment: Mapping[str, str]) -> Target:
    """Find region, endpoint, proxy and trusted certificates the way AWS SDKs do. Blocks: reads files.

    Args:
        region_name: Wins over `AWS_REGION`, which wins over `AWS_DEFAULT_REGION` and the profile.
        endpoint_url: Wins over `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL` and the profile.
        environment: The process's environment.

    Raises:
        CredentialsError: There is no region, or the named profile does not exist.
        ConfigurationError: The region, the endpoint, the proxy or the bundle of certificates makes no sense.
    """
    try:
        session = Session()
        region = region_name or environment.get("AWS_REGION") or session.get_config_variable("region")
        if not region:
            raise CredentialsError(NO_REGION)
        url = endpoint_of(session, region, endpoint_url, environment)
        tls = _tls(session, environment) if url.startswith("https:") else None
        return Target(session, region, url, _proxy_for(url), tls)
    except ProfileNotFound as exc:
        raise CredentialsError(f"{exc}. Set AWS_PROFILE to a profile of ~/.aws/config.") from exc
    except (BotoCoreError, ValueError) as exc:
        raise ConfigurationError(
            f"{exc}. Check region_name, endpoint_url, the AWS_ variables and ~/.aws/config; an endpoint looks like "
            "http://localhost:8000."
        ) from exc


def _proxy_for(endpoint_url: str) -> str | None:
    found = get_environ_proxies(endpoint_url).get(urlsplit(endpoint_url).scheme)
    if not found:
        return None
    url = str(found) if "://" in found else f"http://{found}"
    if not _is_http_url(url):
        raise ConfigurationError("The proxy of the environment is no http URL. Check HTTP_PROXY and HTTPS_PROXY.")
    return url


def _is_http_url(url: str) -> bool:
    try:
        return URL(url).scheme in ("http", "https") and bool(URL(url).host)
    except ValueError:
        return False


def _tls(session: Session, environment: Mapping[str, str]) -> ssl.SSLContext | None:
    bundle = session.get_config_variable("ca_bundle") or environment.get("REQUESTS_CA_BUNDLE")
    if not bundle:
        return None
    try:
        return ssl.create_default_context(cafile=bundle)
    except OSError as exc:
        raise ConfigurationError(
            f"Certificates could not be read from {bundle}: {type(exc).__name__}. Check AWS_CA_BUNDLE."
        ) from exc


def endpoint_of(session: Session, region_name: str, endpoint_url: str | None, environment: Mapping[str, str]) -> str:
    """Return the URL that a client of this session would use. Blocks: reads files.

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
    if url is not None and not (is_valid_endpoint_url(url) and _is_http_url(url)):
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
