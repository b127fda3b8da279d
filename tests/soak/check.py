"""Compares what was acknowledged with what the table holds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from chainlit_dynamodb import DynamoDBDataLayer
from tests.contract.chats import page_of
from tests.soak.content import number_of
from tests.soak.ledger import Entry

RawRows = Callable[[str], list[dict[str, Any]]]


@dataclass
class Writes:
    """The writes of one thing: the highest number asked for, and the highest acknowledged."""

    asked: int = -1
    acknowledged: int = -1


@dataclass
class ChatRecord:
    """What the ledgers say of one chat."""

    user: str
    thread: Writes = field(default_factory=Writes)
    deletion: Writes = field(default_factory=Writes)
    steps: defaultdict[str, Writes] = field(default_factory=lambda: defaultdict(Writes))
    step_deletions: defaultdict[str, Writes] = field(default_factory=lambda: defaultdict(Writes))
    metadata: defaultdict[str, Writes] = field(default_factory=lambda: defaultdict(Writes))
    feedback: defaultdict[str, Writes] = field(default_factory=lambda: defaultdict(Writes))

    def note(self, entry: Entry) -> None:
        """Take in one entry."""
        writes = self._writes(entry)
        writes.asked = max(writes.asked, entry.number)
        if entry.acknowledged:
            writes.acknowledged = max(writes.acknowledged, entry.number)

    def _writes(self, entry: Entry) -> Writes:
        if entry.what == "thread":
            return self.thread
        if entry.what == "thread deletion":
            return self.deletion
        by_key = {
            "step": self.steps,
            "step deletion": self.step_deletions,
            "metadata": self.metadata,
            "feedback": self.feedback,
        }
        return by_key[entry.what][entry.key]


def records_of(entries: Iterable[Entry]) -> dict[str, ChatRecord]:
    """Sort entries by chat."""
    records: dict[str, ChatRecord] = {}
    for entry in entries:
        records.setdefault(entry.thread, ChatRecord(entry.user)).note(entry)
    return records


class Checker:
    """Reads every chat back through a fresh layer."""

    def __init__(self, layer: DynamoDBDataLayer, raw_rows: RawRows) -> None:
        """Take a layer, and a way to read a partition raw."""
        self.findings: Counter[str] = Counter()
        self.details: list[str] = []
        self.checked: Counter[str] = Counter()
        self._layer = layer
        self._raw_rows = raw_rows

    async def check(self, records: dict[str, ChatRecord]) -> None:
        """Check all chats, and each user's list of them."""
        for thread_id, record in records.items():
            if record.deletion.asked >= 0:
                await self._check_deleted(thread_id, record)
            else:
                await self._check_chat(thread_id, record)
        await self._check_lists(records)

    async def _check_deleted(self, thread_id: str, record: ChatRecord) -> None:
        if record.deletion.acknowledged < 0:  # the process died meanwhile: asking again finishes it
            await self._layer.delete_thread(thread_id)
        self.checked["deleted chats"] += 1
        left = [row["SK"]["S"] for row in self._raw_rows(thread_id)]
        if left not in ([], ["THREAD"]) or await self._layer.get_thread(thread_id) is not None:
            self._find("not deleted", f"{thread_id}: {left}")

    async def _check_chat(self, thread_id: str, record: ChatRecord) -> None:
        thread: Any = await self._layer.get_thread(thread_id)
        if thread is None:
            if record.thread.acknowledged >= 0:
                self._find("lost", f"chat {thread_id}")
            return
        self.checked["chats"] += 1
        ids = Counter(step["id"] for step in thread["steps"])
        if any(count > 1 for count in ids.values()):
            self._find("duplicated", f"a step of {thread_id}")
        steps = {step["id"]: step for step in thread["steps"]}
        for step_id, writes in record.steps.items():
            self._check_step(thread_id, step_id, writes, record.step_deletions[step_id], steps.get(step_id))
        for key, writes in record.metadata.items():
            self.checked["writes"] += writes.acknowledged >= 0
            if writes.acknowledged >= 0 and thread["metadata"].get(key) != writes.acknowledged:
                self._find("lost", f"metadata {key} of {thread_id}")
        for step_id, writes in record.feedback.items():
            self._check_feedback(thread_id, step_id, writes, steps.get(step_id))

    def _check_step(self, thread_id: str, step_id: str, writes: Writes, deletion: Writes, step: Any) -> None:
        self.checked["writes"] += writes.acknowledged + 1
        if deletion.asked >= 0:
            if deletion.acknowledged >= 0 and step is not None:
                self._find("not deleted", f"step {step_id} of {thread_id}")
            return
        if step is None:
            if writes.acknowledged >= 0:
                self._find("lost", f"step {step_id} of {thread_id}")
            return
        number = number_of(step["output"], step_id)
        if number is None or number > writes.asked:
            self._find("damaged", f"step {step_id} of {thread_id}")
        elif number < writes.acknowledged:
            self._find("out of order", f"step {step_id} of {thread_id}: {number} after {writes.acknowledged}")

    def _check_feedback(self, thread_id: str, step_id: str, writes: Writes, step: Any) -> None:
        if writes.acknowledged < 0 or step is None:
            return
        self.checked["writes"] += writes.acknowledged + 1
        comment = (step.get("feedback") or {}).get("comment")
        if comment is None or not writes.acknowledged <= int(comment) <= writes.asked:
            self._find("lost", f"feedback of {step_id} of {thread_id}: {comment}")

    async def _check_lists(self, records: dict[str, ChatRecord]) -> None:
        expected: defaultdict[str, set[str]] = defaultdict(set)
        possible: defaultdict[str, set[str]] = defaultdict(set)
        for thread_id, record in records.items():
            if record.deletion.asked < 0:
                possible[record.user].add(thread_id)
                if record.thread.acknowledged >= 0:
                    expected[record.user].add(thread_id)
        for user in {record.user for record in records.values()}:
            await self._check_list(user, expected[user], possible[user])

    async def _check_list(self, user: str, expected: set[str], possible: set[str]) -> None:
        listed: Counter[str] = Counter()
        cursor = None
        while True:
            page = await page_of(self._layer, first=200, cursor=cursor, userId=user)
            listed.update(thread["id"] for thread in page.data)
            cursor = page.pageInfo.endCursor
            if not page.pageInfo.hasNextPage:
                break
        for thread_id in expected - set(listed):
            self._find("lost", f"{thread_id} from the list of {user}")
        for thread_id in set(listed) - possible:
            self._find("not deleted", f"{thread_id} in the list of {user}")
        for thread_id, count in listed.items():
            if count > 1:
                self._find("duplicated", f"{thread_id} in the list of {user}")

    def _find(self, kind: str, detail: str) -> None:
        self.findings[kind] += 1
        self.details.append(f"{kind}: {detail}")
