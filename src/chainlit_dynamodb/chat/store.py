"""The chat layer put together: one object that holds every access pattern."""

from __future__ import annotations

from chainlit_dynamodb.chat.deletion import ThreadDeletion
from chainlit_dynamodb.chat.elements import Elements
from chainlit_dynamodb.chat.favorites import Favorites
from chainlit_dynamodb.chat.feedback import Feedback
from chainlit_dynamodb.chat.feedback_markers import FeedbackMarkers
from chainlit_dynamodb.chat.files import Files, KeepingAttachments
from chainlit_dynamodb.chat.listing import Listing
from chainlit_dynamodb.chat.recent_writes import RecentWrites
from chainlit_dynamodb.chat.step_lookup import StepLookup
from chainlit_dynamodb.chat.steps import Steps
from chainlit_dynamodb.chat.sweep import Sweep
from chainlit_dynamodb.chat.threads import Threads
from chainlit_dynamodb.chat.tombstones import Tombstones
from chainlit_dynamodb.chat.transcript import Transcripts
from chainlit_dynamodb.chat.users import Users
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.rows.rows import Rows


class ChatStore:
    """Users, threads, steps, elements, feedback and favourites of one table."""

    def __init__(
        self,
        rows: Rows,
        attachments: KeepingAttachments | None,
        *,
        page_items: int,
        cache_seconds: float,
        max_pending_bytes: int,
    ) -> None:
        """Wire the parts; nothing is opened.

        Args:
            rows: Where everything is.
            attachments: Where files are, if anywhere.
            page_items: How many threads one request to the index reads.
            cache_seconds: How long users are cached.
            max_pending_bytes: How much may wait to be written.
        """
        self.writer = Writer(max_pending_bytes=max_pending_bytes)
        files, recent = Files(attachments), RecentWrites()
        self.lookup = StepLookup(rows)
        markers = FeedbackMarkers(rows)
        sweep = Sweep(rows, files, self.lookup, markers)
        tombstones = Tombstones(rows, sweep.thread)
        self._tombstones = tombstones
        self.users = Users(rows, self.writer, cache_seconds=cache_seconds)
        self.elements = Elements(rows, self.writer, tombstones, files)
        self.steps = Steps(rows, self.writer, tombstones, self.lookup, self.elements, markers)
        self.deletion = ThreadDeletion(rows, self.writer, tombstones, sweep)
        self.threads = Threads(rows, self.writer, tombstones, recent, markers)
        self.transcripts = Transcripts(rows, self.writer, files, sweep, self.steps.delete)
        self.listing = Listing(rows, recent, page_items=page_items)
        self.feedback = Feedback(rows, self.writer, tombstones, self.lookup, recent, markers)
        self.favorites = Favorites(rows, self.writer, tombstones, recent)

    async def close(self) -> None:
        """Leave what was to be tidied later."""
        await self.deletion.close()
        await self._tombstones.close()
        await self.transcripts.close()
