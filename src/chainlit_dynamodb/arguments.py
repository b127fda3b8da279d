"""Arguments brought to their types, and within their limits: Chainlit checks little of what a browser sends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from chainlit_dynamodb.dynamodb.codec import plain, weight_bytes
from chainlit_dynamodb.errors import ConfigurationError
from chainlit_dynamodb.limits import COMMENT_CHARS, METADATA_BYTES, NAME_CHARS, SEARCH_CHARS, TAG_CHARS, TAGS

if TYPE_CHECKING:
    from chainlit.types import Feedback

logger = logging.getLogger("chainlit.DynamoDB")


def check_options(table_name: str, user_thread_limit: int, client: object, transport: object) -> None:
    """Raise a `ConfigurationError` if what a layer is made with makes no sense."""
    if not table_name or not table_name.strip():
        raise ConfigurationError("table_name must be the name of a DynamoDB table.")
    if user_thread_limit < 1:
        raise ConfigurationError("user_thread_limit must be at least 1.")
    if client is not None and transport is not None:
        raise ConfigurationError("client and transport exclude each other.")


def id_of(value: object) -> str:
    """Return a text as an id, and "" for anything else, of which no key is made."""
    return str.__str__(value) if issubclass(type(value), str) else ""


def text_of(value: object) -> str | None:
    """Return a plain copy of a text, and `None` for anything else."""
    return plain(value) if issubclass(type(value), str) else None


def dict_of(value: object) -> dict[str, Any] | None:
    """Return a plain copy of a mapping, and `None` for anything else."""
    copied = plain(value)
    return copied if isinstance(copied, dict) else None


def list_of(value: object) -> list[Any] | None:
    """Return a plain copy of a list, and `None` for anything else."""
    copied = plain(value)
    return copied if isinstance(copied, list) else None


def name_of(value: object) -> str | None:
    """Return the name of a thread, cut at its limit, and `None` for anything else."""
    return _cut(text_of(value), NAME_CHARS, "The name of a thread")


def search_of(value: object) -> str | None:
    """Return what is searched for, cut at its limit, and `None` for anything else, and where nothing is."""
    return _cut((text_of(value) or "").strip() or None, SEARCH_CHARS, "A search")


def tags_of(value: object) -> list[Any] | None:
    """Return the tags of a thread, as many and as long as they may be, and `None` for anything else."""
    tags = list_of(value)
    if tags is None:
        return None
    if len(tags) > TAGS:
        logger.warning("Of %d tags of a thread %d are kept", len(tags), TAGS)
    return [_cut(tag, TAG_CHARS, "A tag") if isinstance(tag, str) else tag for tag in tags[:TAGS]]


def metadata_of(value: object) -> dict[str, Any] | None:
    """Return the metadata of a thread, and `None` for anything else, and for more than there may be."""
    if weight_bytes(value, METADATA_BYTES) <= METADATA_BYTES:  # before it is copied, which takes longer
        metadata = dict_of(value)
        if weight_bytes(metadata, METADATA_BYTES) <= METADATA_BYTES:
            return metadata
    logger.error("Metadata of a thread is not stored: it takes more than %d bytes of memory", METADATA_BYTES)
    return None


def _cut(text: str | None, most_chars: int, what: str) -> str | None:
    if text is None or len(text) <= most_chars:
        return text
    logger.warning("%s of %d characters is cut to %d", what, len(text), most_chars)
    return text[:most_chars]


def feedback_of(feedback: Feedback) -> tuple[str, str | None, int | None, str | None]:
    """Return the step, the thread if it is named, the value and the comment, cut at its limit."""
    comment = _cut(text_of(feedback.comment), COMMENT_CHARS, "A comment")
    return id_of(feedback.forId), id_of(feedback.threadId) or None, feedback_value_of(feedback.value), comment


def feedback_value_of(value: object) -> int | None:
    """Return a feedback value, 0 or 1, and `None` for anything else."""
    return int(value) if isinstance(value, int) and value in (0, 1) else None


def count_of(value: object) -> int:
    """Return a whole number, and 0 for anything else."""
    return value if type(value) is int else 0
