"""The contract of a Chainlit data layer written as code: plain dicts in memory, nothing clever, nothing fast.

What another layer answers can be compared with what this one does. It takes sound input, keeps no files, and knows
one session, whose user and thread are given. Import it explicitly: it imports Chainlit.
"""

from __future__ import annotations

import copy
from typing import Any, Final

from chainlit.data.base import BaseDataLayer
from chainlit.types import Feedback, PageInfo, PaginatedResponse, Pagination, ThreadFilter
from chainlit.user import PersistedUser, User

_FAVORITE: Final = "favorite"


class ReferenceDataLayer(BaseDataLayer):
    """Keeps everything in dicts."""

    def __init__(self, user_id: str, thread_id: str) -> None:
        """Start empty.

        Args:
            user_id: The session's user.
            thread_id: The session's thread.
        """
        self.user_id = user_id
        self.thread_id = thread_id
        self._users: dict[str, dict[str, Any]] = {}
        self._threads: dict[str, dict[str, Any]] = {}
        self._steps: dict[tuple[str, str], dict[str, Any]] = {}
        self._elements: dict[tuple[str, str], dict[str, Any]] = {}
        self._feedback: dict[tuple[str, str], dict[str, Any]] = {}
        self._favorites: dict[tuple[str, str], str] = {}
        self._gone_steps: set[tuple[str, str]] = set()
        self._gone_elements: set[tuple[str, str]] = set()
        self._deleted: set[str] = set()
        self._gifts: dict[str, str] = {}
        self._clock = 0

    async def get_user(self, identifier: str) -> PersistedUser | None:
        """Return a user, or `None`."""
        found = self._users.get(identifier)
        return None if found is None else PersistedUser(**copy.deepcopy(found))

    async def create_user(self, user: User) -> PersistedUser | None:
        """Make a user, or replace the metadata of one; `id` and `createdAt` stay."""
        made = {"id": user.identifier, "identifier": user.identifier, "createdAt": self._now()}
        self._users[user.identifier] = {
            **made,
            **self._users.get(user.identifier, {}),
            "metadata": copy.deepcopy(user.metadata),
        }
        return await self.get_user(user.identifier)

    async def upsert_feedback(self, feedback: Feedback) -> str:
        """Set the feedback of a step; "" for an unknown step, which changes nothing."""
        place = (feedback.threadId or self.thread_id, feedback.forId)
        if place not in self._steps or not self._may_touch(place[0]):
            return ""
        known = self._feedback.get(place, {"id": f"{place}/{self._now()}"})
        self._feedback[place] = {
            "id": known["id"],
            "forId": feedback.forId,
            "value": feedback.value,
            "comment": feedback.comment,
        }
        return str(known["id"])

    async def delete_feedback(self, feedback_id: str) -> bool:
        """Delete feedback by its id; garbage is no error."""
        places = [place for place, found in self._feedback.items() if found["id"] == feedback_id]
        for place in places:
            del self._feedback[place]
        return bool(places)

    async def create_element(self, element: Any) -> None:
        """Store an element, or change the one with this id. One for no message is not kept."""
        fields = copy.deepcopy(element.to_dict())
        place = (fields["threadId"], fields["id"])
        step = (place[0], fields.get("forId"))
        is_dead = self._is_dead(place, self._gone_elements) or step in self._gone_steps
        if fields.get("forId") and not is_dead and self._may_touch_elements(place[0]):
            self._elements[place] = {**self._elements.get(place, {}), **fields}

    async def get_element(self, thread_id: str, element_id: str) -> Any:
        """Return an element, or `None`."""
        return copy.deepcopy(self._elements.get((thread_id, element_id)))

    async def delete_element(self, element_id: str, thread_id: str | None = None) -> None:
        """Delete an element; later writes to it do nothing."""
        place = (thread_id or self.thread_id, element_id)
        if not self._may_touch_elements(place[0]):
            return
        self._gone_elements.add(place)
        self._elements.pop(place, None)

    async def create_step(self, step_dict: Any) -> None:
        """Store a step; what is stored already stays. A user message moves its thread up."""
        place = self._place(step_dict)
        if self._is_dead(place, self._gone_steps) or not self._may_touch(place[0]):
            return
        known = self._steps.get(place, {})
        gaps = {name: value for name, value in step_dict.items() if value is not None and name not in known}
        self._store(place, {**gaps, **known})
        if step_dict.get("type") == "user_message" and place[0] in self._threads:
            self._threads[place[0]]["activity"] = self._now()

    async def update_step(self, step_dict: Any) -> None:
        """Change the fields given, `None` clearing one; make the step if it is missing."""
        place = self._place(step_dict)
        if not self._is_dead(place, self._gone_steps) and self._may_touch(place[0]):
            self._store(place, {**self._steps.get(place, {}), **step_dict})

    async def delete_step(self, step_id: str) -> None:
        """Delete a step with its feedback and its elements; later writes to it do nothing."""
        place = (self.thread_id, step_id)
        if not self._may_touch(place[0]):
            return
        self._gone_steps.add(place)
        for kept in (self._steps, self._feedback, self._favorites):
            kept.pop(place, None)
        for (thread_id, element_id), element in list(self._elements.items()):
            if thread_id == self.thread_id and element.get("forId") == step_id:
                await self.delete_element(element_id, thread_id)

    async def get_thread_author(self, thread_id: str) -> str:
        """Return the owner of a thread, or ""."""
        return str(self._threads.get(thread_id, {}).get("userId") or "")

    async def delete_thread(self, thread_id: str) -> None:
        """Delete a thread with everything in it. It stays deleted, if there was anything, be it deleted already."""
        mine: list[dict[tuple[str, str], Any]] = [self._steps, self._elements, self._feedback, self._favorites]
        gone = self._gone_steps | self._gone_elements
        if thread_id in self._threads or any(place[0] == thread_id for kept in [*mine, gone] for place in kept):
            self._deleted.add(thread_id)
        self._threads.pop(thread_id, None)
        for kept in mine:
            for place in [place for place in kept if place[0] == thread_id]:
                del kept[place]

    async def list_threads(self, pagination: Pagination, filters: ThreadFilter) -> PaginatedResponse[Any]:
        """Return a page of a user's threads, newest activity first. The cursor is a position."""
        found = [
            self._shown(thread_id)
            for thread_id, thread in self._by_activity()
            if thread["userId"] == filters.userId and self._passes(thread_id, filters)
        ]
        start = int(pagination.cursor or 0)
        end = start + pagination.first
        more = end < len(found)
        info = PageInfo(hasNextPage=more, startCursor=str(start), endCursor=str(end) if more else None)
        return PaginatedResponse(pageInfo=info, data=[{**t, "steps": [], "elements": []} for t in found[start:end]])

    async def get_thread(self, thread_id: str) -> Any:
        """Return a thread whole, parents before children, or `None`."""
        if thread_id not in self._threads:
            return None
        steps = [self._step(place) for place in self._steps if place[0] == thread_id]
        elements = [copy.deepcopy(e) for place, e in self._elements.items() if place[0] == thread_id]
        return {**self._shown(thread_id), "steps": _in_order(steps), "elements": elements}

    async def update_thread(
        self,
        thread_id: str,
        name: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        tags: list[str] | None = None,
    ) -> None:
        """Change what is given. A name or an owner makes the thread; an owner moves it up; metadata is merged."""
        if thread_id in self._deleted or not self._may_touch(thread_id):
            return
        if thread_id not in self._threads:
            if name is None and user_id is None:
                return
            moment = self._now()
            unknown = dict.fromkeys(("name", "userId", "tags"))
            self._threads[thread_id] = {**unknown, "metadata": {}, "createdAt": moment, "activity": moment}
        thread = self._threads[thread_id]
        given = {"name": name, "userId": user_id, "tags": tags}
        thread |= copy.deepcopy({name: value for name, value in given.items() if value is not None})
        merged = {**thread["metadata"], **copy.deepcopy(metadata or {})}
        thread["metadata"] = {key: value for key, value in merged.items() if value is not None}
        if user_id is not None:
            thread["activity"] = self._now()
            self._gifts |= {thread_id: user_id} if user_id != self.user_id else {}

    async def get_favorite_steps(self, user_id: str) -> list[Any]:
        """Return a user's favourite steps, newest first."""
        steps = [self._step(place) for place, owner in self._favorites.items() if owner == user_id]
        return sorted(steps, key=lambda step: str(step["createdAt"]), reverse=True)

    async def set_step_favorite(self, step_dict: Any, favorite: bool) -> Any:
        """Make a step a favourite of the session's user, or no favourite, and store its metadata."""
        place = self._place(step_dict)
        if place in self._steps and self._may_touch(place[0]):
            self._steps[place]["metadata"] = copy.deepcopy(step_dict.get("metadata") or {})
            self._favorites.pop(place, None)
            if favorite:
                self._favorites[place] = self.user_id
        return {**step_dict, "metadata": {**(step_dict.get("metadata") or {}), _FAVORITE: favorite}}

    async def build_debug_url(self) -> str:
        """Return "": there is none."""
        return ""

    async def close(self) -> None:
        """Do nothing."""

    def restart(self) -> None:
        """Forget what a process may forget when it ends: who has given what away."""
        self._gifts.clear()

    def _now(self) -> str:
        self._clock += 1
        return f"2026-01-01T00:00:00.{self._clock:06d}Z"

    def _may_touch(self, thread_id: str) -> bool:
        """Return whether the session may change a thread: nobody's, its user's own, or one it has given away."""
        return self._threads.get(thread_id, {}).get("userId") in (None, self.user_id, self._gifts.get(thread_id))

    def _may_touch_elements(self, thread_id: str) -> bool:
        """Return whether it may change the elements of one: a browser may name any thread."""
        is_own = self._threads.get(thread_id, {}).get("userId") == self.user_id
        return is_own or (thread_id == self.thread_id and self._may_touch(thread_id))

    def _place(self, step: Any) -> tuple[str, str]:
        return step.get("threadId") or self.thread_id, step["id"]

    def _is_dead(self, place: tuple[str, str], gone: set[tuple[str, str]]) -> bool:
        return place in gone or place[0] in self._deleted

    def _store(self, place: tuple[str, str], fields: dict[str, Any]) -> None:
        fields = copy.deepcopy(fields)
        if isinstance(fields.get("metadata"), dict):
            fields["metadata"].pop(_FAVORITE, None)
        self._steps[place] = fields

    def _step(self, place: tuple[str, str]) -> dict[str, Any]:
        stored = copy.deepcopy(self._steps[place])
        step = {name: value for name, value in stored.items() if value is not None}
        step |= {"output": step.get("output") or "", "metadata": step.get("metadata") or {}}
        step["parentId"] = step.get("parentId")
        if place in self._favorites:
            step["metadata"][_FAVORITE] = True
        if place in self._feedback:
            step["feedback"] = copy.deepcopy(self._feedback[place])
        return step

    def _shown(self, thread_id: str) -> dict[str, Any]:
        thread = copy.deepcopy(self._threads[thread_id])
        del thread["activity"]
        return {"id": thread_id, "userIdentifier": thread["userId"], **thread}

    def _by_activity(self) -> list[tuple[str, dict[str, Any]]]:
        return sorted(self._threads.items(), key=lambda entry: str(entry[1]["activity"]), reverse=True)

    def _passes(self, thread_id: str, filters: ThreadFilter) -> bool:
        name = str(self._threads[thread_id]["name"] or "")
        values = [found["value"] for place, found in self._feedback.items() if place[0] == thread_id]
        is_found = not filters.search or filters.search.casefold() in name.casefold()
        return is_found and (filters.feedback is None or filters.feedback in values)


def _in_order(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort by time, parents first; a parent that is missing, or in a circle, is none."""
    ids = {step["id"] for step in steps}
    waiting = sorted(steps, key=lambda step: str(step["createdAt"]))
    for step in waiting:
        step["parentId"] = step["parentId"] if step["parentId"] in ids - {step["id"]} else None
    placed: list[dict[str, Any]] = []
    while waiting:
        done = {step["id"] for step in placed}
        ready = next((step for step in waiting if step["parentId"] in (None, *done)), None)
        if ready is None:
            return placed + [{**step, "parentId": None} for step in waiting]
        waiting.remove(ready)
        placed.append(ready)
    return placed
