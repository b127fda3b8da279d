"""Asks a storage what a browser would ask it: may a page of this origin read your files?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from chainlit_dynamodb.errors import ConfigurationError, StorageError

PROBE_KEY: Final = "chainlit-dynamodb/cors-probe"
EXPOSED_HEADERS: Final = ("Content-Length", "Content-Range", "Accept-Ranges", "Content-Type")
MAX_AGE_SECONDS: Final = 3600
_TIMEOUT_SECONDS: Final = 30


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
    try:
        # As all SDKs do, this goes through the proxy of the environment.
        async with aiohttp.ClientSession(trust_env=True, timeout=aiohttp.ClientTimeout(_TIMEOUT_SECONDS)) as session:
            missing = await _missing(session, url, origin)
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as exc:
        host = urlsplit(url).netloc
        raise StorageError(f"{host} could not be asked about CORS: {type(exc).__name__}: {exc}") from exc
    return CorsCheck(origin, not missing, missing, rule)


async def _missing(session: aiohttp.ClientSession, url: str, origin: str) -> tuple[str, ...]:
    with_range = await _preflight(session, url, origin, {"Access-Control-Request-Headers": "range"})
    if _allows(with_range, origin) and _lists(with_range.get("Access-Control-Allow-Headers", ""), "range"):
        return ()
    # Most storages refuse the whole preflight for one header that no rule has.
    plain = await _preflight(session, url, origin, {})
    if _allows(plain, origin):
        return ("The rule does not allow the request header Range, which PDFs are read with",)
    allowed = plain.get("Access-Control-Allow-Origin")
    return (f"No rule allows {origin} to GET" + (f", only {allowed}" if allowed else ""),)


async def _preflight(
    session: aiohttp.ClientSession, url: str, origin: str, headers: Mapping[str, str]
) -> Mapping[str, str]:
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET", **headers}
    async with session.options(url, headers=asked) as response:
        return response.headers


def _allows(headers: Mapping[str, str], origin: str) -> bool:
    # GET needs no mention: browsers allow it, and a rule without it is no rule for this preflight.
    return headers.get("Access-Control-Allow-Origin", "").lower() in ("*", origin)


def _lists(header: str, wanted: str) -> bool:
    return bool({"*", wanted} & {entry.strip().lower() for entry in header.split(",")})
