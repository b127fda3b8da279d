"""What an object key is called inside a bucket, whatever characters it has."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from chainlit_dynamodb.errors import StorageError

MAX_NAME_BYTES: Final = 1024
"""What S3 and Google allow; Azure allows as many characters."""

_DOT_SEGMENT: Final = re.compile(r"(^|/)(\.{1,2}~*)(?=/|$)")


def checked_key(object_key: str) -> bytes:
    """Return an object key in bytes, if it is one.

    Args:
        object_key: The key to check.

    Returns:
        The key in UTF-8.

    Raises:
        StorageError: The key is empty or is not valid Unicode.
    """
    if not object_key:
        raise StorageError("The object key is empty")
    try:
        return object_key.encode()
    except UnicodeEncodeError as exc:
        raise StorageError(f"The object key {object_key!r} is not valid Unicode") from exc


def object_name(object_key: str, prefix: str) -> str:
    """Name an object inside a bucket so that its URL survives a browser.

    A browser resolves the path segments `.` and `..` before it sends a URL, percent-encoded ones too, and
    breaks the signature. Such a segment gets a `~` behind it, and so does one that already looks like the
    result: no two keys share a name.

    Args:
        object_key: The key to name.
        prefix: The folder inside the bucket, `""` for none.

    Returns:
        The name.

    Raises:
        StorageError: The key is empty, not valid Unicode, or too long.
    """
    checked_key(object_key)
    name = _DOT_SEGMENT.sub(r"\1\2~", f"{prefix}/{object_key}" if prefix else object_key)
    if len(name.encode()) > MAX_NAME_BYTES:
        raise StorageError(f"The object key {object_key[:80]!r}… is longer than {MAX_NAME_BYTES} bytes")
    return name


def hashed_if(unfit: re.Pattern[str], object_key: str) -> str:
    """Replace a key that a cloud cannot hold as a name by its hash.

    Args:
        unfit: What the cloud cannot hold; it must also match what begins with `~sha256/`, so that no two keys share
            a name.
        object_key: The key.

    Returns:
        The key itself, or `~sha256/` and its hash.

    Raises:
        StorageError: The key is not valid Unicode.
    """
    if not unfit.search(object_key):
        return object_key
    return f"~sha256/{hashlib.sha256(checked_key(object_key)).hexdigest()}"
