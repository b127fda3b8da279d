"""The headers that a file is served with: its media type, and its name as `Content-Disposition`."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from chainlit_dynamodb.errors import StorageError
from chainlit_dynamodb.log_lines import UNFIT

DEFAULT_MIME: Final = "application/octet-stream"
MAX_FILE_NAME: Final = 200
MAX_FILE_EXTENSION: Final = 20

# RFC 5987 attr-char without the letters, digits and `-._~` that quote() leaves alone anyway.
_ATTR_CHARS: Final = "!#$&+^`|"
_UNSAFE_IN_QUOTED_STRING: Final = re.compile(r"[^ -~]|[\"\\%/]")
_PATH_SEPARATORS: Final = re.compile(r"[/\\]")
_ACTIVE_TYPE: Final = re.compile(
    r"[^/]+/(?:x-)?(?:html|xml|xsl|rdf|.+\+xml|(?:java|ecma|j|live)script[\d.]*|mixed-replace)", re.I
)
_SVG: Final = "image/svg+xml"
_HEADER_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")


@dataclass(frozen=True)
class FileHeaders:
    """What is stored with a file, and sent back unchanged when it is read.

    Attributes:
        mime: The `Content-Type`.
        content_disposition: The `Content-Disposition`, if one was given.
    """

    mime: str
    content_disposition: str | None


def checked_mime(mime: str | None) -> str:
    """Make sure that a media type fits into a header; browsers supply them unchecked.

    Args:
        mime: The type as it came.

    Returns:
        The type unchanged, or `application/octet-stream` when it cannot be sent.
    """
    # Of several types in one header browsers take the last.
    return mime if mime and _HEADER_VALUE.fullmatch(mime) and "," not in mime else DEFAULT_MIME


def inert_mime(mime: str | None, *, is_saved: bool) -> str:
    """Replace a media type by which a browser would run what somebody uploaded: pages, XML, scripts.

    Args:
        mime: The type as it came from a browser.
        is_saved: The file is served as an attachment. Then an SVG may be one: `<img>` shows it, and runs nothing.

    Returns:
        The type, or `text/plain`; `application/octet-stream` for what is no type, which browsers make a guess at.
    """
    checked = checked_mime(mime)
    media_type = checked.partition(";")[0].strip().lower()
    if "/" not in media_type:
        return DEFAULT_MIME
    if media_type == _SVG and is_saved:
        return checked
    return "text/plain" if _ACTIVE_TYPE.fullmatch(media_type) else checked


def checked_disposition(header: str | None) -> str | None:
    """Make sure that a given `Content-Disposition` can be sent as a header.

    Args:
        header: The value as it came.

    Returns:
        The value unchanged.

    Raises:
        StorageError: It holds line breaks or characters outside ASCII.
    """
    if header is not None and not _HEADER_VALUE.fullmatch(header):
        raise StorageError(f"content_disposition {header!r} is no header value; content_disposition() makes one")
    return header


def content_disposition(file_name: str, *, inline: bool = False) -> str:
    """Make a `Content-Disposition` header (RFC 6266) from any file name.

    Args:
        file_name: The name as a user gave it; quotes, line breaks, slashes, any script.
        inline: Whether the browser shows the file instead of saving it.

    Returns:
        The header in pure ASCII, with a plain fallback name and the exact name in `filename*`.
    """
    name = _presentable(file_name)
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    plain = _UNSAFE_IN_QUOTED_STRING.sub("_", plain)
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"


def _presentable(file_name: str) -> str:
    # What is unfit for a line is so for a name: the marks that turn text around show `exe.pdf` as `fdp.exe`.
    name = UNFIT.sub("", _PATH_SEPARATORS.sub("_", file_name)).strip()
    if len(name) > MAX_FILE_NAME:
        extension = Path(name).suffix[:MAX_FILE_EXTENSION]
        name = name[: MAX_FILE_NAME - len(extension)] + extension
    return name or "file"
