"""Page cursors: where a listing goes on, bound to the listing it was issued for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Final, NamedTuple

from chainlit_dynamodb.errors import CursorError
from chainlit_dynamodb.schema import thread_key

_DIGEST_BYTES: Final = 12
_MAX_SORT_KEY_BYTES: Final = 1024


class Position(NamedTuple):
    """A place in a listing of threads: index sort key and thread id of the last one shown."""

    index_sk: str
    thread_id: str


def encode_cursor(position: Position, scope: str) -> str:
    """Return the cursor of a position in the listing that `scope` names."""
    content = json.dumps(list(position), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_digest(content, scope) + content).decode().rstrip("=")


def decode_cursor(cursor: str, scope: str) -> Position:
    """Return the position of a cursor.

    Raises:
        CursorError: It is garbage, or was issued for another listing.
    """
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hmac.compare_digest(digest, _digest(content, scope)):
            return _position(json.loads(content))
    except (binascii.Error, ValueError, RecursionError):
        pass
    raise CursorError("This cursor was not issued for this listing. Start again without one.")


def _position(content: object) -> Position:
    """Take what a cursor holds, if DynamoDB takes it as a place: anybody may make a cursor."""
    if not isinstance(content, list) or len(content) != 2 or not all(isinstance(part, str) for part in content):
        raise ValueError("not a place")
    index_sk, thread_id = content
    thread_key(thread_id)
    if not 0 < len(index_sk.encode()) <= _MAX_SORT_KEY_BYTES:
        raise ValueError("not a sort key")
    return Position(index_sk, thread_id)


def _digest(content: bytes, scope: str) -> bytes:
    """Bind content to a listing. No secret is needed: a listing never leaves its own user's partition."""
    return hashlib.blake2b(content + b"\0" + scope.encode(), digest_size=_DIGEST_BYTES).digest()
