"""The keys that seal content: one per user, wrapped by a provider, and one per thread, wrapped by its owner's.

A thread's key is there before its owner is known, for Chainlit writes a first message while the chat gets its owner.
Until then it is wrapped by the key of nobody's chats. It is wrapped anew before its first owner is written, so
whoever erases the key of a user erases all of their chats; for another owner after that, when the thread is theirs.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from cachetools import TTLCache

from chainlit_dynamodb.ciphers.aes import AesKey
from chainlit_dynamodb.ciphers.provider import KeyProvider
from chainlit_dynamodb.dynamodb.codec import Item
from chainlit_dynamodb.dynamodb.expressions import Condition, equals, missing
from chainlit_dynamodb.dynamodb.packing import PLAIN_BYTES, Sealed
from chainlit_dynamodb.dynamodb.retry import Retries, RetryPolicy
from chainlit_dynamodb.dynamodb.table import BATCH_GET_KEYS, Table, chunks
from chainlit_dynamodb.errors import CipherError, ConditionFailedError, TransientError
from chainlit_dynamodb.schema import (
    NOBODYS_PK,
    PK,
    USER_ID,
    WRAPPED_KEY,
    Key,
    is_user_pk,
    parse_thread_pk,
    parse_user_pk,
    thread_key,
    user_threads_pk,
    wrapped_key_key,
)

logger = logging.getLogger("chainlit.DynamoDB")

CACHE_SECONDS: Final = 300.0
"""An erased key is known to other processes for so long."""
CACHED_KEYS: Final = 10_000
_TRIES: Final = 20


@dataclass(frozen=True)
class _Held:
    """A key in memory, and the partition of the user whose key wraps it; a user's own is wrapped by the provider."""

    key: AesKey
    owner: str


def place_of(row: Key, attribute: str) -> bytes:
    """Return what binds a sealed value to its place in the table."""
    return f"{len(row.pk)} {row.pk}{len(row.sk)} {row.sk}{attribute}".encode()


class Keyring:
    """Finds, makes and erases keys."""

    def __init__(self, table: Table, provider: KeyProvider) -> None:
        """Hold no key yet.

        Args:
            table: Where the chats are; the wrapped keys are there too, unless the provider names another.
            provider: Wraps the keys of users; `close` closes it.
        """
        self._chats = table
        self._wrapped = Table(provider.key_table or table.name, table.transport, table.retry)
        self._provider = provider
        self._retries = Retries("wrapped keys", service="The key provider")
        self._cache: TTLCache[str, _Held] = TTLCache(CACHED_KEYS, CACHE_SECONDS)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def close(self) -> None:
        """Forget all keys, and close the provider."""
        self._cache.clear()
        await self._provider.close()

    async def check(self, policy: RetryPolicy) -> None:
        """Try whether the provider wraps a key and unwraps it.

        Raises:
            CipherError: It does not.
            TransientError: It does not answer.

        Cost: two requests to the provider.
        """
        secret, wrapped = await self._retries.run(policy, self._provider.new_key, "")
        if await self._retries.run(policy, self._provider.unwrap, wrapped, "") != secret:
            raise CipherError("The key provider unwraps another key than it has wrapped.")

    async def for_writing(self, pk: str, owner: str | None = None, *, takes_over: bool = True) -> AesKey:
        """Return the key of a partition, making it if there is none.

        Args:
            pk: The partition.
            owner: The partition of the user whose this thread is, or may be soon; `None` if it keeps its owner.
            takes_over: The key becomes theirs also where it is another user's.

        Cost: nothing from memory, else 1 read unit; the first time 1 write unit, and 1 read unit more where no owner
        is given. The same for its owner, and a request to the provider.
        """
        held = self._cache.get(pk)
        if held is not None and _is_for(owner, held, takes_over=takes_over):
            return held.key
        async with self._lock(pk):
            return (await self._made(pk, owner, takes_over=takes_over)).key

    async def find(self, wanted: Mapping[str, Collection[bytes]], policy: RetryPolicy | None) -> dict[str, AesKey]:
        """Return the keys of partitions; those that are erased are left out.

        Args:
            wanted: The partitions, and for each the ids of the keys with which something was sealed there.
            policy: How long to try; `None` as long as somebody waits for an answer.

        Cost: nothing from memory, else 1 read unit each; the same for their owners, and a request to the provider.
        """
        policy = policy or self._wrapped.retry.read
        known = {pk: self._cache.get(pk) for pk in wanted}
        unknown = [pk for pk, ids in wanted.items() if (held := known[pk]) is None or set(ids) != {held.key.id}]
        for some in chunks(unknown, BATCH_GET_KEYS):  # between them others have their turn
            for pk, record in (await self._read(some, policy)).items():
                known[pk] = await self._unwrapped(pk, record, policy)
        return {pk: held.key for pk, held in known.items() if held is not None}

    async def forget(self, pk: str) -> None:
        """Erase the key of a thread that is deleted for good. Cost: 1 write unit."""
        self._cache.pop(pk, None)
        await self._wrapped.delete(wrapped_key_key(pk).attributes())

    async def erase(self, user_id: str) -> bool:
        """Erase the key of a user: nobody will read what it seals, the user's chats included.

        This process forgets it at once, others within five minutes. What they write for this user until then is lost.

        Args:
            user_id: The user's id. A user whose identifier is another has a key under that too: erase both.

        Returns:
            Whether there was one.

        Cost: 1 write unit.
        """
        pk = user_threads_pk(user_id)
        old = await self._wrapped.delete(wrapped_key_key(pk).attributes())
        for known in [known for known, held in self._cache.items() if held.owner == pk]:
            del self._cache[known]
        return old is not None

    async def rewrap(self, user_id: str | None) -> bool:
        """Wrap the key of a user anew, as the provider wraps new ones. What it seals stays as it is.

        Args:
            user_id: The user's id; `None` for the key of the chats without an owner.

        Returns:
            Whether there is such a key.

        Raises:
            ConditionFailedError: Somebody else has just wrapped it anew, or erased it.

        Cost: 1 read unit and 1 write unit, and requests to the provider.
        """
        pk, policy = user_threads_pk(user_id) if user_id is not None else NOBODYS_PK, self._wrapped.retry.write
        record = (await self._read([pk], policy))[pk]
        if not record:
            return False
        owner, wrapped = parse_user_pk(pk), _provided(pk, record)
        again = await self._retries.run(policy, self._provider.rewrap, wrapped, owner)
        await self._put(pk, {WRAPPED_KEY: PLAIN_BYTES + again}, record)
        return True

    def _lock(self, pk: str) -> asyncio.Lock:
        return self._locks.setdefault(pk, asyncio.Lock())

    async def _made(self, pk: str, owner: str | None, *, takes_over: bool) -> _Held:
        """Return the key of a partition for its owner. Where several processes make it, the first one's counts."""
        held, policy = self._cache.get(pk), self._wrapped.retry.write
        for _ in range(_TRIES):
            if held is not None and _is_for(owner, held, takes_over=takes_over):
                return held
            record = (await self._read([pk], policy))[pk]
            held = await self._unwrapped(pk, record, policy)
            if held is not None and _is_for(owner, held, takes_over=takes_over):
                return held
            try:
                held = await self._store(pk, owner, held, record)
            except ConditionFailedError:
                held = None
        raise TransientError("PutItem", "Contention", "other processes keep changing this key")

    async def _store(self, pk: str, owner: str | None, held: _Held | None, record: Item) -> _Held:
        """Store a key in place of what was read: a new one, or the one that is held, for another owner."""
        if is_user_pk(pk):
            policy = self._wrapped.retry.write
            secret, wrapped = await self._retries.run(policy, self._provider.new_key, parse_user_pk(pk))
            made = _Held(AesKey(secret), pk)
            await self._put(pk, {WRAPPED_KEY: PLAIN_BYTES + wrapped}, record)
        else:
            owner = owner or await self._owner_of(pk)
            made = _Held(held.key if held else AesKey.new(), owner)
            wrapping = await self.for_writing(owner)
            sealed = Sealed(wrapping.id, wrapping.seal(made.key.secret, _place(pk)))
            await self._put(pk, {WRAPPED_KEY: sealed, USER_ID: parse_user_pk(owner)}, record)
        self._cache[pk] = made
        return made

    async def _owner_of(self, pk: str) -> str:
        key = thread_key(parse_thread_pk(pk)).attributes()
        row = await self._chats.get(key, attributes=[USER_ID], policy=self._chats.retry.write) or {}
        return user_threads_pk(row[USER_ID]) if row.get(USER_ID) else NOBODYS_PK

    async def _put(self, pk: str, attributes: Item, before: Item) -> None:
        key = wrapped_key_key(pk).attributes()
        await self._wrapped.replace({**key, **attributes}, condition=_unchanged(pk, before))

    async def _read(self, pks: Iterable[str], policy: RetryPolicy) -> dict[str, Item]:
        """Read what there is of the keys of partitions; for a missing one nothing."""
        records = {wrapped_key_key(pk).pk: pk for pk in pks}
        keys = [wrapped_key_key(pk).attributes() for pk in records.values()]
        rows = {records[row[PK]]: row for row in await self._wrapped.batch_get(keys, policy=policy)}
        return {pk: rows.get(pk, {}) for pk in records.values()}

    async def _unwrapped(self, pk: str, record: Item, policy: RetryPolicy) -> _Held | None:
        """Return a key that was read; `None` if there is none, or the key that wraps it is erased."""
        if not record:
            self._cache.pop(pk, None)
            return None
        if is_user_pk(pk):
            secret = await self._retries.run(policy, self._provider.unwrap, _provided(pk, record), parse_user_pk(pk))
            held = _Held(AesKey(secret), pk)
        else:
            owner, sealed = NOBODYS_PK + str(record.get(USER_ID, "")), record.get(WRAPPED_KEY)
            if not isinstance(sealed, Sealed):
                raise _damaged(pk)
            wrapping = await self._wrapping(owner, sealed.key_id, policy)
            if wrapping is None:
                return None
            held = _Held(_opened(pk, wrapping, sealed), owner)
        self._cache[pk] = held
        return held

    async def _wrapping(self, owner: str, key_id: bytes, policy: RetryPolicy) -> AesKey | None:
        """Return the key of an owner if it has this id."""
        async with self._lock(owner):  # many chats of one owner may be read at once
            key = (await self.find({owner: {key_id}}, policy)).get(owner)
        return key if key is not None and key.id == key_id else None


def _is_for(owner: str | None, held: _Held, *, takes_over: bool) -> bool:
    """Return whether a key is an owner's, or stays whose it is."""
    return owner in (None, held.owner) or (not takes_over and held.owner != NOBODYS_PK)


def _place(pk: str) -> bytes:
    return place_of(wrapped_key_key(pk), WRAPPED_KEY)


def _opened(pk: str, wrapping: AesKey, sealed: Sealed) -> AesKey:
    secret = wrapping.open(sealed.content, _place(pk))
    if secret is None:
        raise _damaged(pk)
    return AesKey(secret)


def _provided(pk: str, record: Item) -> bytes:
    """Return a wrapped key as the provider gave it; the codec gives bytes as base64."""
    wrapped = record.get(WRAPPED_KEY)
    if not isinstance(wrapped, str):
        raise _damaged(pk)
    return base64.b64decode(wrapped)[len(PLAIN_BYTES) :]


def _unchanged(pk: str, record: Item) -> Condition:
    if not record:
        return missing(PK)
    is_users = is_user_pk(pk)
    return equals(WRAPPED_KEY, PLAIN_BYTES + _provided(pk, record) if is_users else record.get(WRAPPED_KEY))


def _damaged(pk: str) -> CipherError:
    return CipherError(f"The wrapped key of {pk} was changed or moved: what it seals can not be read.")
