"""Whose a thread is, and who may touch it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chainlit_dynamodb.dynamodb.expressions import Condition, all_of, any_of, equals, missing
from chainlit_dynamodb.schema import USER_ID, USER_IDENTIFIER

logger = logging.getLogger("chainlit.DynamoDB")


@dataclass(frozen=True)
class Asker:
    """A person who asks for a change. `None` in place of one is the app itself, or a bot: they may touch everything.

    Attributes:
        names: Under which a thread is theirs: their identifier, and their id. None for visitors of an app without
            login.
        may_claim: They may touch what is nobody's, too.
    """

    names: frozenset[str]
    may_claim: bool = True


def may_touch(asker: Asker | None, owner: str) -> bool:
    """Return whether who asks may touch a thread of an owner; "" if it has none, or is not made yet."""
    if asker is None:
        return True
    return owner in asker.names if owner else asker.may_claim


def is_admitted(asker: Asker | None, owner: str, thread_id: str) -> bool:
    """Return the same, and say so in the log if they may not."""
    is_allowed = may_touch(asker, owner)
    if not is_allowed:
        logger.warning("A change of another user's thread is refused: %r", thread_id)
    return is_allowed


def owner_of(thread: Mapping[str, Any]) -> str:
    """Return the identifier of the owner of a thread's row, or "" if it has none."""
    return str(thread.get(USER_IDENTIFIER) or thread.get(USER_ID) or "")


def is_touched_by(asker: Asker | None) -> Condition | None:
    """Return what must hold of a thread's row so that who asks may touch it; `None` if nothing must."""
    if asker is None:
        return None
    nobodys = [all_of(_is_empty(USER_IDENTIFIER), _is_empty(USER_ID))] if asker.may_claim else []
    own = [_is_named(name) for name in sorted(asker.names)]
    return any_of(*nobodys, *own)


def _is_named(owner: str) -> Condition:
    return any_of(equals(USER_IDENTIFIER, owner), all_of(_is_empty(USER_IDENTIFIER), equals(USER_ID, owner)))


def _is_empty(attribute: str) -> Condition:
    return any_of(missing(attribute), equals(attribute, None), equals(attribute, ""))
