"""The chat layer put together: one object that holds every access pattern."""

from __future__ import annotations

from chainlit_dynamodb.chat.deletion import ThreadDeletion
from chainlit_dynamodb.chat.elements import Attachments, Elements
from chainlit_dynamodb.chat.favorites import Favorites
from chainlit_dynamodb.chat.feedback import Feedback, FeedbackMarkers
from chainlit_dynamodb.chat.large_values import LargeValues
from chainlit_dynamodb.chat.lookup import StepLookup
from chainlit_dynamodb.chat.recent import Recent
from chainlit_dynamodb.chat.steps import Steps
from chainlit_dynamodb.chat.thread_reader import ThreadReader
from chainlit_dynamodb.chat.threads import Threads
from chainlit_dynamodb.chat.tombstones import Tombstones
from chainlit_dynamodb.chat.users import Users
from chainlit_dynamodb.chat.writer import Writer
from chainlit_dynamodb.dynamodb.table import Table


class ChatStore:
    """Users, threads, steps, elements, feedback and favourites of one table."""

    def __init__(
        self,
        table: Table,
        attachments: Attachments | None,
        *,
        page_items: int,
        cache_seconds: float,
        max_pending_bytes: int,
        compress_above_bytes: int | None,
    ) -> None:
        """Wire the parts; nothing is opened.

        Args:
            table: Where everything is.
            attachments: Where files are, if anywhere.
            page_items: How many threads one request to the index reads.
            cache_seconds: How long users are cached.
            max_pending_bytes: How much may wait to be written.
            compress_above_bytes: Above what size values are compressed; `None` never.
        """
        self.writer = Writer(max_pending_bytes=max_pending_bytes)
        self.table = table
        values = LargeValues(table, compress_above_bytes=compress_above_bytes)
        recent = Recent()
        tombstones = Tombstones(table)
        markers = FeedbackMarkers(table)
        self.lookup = StepLookup(table)
        self.users = Users(table, values, cache_seconds=cache_seconds)
        self.elements = Elements(table, values, self.writer, tombstones, attachments)
        self.steps = Steps(table, values, self.writer, tombstones, self.lookup, self.elements, markers)
        self.deletion = ThreadDeletion(table, self.writer, tombstones, self.elements, self.lookup)
        self.threads = Threads(table, values, self.writer, tombstones, recent, markers, self.deletion.sweep)
        self.reader = ThreadReader(table, values, self.writer, self.elements, recent, page_items=page_items)
        self.feedback = Feedback(table, values, self.writer, self.lookup, recent, markers)
        self.favorites = Favorites(table, values, self.writer, recent)
