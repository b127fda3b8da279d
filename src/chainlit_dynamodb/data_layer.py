"""Chainlit's data layer on DynamoDB: one method per Chainlit method, and nothing of the table."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from chainlit.data.base import BaseDataLayer
from chainlit.types import Feedback, PageInfo, PaginatedResponse, Pagination, ThreadDict
from chainlit.types import ThreadFilter as ChainlitFilter
from chainlit.user import PersistedUser, User
from fastapi import HTTPException

from chainlit_dynamodb import session
from chainlit_dynamodb.arguments import (
    check_options,
    count_of,
    dict_of,
    feedback_of,
    feedback_value_of,
    id_of,
    metadata_of,
    name_of,
    search_of,
    tags_of,
    text_of,
)
from chainlit_dynamodb.attachments import StorageAttachments, file_of
from chainlit_dynamodb.chat import clock
from chainlit_dynamodb.chat.listing import ThreadFilter
from chainlit_dynamodb.chat.store import ChatStore
from chainlit_dynamodb.chat.users import CACHE_SECONDS
from chainlit_dynamodb.chat.writer import MAX_PENDING_BYTES, Backlog
from chainlit_dynamodb.ciphers.provider import KeyProvider
from chainlit_dynamodb.closing import Closing
from chainlit_dynamodb.decorators import (
    awaited,
    in_a_request,
    in_background,
    missing_if_impossible,
    no_threads,
    nothing,
    queued,
)
from chainlit_dynamodb.dynamodb.connect import make_transport
from chainlit_dynamodb.dynamodb.given_client import DynamoDBClient
from chainlit_dynamodb.dynamodb.retry import RetryPolicies
from chainlit_dynamodb.dynamodb.table import Table
from chainlit_dynamodb.dynamodb.transport import Transport
from chainlit_dynamodb.errors import CursorError
from chainlit_dynamodb.failure_log import say_alike_failures_once
from chainlit_dynamodb.patience import AFTER_READS_SECONDS, AT_EVERY_REQUEST_SECONDS, AWAITED_SECONDS, Patience
from chainlit_dynamodb.patient_attachments import PatientAttachments
from chainlit_dynamodb.rows.large_values import COMPRESS_ABOVE_BYTES
from chainlit_dynamodb.rows.rows import Rows
from chainlit_dynamodb.schema import FAVORITE, USER_MESSAGE
from chainlit_dynamodb.snapshots import element_content, element_fields, step_fields, step_metadata
from chainlit_dynamodb.start_check import check_start
from chainlit_dynamodb.storage.provider import StorageProvider

if TYPE_CHECKING:
    from chainlit.element import Element, ElementDict
    from chainlit.step import StepDict

logger = logging.getLogger("chainlit.DynamoDB")

CLOSE_SECONDS: Final = 10.0
RETRY: Final = RetryPolicies()


class DynamoDBDataLayer(BaseDataLayer):
    """Keeps Chainlit's users, threads, steps, elements, feedback and favourites in one DynamoDB table.

    Nothing is opened before the first call, so it may be made in the synchronous `@cl.data_layer` function.
    """

    def __init__(
        self,
        table_name: str,
        client: DynamoDBClient | None = None,
        storage_provider: StorageProvider | None = None,
        user_thread_limit: int = 10,
        *,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        transport: Transport | None = None,
        retry: RetryPolicies = RETRY,
        user_cache_seconds: float = CACHE_SECONDS,
        max_pending_bytes: int = MAX_PENDING_BYTES,
        compress_above: int | None = COMPRESS_ABOVE_BYTES,
        close_seconds: float = CLOSE_SECONDS,
        cipher: KeyProvider | None = None,
    ) -> None:
        """Configure the layer.

        Args:
            table_name: The table; `chainlit-dynamodb create-table` makes it.
            client: A boto3 DynamoDB client, or one whose methods give awaitables. It is used off the event loop and
                never closed. `None` signs requests with the credentials of the usual AWS chain, over aiohttp.
            storage_provider: Keeps files, as `S3StorageClient`; closed with the layer. `None` keeps no file.
            user_thread_limit: How many threads one request to the index reads. Pages are always filled.
            region_name: Wins over `AWS_REGION`, `AWS_DEFAULT_REGION` and the profile.
            endpoint_url: Wins over `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL` and the profile.
            transport: Sends the requests in place of all these, as one that counts them; closed with the layer.
            retry: How long reads, which somebody awaits, and writes and files are tried.
            user_cache_seconds: How long a user is served from memory; 0 asks every time. In an outage, as last seen.
            max_pending_bytes: How much may wait in memory to be written; what is more waits in a temporary file.
            compress_above: The size in bytes above which values are compressed; `None` never compresses.
            close_seconds: How long `close` waits for what is not written yet.
            cipher: Wraps the keys that seal content, as `KmsKeys`; closed with the layer. `None` seals nothing.

        Raises:
            ConfigurationError: An argument makes no sense.
        """
        check_options(table_name, user_thread_limit, client, transport)
        self.table_name, self.client = table_name, client
        self.storage_provider = storage_provider
        self.user_thread_limit = user_thread_limit
        self.patience = Patience()
        self._attachments = StorageAttachments(storage_provider) if storage_provider is not None else None
        self._files = PatientAttachments(self._attachments, retry.write) if self._attachments else None
        sender = make_transport(table_name, client, region_name, endpoint_url) if transport is None else transport
        self._table = Table(table_name, sender, retry)
        self._rows = Rows(self._table, compress_above_bytes=compress_above, cipher=cipher)
        self.keys = self._rows.keys
        self._store = ChatStore(
            self._rows,
            self._files,
            page_items=user_thread_limit,
            cache_seconds=user_cache_seconds,
            max_pending_bytes=max_pending_bytes,
        )
        opened = (self._store, self._rows, self._files, self._attachments)
        self._closing = Closing(close_seconds, self.patience, self._store.writer, *opened)
        say_alike_failures_once()

    async def check(self) -> None:
        """Try all parts; raise what is wrong. Cost: 1.5 read units, a tiny file, 2 requests to a key provider."""
        await check_start(self._table, self._attachments, self.keys)

    def next_stamp(self) -> str:
        """Return a stamp for a write that is asked for now. Cost: none."""
        return self._rows.stamps.next()

    @property
    def backlog(self) -> Backlog:
        """What is not stored yet: how many rows and changes wait, and the memory they hold."""
        return self._store.writer.backlog

    @in_a_request
    @missing_if_impossible(nothing)
    @partial(awaited, seconds=AT_EVERY_REQUEST_SECONDS)
    async def get_user(self, identifier: str) -> PersistedUser | None:
        """Read a user, or `None`. Called at every authenticated HTTP request.

        Cost: 1 read unit; nothing within `user_cache_seconds` of the last read.
        """
        found = await self._store.users.get(id_of(identifier))
        return None if found is None else PersistedUser(**found)

    @awaited
    async def create_user(self, user: User) -> PersistedUser | None:
        """Make a user, or refresh the metadata of one, keeping `id` and `createdAt`. Called at every login.

        Cost: 1 write unit per KB.
        """
        return PersistedUser(**await self._store.users.upsert(id_of(user.identifier), dict_of(user.metadata) or {}))

    @missing_if_impossible(str, level=logging.WARNING)
    @awaited
    async def upsert_feedback(self, feedback: Feedback) -> str:
        """Set a step's feedback, replacing an earlier one; return its id, also on the object, or "" without a step.

        Cost: about 4 read units and 4 to 8 write units.
        """
        step_id, thread_id, value, comment = feedback_of(feedback)
        storing = partial(self._store.feedback.upsert, step_id, thread_id, asker=session.asker_of_feedback())
        found = None if value is None else await storing(value, comment)
        if found is None:
            logger.warning("Feedback for an unknown step is not stored")
            return ""
        feedback.id = found
        return found

    @missing_if_impossible(bool)
    @awaited
    async def delete_feedback(self, feedback_id: str) -> bool:
        """Delete feedback by the id `upsert_feedback` gave; return whether there was such. Garbage is no error.

        Cost: about 4 read units and 4 write units.
        """
        return await self._store.feedback.delete(id_of(feedback_id), asker=session.asker_of_feedback())

    @queued
    @in_background
    async def create_element(self, element: Element, *, stamp: str | None = None) -> None:
        """Store an element and its file, or change the one with this id.

        Elements for no message are not kept (Chainlit's task lists). One for another user's thread is refused, or for
        nobody's but the session's. Without a storage provider, elements that need no file are kept.

        Cost: 1 write unit per KB of the row, and the upload.
        """
        fields, stamp = element_fields(element), stamp or self.next_stamp()
        with self._store.writer.operation():
            content, thread_id = await element_content(element), fields["threadId"]
            if not fields.get("forId"):
                return
            file = None if content is None else file_of(fields, content, session.current_user_id())
            del element, content  # while it waits, nothing but the file holds what is stored
            asker = session.asker_of_element(thread_id)
            await self._store.elements.upsert(thread_id, fields["id"], fields, file, stamp=stamp, asker=asker)

    @missing_if_impossible(nothing)
    @awaited
    async def get_element(self, thread_id: str, element_id: str) -> ElementDict | None:
        """Read an element with a fresh URL, or `None`. Cost: 1 read unit per 4 KB."""
        return cast("ElementDict | None", await self._store.elements.get(id_of(thread_id), id_of(element_id)))

    @queued
    @missing_if_impossible(nothing, level=logging.WARNING)
    async def delete_element(
        self,
        element_id: str,
        thread_id: str | None = None,
        *,
        stamp: str | None = None,  # noqa: ARG002 - it wins anyway
    ) -> None:
        """Delete an element and its file, in the session's thread if none is named.

        Chainlit awaits this. It returns after a moment; what has not happened by then is tried on.

        Raises:
            StorageError: The file could not be deleted; try again.

        Cost: 1 read unit and 1 write unit per KB.
        """
        thread_id = session.current_thread_id() if thread_id is None else id_of(thread_id)
        asker = session.asker_of_element(thread_id)
        await self.patience.in_a_moment(self._store.elements.delete(thread_id, id_of(element_id), asker=asker))

    @queued
    @in_background
    async def create_step(self, step_dict: StepDict, *, stamp: str | None = None) -> None:
        """Store a step. What is stored already, by an update that was faster, is not overwritten.

        Cost: 1 write unit per KB; a user message also half a read unit, and 3 write units if its thread moves up.
        """
        fields, since, moment = step_fields(step_dict), stamp or self.next_stamp(), clock.now()
        thread_id = fields["threadId"]
        place, asker, findable = (thread_id, fields["id"]), session.asker(), session.is_without_browser()
        moves = fields.get("type") == USER_MESSAGE and not self._store.threads.is_moving(thread_id, asker)
        storing = self._store.steps.create(*place, fields, stamp=stamp, findable=findable, asker=asker)
        del step_dict, fields  # while it waits, nothing but the write path holds what is written
        if await storing and moves:
            user_id = session.current_user_id()
            await self._store.threads.note_activity(thread_id, user_id, moment=moment, since=since, asker=asker)

    @queued
    @in_background
    async def update_step(self, step_dict: StepDict, *, stamp: str | None = None) -> None:
        """Change the fields given; `None` clears one. Makes the step if it is missing.

        Cost: 1 write unit per KB of the row, however many updates were merged.
        """
        fields = step_fields(step_dict)
        thread_id, asker = fields["threadId"], session.asker()
        storing = self._store.steps.update(thread_id, fields["id"], fields, stamp=stamp, asker=asker)
        favorite = step_metadata(step_dict).get(FAVORITE)
        if isinstance(favorite, bool) and not hasattr(BaseDataLayer, "set_step_favorite"):
            await storing
            await self.set_step_favorite(step_dict, favorite)  # this is how Chainlit before 2.10 sets favourites
            return
        del step_dict, fields  # while it waits, nothing but the write path holds what is written
        await storing

    @queued
    @in_background
    async def delete_step(self, step_id: str, *, stamp: str | None = None) -> None:  # noqa: ARG002 - it wins anyway
        """Delete a step with its feedback, its elements and their files.

        Chainlit names no thread: it is the session's, unless this process wrote the step only elsewhere.

        Cost: 1 read unit per 4 KB, 1 write unit per KB, and a read of the thread's elements.
        """
        near = session.current_thread_id()
        await self._store.steps.delete_by_id(id_of(step_id), near=near, asker=session.asker())

    @missing_if_impossible(str)
    @awaited
    async def get_thread_author(self, thread_id: str) -> str:
        """Return the identifier of a thread's owner, or "" for unknown threads. Cost: 1 read unit per 4 KB."""
        return await self._store.threads.author(id_of(thread_id))

    @missing_if_impossible(nothing)
    @awaited
    async def get_thread(self, thread_id: str) -> ThreadDict | None:
        """Read a thread whole, or `None`, after waiting up to 5 s for what is being written here, but no uploads.

        Cost: 1 read unit per 4 KB of the whole thread.
        """
        return cast("ThreadDict | None", await self._store.transcripts.get(id_of(thread_id)))

    @missing_if_impossible(no_threads)
    @awaited
    async def list_threads(self, pagination: Pagination, filters: ChainlitFilter) -> PaginatedResponse[ThreadDict]:
        """Read a full page of a user's threads, newest activity first; `createdAt` is the last activity.

        Raises:
            HTTPException: 400, if the cursor is garbage or another user's.

        Cost: 1 read unit per thread shown, and half a unit per 30 threads of index read.
        """
        search, cursor = search_of(filters.search), text_of(pagination.cursor) or None
        wanted = ThreadFilter(search, feedback_value_of(filters.feedback))
        try:
            page = await self._store.listing.page(id_of(filters.userId), count_of(pagination.first), cursor, wanted)
        except CursorError as exc:
            raise HTTPException(status_code=400, detail=str(exc)) from exc
        info = PageInfo(page.has_next, page.start_cursor, page.end_cursor)
        return PaginatedResponse(pageInfo=info, data=cast("list[ThreadDict]", page.threads))

    @missing_if_impossible(nothing, level=logging.WARNING)
    async def update_thread(
        self,
        thread_id: str,
        name: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        tags: list[str] | None = None,
    ) -> None:
        """Change what is given of a thread; `None` leaves it. Metadata is merged, an entry `None` goes away.

        A name or an owner makes the thread; metadata and tags alone do not. Cost: 1 write unit per KB, 2 of the index
        if it moves up; with metadata also 1 read unit per 4 KB.
        """
        thread_id, name, user_id = id_of(thread_id), name_of(name), id_of(user_id) or None
        if user_id is None and name is not None:
            user_id = await session.owner_of_new_thread(thread_id, self.get_user)
        owner = session.identifier_in_session(user_id) or self._store.users.identifier_of(user_id)
        writing = self._store.threads.update(
            thread_id,
            name=name,
            user_id=user_id,
            user_identifier=owner,
            metadata=session.without_sharing(metadata_of(metadata)),
            tags=tags_of(tags),
            asker=session.asker(),
        )
        await self.patience.for_caller("update_thread", writing, AFTER_READS_SECONDS)

    @missing_if_impossible(nothing)
    async def delete_thread(self, thread_id: str) -> None:
        """Delete a thread with its steps, elements, feedback and files. It stays deleted.

        Nobody sees it as soon as this returns; the rest of a large one may be cleared after that.

        Raises:
            StorageError: A file could not be deleted; repeat the deletion.
            TransientError: The table has not taken it yet; it is tried on.

        Cost: a read of the whole thread twice, and 1 write unit per KB of each row.
        """
        clearing = await self.patience.in_time("delete_thread", self._store.deletion.begin(id_of(thread_id)))
        await self.patience.in_a_moment(asyncio.shield(clearing), AWAITED_SECONDS)

    @missing_if_impossible(list)
    @awaited
    async def get_favorite_steps(self, user_id: str) -> list[StepDict]:
        """Read a user's favourite steps, newest first. Cost: one query, and 1 read unit per 4 KB of each."""
        return cast("list[StepDict]", await self._store.favorites.of_user(id_of(user_id)))

    async def set_step_favorite(self, step_dict: StepDict, favorite: bool) -> StepDict:
        """Make a step a favourite or none, never queued, and return it with the flag; in a session after a moment.

        Cost: 1 write unit per KB of the step, and 1 of the index; see `Tombstones.admits`.
        """
        fields, favorite = step_fields(step_dict), favorite is True
        flagged = {**(dict_of(step_dict) or {}), "metadata": {**step_metadata(step_dict), FAVORITE: favorite}}
        user_id, asker = session.current_user_id() or "", session.asker()
        setting = self._store.favorites.set(user_id, fields, favorite=favorite, asker=asker)
        if await self.patience.for_caller("set_step_favorite", setting, AWAITED_SECONDS) is False:
            logger.warning("set_step_favorite: there is no such step: %s", fields["id"])
        return cast("StepDict", flagged)

    async def build_debug_url(self) -> str:
        """Return "", so that Chainlit shows no debug button. Cost: none."""
        return ""

    async def close(self) -> None:
        """Write what is pending, within `close_seconds`, then let go of everything that was opened here.

        The time begins when the server stops. Never raises, or Chainlit skips its clean-up. Cost: the pending writes.
        """
        await self._closing.close()
