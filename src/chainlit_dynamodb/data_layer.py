"""Chainlit's data layer on DynamoDB: one method per Chainlit method, and nothing of the table."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from chainlit.data.base import BaseDataLayer
from chainlit.data.storage_clients.base import BaseStorageClient
from chainlit.types import Feedback, PageInfo, PaginatedResponse, Pagination, ThreadDict
from chainlit.types import ThreadFilter as ChainlitFilter
from chainlit.user import PersistedUser, User
from fastapi import HTTPException

from chainlit_dynamodb.arguments import count_of, dict_of, id_of, list_of, opinion_of, text_of
from chainlit_dynamodb.attachments import StorageAttachments, object_key_of
from chainlit_dynamodb.background import in_background, queued
from chainlit_dynamodb.chat.elements import Content, File
from chainlit_dynamodb.chat.large_values import COMPRESS_ABOVE_BYTES
from chainlit_dynamodb.chat.store import ChatStore
from chainlit_dynamodb.chat.thread_reader import ThreadFilter
from chainlit_dynamodb.chat.transcript import FAVORITE
from chainlit_dynamodb.chat.users import CACHE_SECONDS
from chainlit_dynamodb.chat.writer import MAX_PENDING_BYTES
from chainlit_dynamodb.dynamodb.table import Table
from chainlit_dynamodb.dynamodb.transport import make_transport
from chainlit_dynamodb.errors import ConfigurationError, CursorError, InvalidIdError
from chainlit_dynamodb.snapshots import (
    element_content,
    element_fields,
    is_without_browser,
    session_thread_id,
    session_user,
    session_user_id,
    step_fields,
    step_metadata,
)
from chainlit_dynamodb.storage.base import DEFAULT_MIME, StorageClient

if TYPE_CHECKING:
    from chainlit.element import Element, ElementDict
    from chainlit.step import StepDict

logger = logging.getLogger("chainlit.DynamoDB")

CLOSE_SECONDS: Final = 10.0
USER_MESSAGE: Final = "user_message"

BaseStorageClient.register(StorageClient)


class DynamoDBDataLayer(BaseDataLayer):  # type: ignore[misc]
    """Keeps Chainlit's users, threads, steps, elements, feedback and favourites in one DynamoDB table.

    Nothing is opened before the first call, so it may be made in the synchronous `@cl.data_layer` function.
    """

    def __init__(
        self,
        table_name: str,
        client: Any = None,
        storage_provider: Any = None,
        user_thread_limit: int = 10,
        *,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        user_cache_seconds: float = CACHE_SECONDS,
        max_pending_bytes: int = MAX_PENDING_BYTES,
        compress_above: int | None = COMPRESS_ABOVE_BYTES,
        close_seconds: float = CLOSE_SECONDS,
    ) -> None:
        """Configure the layer.

        Args:
            table_name: The table; `chainlit-dynamodb create-table` makes it.
            client: A boto3 DynamoDB client, or one whose methods give awaitables. It is used off the event loop and
                never closed. `None` signs requests with the credentials of the usual AWS chain, over aiohttp.
            storage_provider: Where files are kept, as `S3StorageClient`; closed with the layer. Without one, only
                elements without a file of their own are kept.
            user_thread_limit: How many threads one request to the index reads. Pages are always filled.
            region_name: Wins over `AWS_REGION`, `AWS_DEFAULT_REGION` and the profile.
            endpoint_url: Wins over `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL` and the profile.
            user_cache_seconds: How long a user is served from memory; 0 asks every time. In an outage, as last seen.
            max_pending_bytes: How much may wait in memory to be written before callers have to wait.
            compress_above: The size in bytes above which values are compressed; `None` never compresses.
            close_seconds: How long `close` waits for what is not written yet.

        Raises:
            ConfigurationError: An argument makes no sense.
        """
        if not table_name or not table_name.strip():
            raise ConfigurationError("table_name must be the name of a DynamoDB table.")
        if user_thread_limit < 1:
            raise ConfigurationError("user_thread_limit must be at least 1.")
        self.table_name = table_name
        self.client = client
        self.storage_provider = storage_provider
        self.user_thread_limit = user_thread_limit
        self._close_seconds = close_seconds
        self._attachments = StorageAttachments(storage_provider) if storage_provider is not None else None
        self._warned_without_storage = False
        self._store = ChatStore(
            Table(table_name, make_transport(table_name, client, region_name, endpoint_url)),
            self._attachments,
            page_items=user_thread_limit,
            cache_seconds=user_cache_seconds,
            max_pending_bytes=max_pending_bytes,
            compress_above_bytes=compress_above,
        )

    async def get_user(self, identifier: str) -> PersistedUser | None:
        """Read a user, or `None`. Called at every authenticated HTTP request.

        Cost: 1 read unit; nothing within `user_cache_seconds` of the last read.
        """
        found = await self._store.users.get(id_of(identifier))
        return None if found is None else PersistedUser(**found)

    async def create_user(self, user: User) -> PersistedUser | None:
        """Make a user, or refresh the metadata of one, keeping `id` and `createdAt`. Called at every login.

        Cost: 1 write unit per KB.
        """
        stored = await self._store.users.upsert(id_of(user.identifier), dict_of(user.metadata) or {})
        return PersistedUser(**stored)

    async def upsert_feedback(self, feedback: Feedback) -> str:
        """Set the feedback of a step, replacing an earlier one, and put its id on the object.

        Returns:
            The feedback's id, or "" for an unknown step, which changes nothing.

        Cost: about 4 read units and 4 to 8 write units.
        """
        step_id, thread_id = id_of(feedback.forId), id_of(feedback.threadId) or None
        value, comment = opinion_of(feedback.value), text_of(feedback.comment)
        try:
            found = None if value is None else await self._store.feedback.upsert(step_id, thread_id, value, comment)
        except InvalidIdError:
            found = None
        if found is None:
            logger.warning("Feedback for an unknown step is not stored")
            return ""
        feedback.id = found
        return found

    async def delete_feedback(self, feedback_id: str) -> bool:
        """Delete feedback by the id `upsert_feedback` gave.

        Returns:
            Whether there was such feedback; garbage is no error.

        Cost: about 4 read units and 4 write units.
        """
        return await self._store.feedback.delete(id_of(feedback_id))

    @queued
    @in_background
    async def create_element(self, element: Element) -> None:
        """Store an element and its file, or change the one with this id.

        Elements for no message are not kept (Chainlit's task lists). An element for a thread that is neither the
        session's nor its user's is refused. Without a storage provider, elements that need no file are kept.

        Cost: 1 write unit per KB of the row, and the upload.
        """
        fields = element_fields(element)
        with self._store.writer.operation():
            content = await element_content(element)
        thread_id = fields["threadId"]
        if not fields.get("forId"):
            return
        if not await self._may_touch(thread_id):
            logger.warning("An element for another user's thread is refused: thread %r", thread_id)
            return
        if content is None:
            await self._store.elements.upsert(thread_id, fields["id"], fields, None)
        elif self._attachments is None:
            self._warn_without_storage()
        else:
            await self._store.elements.upsert(thread_id, fields["id"], fields, _file(fields, content))

    async def get_element(self, thread_id: str, element_id: str) -> ElementDict | None:
        """Read an element with a fresh URL, or `None`. Cost: 1 read unit per 4 KB."""
        try:
            return await self._store.elements.get(id_of(thread_id), id_of(element_id))
        except InvalidIdError:
            return None

    @queued
    async def delete_element(self, element_id: str, thread_id: str | None = None) -> None:
        """Delete an element and its file, in the session's thread if none is named.

        Raises:
            StorageError: The file could not be deleted; try again.

        Cost: 1 read unit and 1 write unit per KB.
        """
        thread_id = session_thread_id() if thread_id is None else id_of(thread_id)
        if not await self._may_touch(thread_id):
            logger.warning("Deleting an element of another user's thread is refused: thread %r", thread_id)
            return
        try:
            await self._store.elements.delete(thread_id, id_of(element_id))
        except InvalidIdError as exc:
            logger.warning("delete_element: %s", exc)

    @queued
    @in_background
    async def create_step(self, step_dict: StepDict) -> None:
        """Store a step. What is stored already, by an update that was faster, is not overwritten.

        Cost: 1 write unit per KB; a user message also moves its thread up, 1 write unit and 2 of the index.
        """
        fields = step_fields(step_dict)
        thread_id = fields["threadId"]
        moves = fields.get("type") == USER_MESSAGE and not self._store.threads.is_moving(thread_id)
        findable = is_without_browser()
        stored = await self._store.steps.create(thread_id, fields["id"], fields, findable=findable)
        if stored and moves:
            await self._store.threads.note_activity(thread_id, session_user_id())

    @queued
    @in_background
    async def update_step(self, step_dict: StepDict) -> None:
        """Change the fields given; `None` clears one. Makes the step if it is missing.

        Cost: 1 write unit per KB of the row, however many updates were merged.
        """
        fields = step_fields(step_dict)
        await self._store.steps.update(fields["threadId"], fields["id"], fields)
        favorite = step_metadata(step_dict).get(FAVORITE)
        if isinstance(favorite, bool) and not hasattr(BaseDataLayer, "set_step_favorite"):
            # Chainlit before 2.10 sets favourites this way.
            await self.set_step_favorite(step_dict, favorite)

    @queued
    @in_background
    async def delete_step(self, step_id: str) -> None:
        """Delete a step with its feedback, its elements and their files.

        Chainlit names no thread: it is the session's, unless this process wrote the step only elsewhere.

        Cost: 1 read unit per 4 KB, 1 write unit per KB, and a read of the thread's elements.
        """
        step_id, near = id_of(step_id), session_thread_id()
        thread_id = self._store.lookup.recall(step_id, near=near) or near
        await self._store.steps.delete(thread_id, step_id)

    async def get_thread_author(self, thread_id: str) -> str:
        """Give the identifier of a thread's owner, or "" for unknown threads. Cost: 1 read unit per 4 KB."""
        try:
            return await self._store.threads.author(id_of(thread_id))
        except InvalidIdError:
            return ""

    async def get_thread(self, thread_id: str) -> ThreadDict | None:
        """Read a thread whole, or `None`. It holds everything this process has been told to store.

        Cost: 1 read unit per 4 KB of the whole thread.
        """
        try:
            return await self._store.reader.get(id_of(thread_id))
        except InvalidIdError:
            return None

    async def list_threads(self, pagination: Pagination, filters: ChainlitFilter) -> PaginatedResponse[ThreadDict]:
        """Read a full page of a user's threads, newest activity first; `createdAt` is the last activity.

        Raises:
            HTTPException: 400, if the cursor is garbage or another user's.

        Cost: 1 read unit per thread shown, and half a unit per 30 threads of index read.
        """
        search, cursor = (text_of(filters.search) or "").strip() or None, text_of(pagination.cursor) or None
        wanted = ThreadFilter(search, opinion_of(filters.feedback))
        try:
            page = await self._store.reader.page(id_of(filters.userId), count_of(pagination.first), cursor, wanted)
        except CursorError as exc:
            raise HTTPException(status_code=400, detail=str(exc)) from exc
        info = PageInfo(page.has_next, page.start_cursor, page.end_cursor)
        return PaginatedResponse(pageInfo=info, data=page.threads)

    async def update_thread(
        self,
        thread_id: str,
        name: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        tags: list[str] | None = None,
    ) -> None:
        """Change what is given of a thread; `None` leaves it. Metadata is merged, an entry `None` goes away.

        A name or an owner makes the thread; metadata and tags alone do not.

        Cost: 1 write unit per KB, 2 of the index if it moves up; with metadata also 1 read unit per 4 KB.
        """
        thread_id, name, user_id = id_of(thread_id), text_of(name), id_of(user_id) or None
        if user_id is None and name is not None:
            user_id = await self._owner_of_session(thread_id)
        try:
            await self._store.threads.update(
                thread_id,
                name=name,
                user_id=user_id,
                user_identifier=self._store.users.identifier_of(user_id) if user_id else None,
                metadata=dict_of(metadata),
                tags=list_of(tags),
            )
        except InvalidIdError as exc:
            logger.warning("update_thread: not stored: %s", exc)

    async def delete_thread(self, thread_id: str) -> None:
        """Delete a thread with its steps, elements, feedback and files. It stays deleted.

        Raises:
            StorageError: A file could not be deleted; repeat the deletion.

        Cost: a read of the whole thread twice, and 1 write unit per KB of each row.
        """
        try:
            await self._store.deletion.delete(id_of(thread_id))
        except InvalidIdError:
            return

    async def get_favorite_steps(self, user_id: str) -> list[StepDict]:
        """Read a user's favourite steps, newest first. Cost: one query, and 1 read unit per 4 KB of each."""
        try:
            return await self._store.favorites.of_user(id_of(user_id))
        except InvalidIdError:
            return []

    async def set_step_favorite(self, step_dict: StepDict, favorite: bool) -> StepDict:
        """Make a step a favourite of the session's user, or no favourite. Never queued, and so when it returns.

        Returns:
            The step with the flag in its metadata.

        Cost: 1 write unit per KB of the step, and 1 of the index.
        """
        fields, favorite = step_fields(step_dict), favorite is True
        flagged: Any = {**(dict_of(step_dict) or {}), "metadata": {**step_metadata(step_dict), FAVORITE: favorite}}
        try:
            known = await self._store.favorites.set(
                session_user_id() or "",
                fields["threadId"],
                fields["id"],
                favorite=favorite,
                created_at=str(fields.get("createdAt") or ""),
                metadata=fields.get("metadata") or {},
            )
        except InvalidIdError:
            known = False
        if not known:
            logger.warning("set_step_favorite: there is no such step: %s", fields["id"])
        return flagged

    async def build_debug_url(self) -> str:
        """Give "", so that Chainlit shows no debug button. Cost: none."""
        return ""

    async def close(self) -> None:
        """Write what is pending, within `close_seconds`, then let go of everything that was opened here.

        Never raises: Chainlit calls it at shutdown and skips its own clean-up otherwise. Cost: the pending writes.
        """
        lost = await self._store.writer.drain(self._close_seconds)
        if lost:
            logger.error("Closed with %d writes that could not be stored in time", lost)
        for closing in (self._attachments, self._store.table):
            try:
                if closing is not None:
                    await closing.close()
            except Exception as exc:  # noqa: BLE001 - the process is ending
                logger.warning("While closing: %s", type(exc).__name__)

    async def _may_touch(self, thread_id: str) -> bool:
        """Tell whether the session may change elements of a thread; Chainlit itself does not check."""
        if thread_id == session_thread_id():
            return True
        user = session_user()
        return user is not None and await self.get_thread_author(thread_id) == user.identifier

    async def _owner_of_session(self, thread_id: str) -> str | None:
        """Find the owner of a new chat when Chainlit could not: its read of the user had failed."""
        user = session_user()
        if user is None or isinstance(user, PersistedUser) or session_thread_id() != thread_id:
            return None
        found = await self._store.users.get(user.identifier)
        return str(found["id"]) if found else str(user.identifier)

    def _warn_without_storage(self) -> None:
        if not self._warned_without_storage:
            self._warned_without_storage = True
            logger.warning("Files of elements are not kept: pass storage_provider= to keep them")


def _file(fields: dict[str, Any], content: Content) -> File:
    key = object_key_of(session_user_id(), fields["threadId"], fields["id"])
    return File(key, content, fields.get("mime") or DEFAULT_MIME, fields.get("name") or "file")
