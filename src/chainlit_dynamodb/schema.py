"""Every key, index and attribute name of the table, and the functions that build and parse keys.

The layout is the one of Chainlit's built-in layer, so its tables and rows work as they are:

    item              PK                  SK                      on the index UserThread
    user              USER#{identifier}   USER
    thread            THREAD#{id}         THREAD                  USER#{user id} / TS#{last activity}
    step              THREAD#{id}         STEP#{step id}          FAVORITE#{user id} / TS#{created}#{step id}
    element           THREAD#{id}         ELEMENT#{element id}
    feedback marker   THREAD#{id}         FEEDBACK#{value}        FEEDBACK#{value}#{user id} / thread's TS#
    step lookup       STEP#{step id}      STEP                    (only for chats without a browser)
    part of a value   as its owner        the owner's SK, and behind a unit separator what tells parts apart
    wrapped key       KEY#{partition}     KEY                     (only with a cipher; may be in a table of its own)

The kind comes first and the free text last, so no id can reach into another partition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from chainlit_dynamodb.errors import InvalidIdError

PK: Final = "PK"
SK: Final = "SK"
INDEX_NAME: Final = "UserThread"
INDEX_PK: Final = "UserThreadPK"
INDEX_SK: Final = "UserThreadSK"
INDEX_PROJECTION: Final = ("id", "name")
KEY_ATTRIBUTES: Final = frozenset({PK, SK, INDEX_PK, INDEX_SK})

# What Chainlit knows by these names too.
ID: Final = "id"
NAME: Final = "name"
CREATED_AT: Final = "createdAt"
METADATA: Final = "metadata"
TAGS: Final = "tags"
IDENTIFIER: Final = "identifier"
USER_ID: Final = "userId"
USER_IDENTIFIER: Final = "userIdentifier"
OWNER: Final = (USER_ID, USER_IDENTIFIER)
"""What says of a thread whose it is."""
THREAD_ID: Final = "threadId"
PARENT_ID: Final = "parentId"
TYPE: Final = "type"
MESSAGE: Final = "message"
"""What the type of every message holds (Chainlit's `"message" in step["type"]`)."""
USER_MESSAGE: Final = "user_message"
"""A type: what moves a chat up."""
OUTPUT: Final = "output"
START: Final = "start"
END: Final = "end"
FEEDBACK: Final = "feedback"
VALUE: Final = "value"
FEEDBACK_VALUES: Final = (0, 1)
COMMENT: Final = "comment"
FOR_ID: Final = "forId"
URL: Final = "url"
MIME: Final = "mime"
OBJECT_KEY: Final = "objectKey"
CHAINLIT_KEY: Final = "chainlitKey"
FAVORITE: Final = "favorite"
"""An entry of a step's metadata."""
STORED_AS_IS: Final = KEY_ATTRIBUTES | {FEEDBACK}
"""What keys are made of and conditions compare, whatever its size."""

# Attributes that are ours and never leave the layer.
DELETED_AT: Final = "deletedAt"
FULL_NAME: Final = "_fullName"
LISTED_METADATA: Final = "_listedMetadata"
FEEDBACK_COMMENT: Final = "_feedbackComment"
METADATA_VERSION: Final = "_metadataVersion"
HAS_LOOKUP: Final = "_hasLookup"
STEP_IDS: Final = "_stepIds"
PART_DATA: Final = "data"
STAMP: Final = "_stamp"
"""Which write of a row is the newest."""
FAVORITE_STAMP: Final = "_favoriteStamp"
BURIED_AT: Final = "_buriedAt"
"""On what is left of a deleted step or element: when it was deleted, in seconds since 1970."""
EDITED_AT: Final = "_editedAt"
"""On a user's message: when it was last changed, which is what an edit does."""
ANNOUNCED_AT: Final = "_announcedAt"
"""On an element with a file: when its file went on its way, in seconds since 1970."""
NEVER_STORED: Final = "_neverStored"
"""On the tombstone of a step or element that was not there when it was deleted."""
ORDER: Final = "_order"
"""When an element was first stored: elements come back in this order."""
WRAPPED_KEY: Final = "_key"
"""On the row of a wrapped key."""
INTERNAL_PREFIX: Final = "_"
LEFT_OPEN: Final = KEY_ATTRIBUTES | {
    ID,
    IDENTIFIER,
    USER_ID,
    USER_IDENTIFIER,
    THREAD_ID,
    PARENT_ID,
    FOR_ID,
    TYPE,
    CREATED_AT,
    START,
    END,
    OBJECT_KEY,
    DELETED_AT,
    METADATA_VERSION,
    HAS_LOOKUP,
    STEP_IDS,
    STAMP,
    FAVORITE_STAMP,
    BURIED_AT,
    EDITED_AT,
    ANNOUNCED_AT,
    NEVER_STORED,
    ORDER,
    WRAPPED_KEY,
}
"""What a cipher does not seal: keys, ids, times, types, and what conditions compare. All others are content."""
FEEDBACK_LEFT_OPEN: Final = frozenset({ID, FOR_ID, VALUE})
"""The same inside feedback."""

INDEXED_NAME_CHARS: Final = 1_000
"""The index holds so much of a name: Chainlit's names are whole first messages, and the index is paid by size."""
MAX_PK_ID_BYTES: Final = 1900
"""Partition keys end at 2048 bytes; this leaves room for the longest prefix."""
MAX_SK_ID_BYTES: Final = 768
"""Sort keys end at 1024 bytes; this leaves room for the prefix, a time stamp and a part's suffix."""

INLINE_BYTES: Final = 64 * 1024
"""A row with half a dozen values of this size still fits, and changing one of them does not pay for the others."""
THREAD_INLINE_BYTES: Final = 8 * 1024
"""A thread's row is read for lists, owners and tombstones, so what is large lies beside it."""

_USER: Final = "USER#"
_THREAD: Final = "THREAD#"
_STEP: Final = "STEP#"
_ELEMENT: Final = "ELEMENT#"
_FEEDBACK: Final = "FEEDBACK#"
_FAVORITE: Final = "FAVORITE#"
_ACTIVITY: Final = "TS#"
_KEY_OF: Final = "KEY#"
_PART: Final = "\x1f"
_NAME_CHARS: Final = 32
"""How much of a time or an attribute's name goes into a sort key: more than any real time has."""

USER_SK: Final = "USER"
THREAD_SK: Final = "THREAD"
STEP_LOOKUP_SK: Final = "STEP"
_KEY_SK: Final = "KEY"
ELEMENT_SK_PREFIX: Final = _ELEMENT


class Key(NamedTuple):
    """The primary key of an item."""

    pk: str
    sk: str

    def attributes(self) -> dict[str, str]:
        """Return the key as the attributes of an item."""
        return {PK: self.pk, SK: self.sk}


def _checked(value: object, limit_bytes: int) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidIdError("An id must be a non-empty string.")
    if any(ord(char) < 0x20 or 0xD800 <= ord(char) <= 0xDFFF for char in value):
        raise InvalidIdError("An id must not hold control characters or lone surrogates.")
    if len(value.encode()) > limit_bytes:
        raise InvalidIdError(f"An id must not be longer than {limit_bytes} bytes.")
    return value


def part_key(owner: Key, attribute: str, generation: str, number: int) -> Key:
    """Return the key of a part of a large value. It sorts right behind its owner: ids hold no control characters."""
    return Key(owner.pk, _PART.join((owner.sk, attribute[:_NAME_CHARS], generation, f"{number:05d}")))


def parts_prefix(owner: Key) -> str:
    """Return what the sort keys of all parts of a row begin with."""
    return owner.sk + _PART


def is_part_sk(sk: str) -> bool:
    """Return whether a sort key belongs to a part of a large value."""
    return _PART in sk


def parse_part_sk(sk: str) -> tuple[str, str, str]:
    """Return the owner's sort key, the attribute's beginning and the generation of a part's sort key."""
    owner_sk, attribute, generation, _ = sk.split(_PART)
    return owner_sk, attribute, generation


def is_buried_when_deleted(key: Key) -> bool:
    """Return whether the row of this key leaves a tombstone of its own: steps and elements do."""
    return key.sk.startswith((_STEP, _ELEMENT)) and _PART not in key.sk


def may_have_parts(key: Key) -> bool:
    """Return whether the row of this key may hold values of any size; markers and lookups never do."""
    return key.sk != STEP_LOOKUP_SK and not key.sk.startswith(_FEEDBACK)


def inline_bytes(key: Key) -> int:
    """Return how large a value may be to stay in the row of this key."""
    return THREAD_INLINE_BYTES if key.sk == THREAD_SK else INLINE_BYTES


def user_key(identifier: str) -> Key:
    """Return the key of a user."""
    return Key(_USER + _checked(identifier, MAX_PK_ID_BYTES), USER_SK)


def thread_pk(thread_id: str) -> str:
    """Return the partition that holds everything of a thread."""
    return _THREAD + _checked(thread_id, MAX_PK_ID_BYTES)


def parse_thread_pk(pk: str) -> str:
    """Return the thread id of a partition made by `thread_pk`."""
    return pk.removeprefix(_THREAD)


def thread_key(thread_id: str) -> Key:
    """Return the key of a thread's own row."""
    return Key(thread_pk(thread_id), THREAD_SK)


def step_key(thread_id: str, step_id: str) -> Key:
    """Return the key of a step."""
    return Key(thread_pk(thread_id), _STEP + _checked(step_id, MAX_SK_ID_BYTES))


def element_key(thread_id: str, element_id: str) -> Key:
    """Return the key of an element."""
    return Key(thread_pk(thread_id), _ELEMENT + _checked(element_id, MAX_SK_ID_BYTES))


def feedback_key(thread_id: str, value: int) -> Key:
    """Return the key of the marker that holds the steps of a thread with this feedback value."""
    return Key(thread_pk(thread_id), f"{_FEEDBACK}{value}")


def parse_legacy_feedback_id(feedback_id: str) -> tuple[str, str] | None:
    """Return thread and step of a feedback id made by Chainlit's built-in layer: the two keys, joined."""
    partition, joint, sort = feedback_id.rpartition("::")
    if not joint or not partition.startswith(_THREAD) or not sort.startswith(_STEP):
        return None
    return parse_thread_pk(partition), parse_step_sk(sort)


def step_lookup_key(step_id: str) -> Key:
    """Return the key of the row that tells in which thread a step is."""
    return Key(_STEP + _checked(step_id, MAX_SK_ID_BYTES), STEP_LOOKUP_SK)


def is_step_sk(sk: str) -> bool:
    """Return whether a sort key belongs to a step."""
    return sk.startswith(_STEP)


def parse_step_sk(sk: str) -> str:
    """Return the step id of a sort key made by `step_key`."""
    return sk.removeprefix(_STEP)


def is_element_sk(sk: str) -> bool:
    """Return whether a sort key belongs to an element."""
    return sk.startswith(_ELEMENT)


def parse_element_sk(sk: str) -> str:
    """Return the element id of a sort key made by `element_key`."""
    return sk.removeprefix(_ELEMENT)


def is_own_attribute(name: str) -> bool:
    """Return whether an attribute of a step or element is this layer's, neither taken from nor shown to Chainlit."""
    return not name or name in KEY_ATTRIBUTES or name.startswith(INTERNAL_PREFIX)


def user_threads_pk(user_id: str) -> str:
    """Return the index partition that lists a user's threads."""
    return _USER + _checked(user_id, MAX_PK_ID_BYTES)


NOBODYS_PK: Final = _USER
"""No user's partition: stands for whoever owns the chats without an owner."""


def is_user_pk(pk: str) -> bool:
    """Return whether a partition is a user's, in the table or on the index."""
    return pk.startswith(_USER)


def parse_user_pk(pk: str) -> str:
    """Return the user of a partition made by `user_key` or `user_threads_pk`; "" for nobody's."""
    return pk.removeprefix(_USER)


def wrapped_key_key(pk: str) -> Key:
    """Return the key of the row that holds the wrapped key of a partition."""
    return Key(_KEY_OF + pk, _KEY_SK)


def user_feedback_pk(user_id: str, value: int) -> str:
    """Return the index partition that lists a user's threads with this feedback value."""
    return f"{_FEEDBACK}{value}#" + _checked(user_id, MAX_PK_ID_BYTES)


def user_favorites_pk(user_id: str) -> str:
    """Return the index partition that lists a user's favourite steps."""
    return _FAVORITE + _checked(user_id, MAX_PK_ID_BYTES)


def favorite_sk(created_at: str, step_id: str) -> str:
    """Return the index sort key of a favourite step: by creation, then by id."""
    return f"{_ACTIVITY}{created_at[:_NAME_CHARS]}#{step_id}"


def activity_sk(timestamp: str) -> str:
    """Return the index sort key of a thread: its last activity."""
    return _ACTIVITY + timestamp


def parse_activity_sk(sk: str) -> str:
    """Return the time of a sort key made by `activity_sk`."""
    return sk.removeprefix(_ACTIVITY)


@dataclass(frozen=True)
class TableSpec:
    """The one table this package needs, as AWS wants to hear it."""

    table_name: str

    def create_table_request(self) -> dict[str, Any]:
        """Return the request of the CreateTable operation."""
        return {"TableName": self.table_name, **self._properties()}

    def _properties(self) -> dict[str, Any]:
        return {
            "AttributeDefinitions": [
                {"AttributeName": name, "AttributeType": "S"} for name in (PK, SK, INDEX_PK, INDEX_SK)
            ],
            "KeySchema": _key_schema(PK, SK),
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": INDEX_NAME,
                    "KeySchema": _key_schema(INDEX_PK, INDEX_SK),
                    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(INDEX_PROJECTION)},
                }
            ],
            "BillingMode": "PAY_PER_REQUEST",
        }


def _key_schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]
