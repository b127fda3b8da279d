"""Whose a thread is, and who may touch it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from chainlit_dynamodb.dynamodb.expressions import Condition, all_of, any_of, equals, missing
from chainlit_dynamodb.schema import USER_ID, USER_IDENTIFIER

logger = logging.getLogger("chainlit.DynamoDB")


@dataclass(frozen=True)
class Asker:
    """A person who asks for a change. Where there is none, the app itself asks, or a bot: they may touch everything.

    Attributes:
        names: Under which a thread is theirs: their name at login, their id where it is another one, and whom the
            app has given the thread of their session to. None for visitors of an app without login.
        may_claim: They may touch what is nobody's, too.
    """

    names: frozenset[str]
    may_claim: bool = True

    def may_touch(self, owner: str) -> bool:
        """Return whether they may touch a thread.

        Args:
            owner: The identifier of its owner; "" if it has none, or is not made yet.
        """
        return owner in self.names if owner else self.may_claim


def all_may_touch(askers: Collection[Asker], owner: str) -> bool:
    """Return whether a change that several asked for may be made."""
    return all(asker.may_touch(owner) for asker in askers)


def are_admitted(askers: Collection[Asker], owner: str, thread_id: str) -> bool:
    """Return the same, and say so in the log if it may not."""
    is_admitted = all_may_touch(askers, owner)
    if not is_admitted:
        logger.warning("A change of another user's thread is refused: %r", thread_id)
    return is_admitted


def owner_of(thread: Mapping[str, Any]) -> str:
    """Return the identifier of the owner of a thread's row, or "" if it has none."""
    return str(thread.get(USER_IDENTIFIER) or thread.get(USER_ID) or "")


def is_touched_by(askers: Collection[Asker]) -> Condition | None:
    """Return what must hold of a thread's row for a change that several asked for; `None` if nothing must."""
    conditions = [_is_touched_by(asker) for asker in askers]
    return all_of(*conditions) if conditions else None


def _is_touched_by(asker: Asker) -> Condition:
    nobodys = [all_of(_is_empty(USER_IDENTIFIER), _is_empty(USER_ID))] if asker.may_claim else []
    own = [_is_named(name) for name in sorted(asker.names)]
    return any_of(*nobodys, *own)


def _is_named(owner: str) -> Condition:
    return any_of(equals(USER_IDENTIFIER, owner), all_of(_is_empty(USER_IDENTIFIER), equals(USER_ID, owner)))


def _is_empty(attribute: str) -> Condition:
    return any_of(missing(attribute), equals(attribute, None), equals(attribute, ""))
