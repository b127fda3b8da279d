"""Asks a storage what a browser would ask it: may a page of this origin read your files?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from chainlit_dynamodb.errors import ConfigurationError, StorageError

PROBE_KEY = "chainlit-dynamodb/cors-probe"
EXPOSED_HEADERS = ("Content-Length", "Content-Range", "Accept-Ranges", "Content-Type")
MAX_AGE_SECONDS = 3600
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class CorsCheck:
    """Whether pages of one origin can read files with `fetch()`.

    Attributes:
        origin: The origin that was asked for.
        ok: Whether nothing is missing.
        missing: What a browser will miss, one sentence each.
        rule: The rule to add for this origin, ready to paste; `""` where none is needed.
    """

    origin: str
    ok: bool
    missing: tuple[str, ...]
    rule: str


def checked_origin(origin: str) -> str:
    """Make sure that a text is what browsers call an origin.

    Args:
        origin: As `https://chat.example.com`; a slash at its end is forgiven.

    Returns:
        The origin as browsers send it.

    Raises:
        ConfigurationError: It has no scheme or host, or more than these and a port.
    """
    trimmed = origin.rstrip("/").lower()
    parts = urlsplit(trimmed)
    if parts.scheme not in ("http", "https") or not parts.hostname or f"{parts.scheme}://{parts.netloc}" != trimmed:
        raise ConfigurationError(f"origin must look like https://chat.example.com, not {origin!r}")
    return trimmed


async def check_cors(url: str, origin: str, rule: str) -> CorsCheck:
    """Send the preflight request that a browser sends before it reads part of a file.

    It needs no permission, and the file need not exist.

    Args:
        url: A read URL of any key.
        origin: What `checked_origin` returned.
        rule: The rule to propose.

    Returns:
        The verdict.

    Raises:
        StorageError: The storage could not be reached.
    """
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
    try:
        # As all SDKs do, this goes through the proxy of the environment.
        async with (
            aiohttp.ClientSession(trust_env=True, timeout=aiohttp.ClientTimeout(_TIMEOUT_SECONDS)) as session,
            session.options(url, headers=asked) as response,
        ):
            missing = tuple(_missing(origin, response.headers))
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as exc:
        host = urlsplit(url).netloc
        raise StorageError(f"{host} could not be asked about CORS: {type(exc).__name__}: {exc}") from exc
    return CorsCheck(origin, not missing, missing, rule)


def _missing(origin: str, headers: Mapping[str, str]) -> list[str]:
    allowed = headers.get("Access-Control-Allow-Origin", "").lower()
    if allowed not in ("*", origin):
        return [f"No rule allows {origin}" + (f", only {allowed}" if allowed else "")]
    missing = []
    if not _lists(headers.get("Access-Control-Allow-Methods", ""), "get"):
        missing.append("The rule does not allow GET")
    if not _lists(headers.get("Access-Control-Allow-Headers", ""), "range"):
        missing.append("The rule does not allow the request header Range, which PDFs are read with")
    return missing


def _lists(header: str, wanted: str) -> bool:
    return bool({"*", wanted} & {entry.strip().lower() for entry in header.split(",")})
