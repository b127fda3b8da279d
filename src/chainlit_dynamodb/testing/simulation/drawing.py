"""Draws plans. Each schedule enables a random part of the faults and of the things people do ("swarm testing").

A rare thing is tried often in few schedules rather than rarely in all: so rare things meet each other.
"""

from __future__ import annotations

import random
from typing import Final

from chainlit_dynamodb.testing.simulation.plan import ALL_SLOTS, Act, Plan, Trouble, Visit

_RATES: Final = {
    "throttled": (0.02, 0.2),
    "server error": (0.02, 0.2),
    "reset": (0.02, 0.1),
    "lost answer": (0.02, 0.25),
    "late": (0.02, 0.2),
    "refused credentials": (0.02, 0.05),
    "slow": (0.02, 0.2),
    "partial batch": (0.1, 0.5),
    "stale read": (0.1, 0.5),
    "slow storage": (0.1, 0.6),
    "storage failure": (0.05, 0.2),
    "storage lost answer": (0.05, 0.1),
}
_ACTS: Final = {
    "say": 3,
    "stream": 3,
    "tool": 2,
    "update": 4,
    "remove": 1,
    "edit": 1,
    "merge": 2,
    "big merge": 2,
    "rename": 1,
    "share": 1,
    "like": 1,
    "unlike": 1,
    "star": 1,
    "unstar": 1,
    "attach": 1,
    "change": 1,
    "detach": 1,
    "read": 3,
    "list": 3,
    "login": 1,
    "leave": 1,
    "delete": 1,
}
_TROUBLED_CALLS: Final = (
    "",
    "",
    "",
    "delete_thread",
    "delete_thread",
    "update_thread",
    "delete_step",
    "create_element",
)
_SMALL: Final = (0, 0, 0, 40, 400)
_LARGE: Final = (1700, 2500, 5000)


def draw_plan(seed: int) -> Plan:
    """Return the plan of a seed."""
    return _Drawing(seed).plan()


class _Drawing:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._chance = random.Random(f"plan/{seed}")  # noqa: S311 - repeatable
        self._number = 0
        self._steps: dict[str, list[str]] = {}
        self._elements: dict[str, list[str]] = {}
        self._acts = self._some_acts()
        self._has_large = self._chance.random() < 0.5

    def plan(self) -> Plan:
        chance = self._chance
        slots = {name: self._clock() for name in "ABC"[: chance.choice((1, 2, 2, 2, 3))]}
        visits = self._visits(list(slots))
        return Plan(
            seed=self._seed,
            rates=self._some_rates(),
            slots=slots,
            visits=visits,
            troubles=self._troubles(list(slots)),
            lag_seconds=chance.choice((0.0, 0.05, 0.5, 5.0, 20.0)),
            options=self._options(),
            shuffles=chance.random() < 0.3,
        )

    def _some_acts(self) -> dict[str, float]:
        kept = {kind: weight * self._chance.choice((0, 0, 1, 1, 3)) for kind, weight in _ACTS.items()}
        return {kind: weight for kind, weight in kept.items() if weight} or {"say": 1}

    def _some_rates(self) -> dict[str, float]:
        chance = self._chance
        share = chance.choice((0.0, 0.15, 0.3, 0.5))
        return {name: chance.uniform(*span) for name, span in _RATES.items() if chance.random() < share}

    def _options(self) -> dict[str, int | None]:
        options: dict[str, int | None] = {"compress_above": self._chance.choice((None, None, 1024, 4096))}
        if self._chance.random() < 0.15:
            options["max_pending_bytes"] = self._chance.choice((500, 5_000))
        options["user_thread_limit"] = self._chance.choice((1, 2, 10))
        return options

    def _clock(self) -> float:
        return self._chance.choice((0.0, 0.0, 0.0, 0.5, -0.5, 3.0, -3.0, 60.0, -3600.0))

    def _troubles(self, slots: list[str]) -> tuple[Trouble, ...]:
        found = []
        for kind, rate in (("refused", 0.2), ("silent", 0.1), ("kill", 0.25), ("close", 0.15), ("clock", 0.15)):
            while self._chance.random() < rate:
                found.append(self._trouble(kind, self._chance.choice(slots)))
        return tuple(found)

    def _trouble(self, kind: str, slot: str) -> Trouble:
        chance = self._chance
        at = chance.uniform(0, 20)
        if kind in ("refused", "silent"):
            seconds, on = chance.choice((1.0, 8.0, 30.0, 120.0, 900.0)), chance.choice(_TROUBLED_CALLS)
            return Trouble(kind, chance.choice((ALL_SLOTS, slot)), at / 2 if on else at, seconds, on=on)
        if kind == "kill":
            requests = chance.choice((0, 1, -1)) * chance.randrange(3, 60)
            return Trouble(kind, slot, at, chance.uniform(0.1, 5), requests)
        return Trouble(kind, slot, at, chance.uniform(0.1, 5) if kind == "close" else chance.uniform(-20, 20))

    def _visits(self, slots: list[str]) -> tuple[Visit, ...]:
        chance = self._chance
        chats = [f"chat{n}" for n in range(1, chance.choice((1, 1, 2, 3, 4)) + 1)]
        users = {chat: chance.choice(("ann", "ann", "bob")) for chat in chats}
        visits = []
        for number in range(chance.randrange(1, 6)):
            chat = chats[number % len(chats)]
            is_first = number < len(chats)
            visits.append(
                self._visit(f"visit{number + 1}", chance.choice(slots), users[chat], chat, is_first=is_first)
            )
        return tuple(visits)

    def _visit(self, name: str, slot: str, user: str, chat: str, *, is_first: bool) -> Visit:
        chance = self._chance
        is_bot = chance.random() < 0.2
        acts = self._opening(chat, is_first=is_first)
        for _ in range(chance.randrange(2, 14)):
            acts.append(self._act(chat))
        if chance.random() < 0.3:
            acts.append(self._new("leave"))
        if chance.random() < 0.2:
            acts.append(self._new("delete"))
        at = chance.uniform(0, 1) if is_first else chance.uniform(0, 6)
        return Visit(name, slot, user, chat, is_bot, at, tuple(acts))

    def _opening(self, chat: str, *, is_first: bool) -> list[Act]:
        acts = []
        if is_first and self._chance.random() < 0.3:
            acts += [self._new("attach", self._element(chat)), self._new("stream", self._step(chat))]
        if is_first and self._chance.random() < 0.1:
            acts.append(self._new("merge"))  # an app that stores settings at the start
        acts.append(self._new("speak", self._step(chat)))
        if acts[0].kind == "attach" and self._chance.random() < 0.6:
            acts.append(self._new(self._chance.choice(("change", "attach")), acts[0].thing))
        return acts

    def _act(self, chat: str) -> Act:
        kind = self._chance.choices(list(self._acts), list(self._acts.values()))[0]
        if kind in ("say", "stream", "tool"):
            return self._new(kind, self._step(chat))
        if kind == "attach":
            return self._new(kind, self._element(chat), others=self._some_step(chat))
        if kind in ("change", "detach"):
            return self._new(kind, self._one_of(self._elements.get(chat), chat))
        if kind in ("update", "remove", "like", "unlike", "star", "unstar"):
            return self._new(kind, self._one_of(self._steps.get(chat), chat))
        if kind == "edit":
            some = self._steps.get(chat) or [f"{chat}-s0"]
            return self._new(kind, some[0], others=tuple(some[1:4]))
        return self._new(kind)

    def _new(self, kind: str, thing: str = "", others: tuple[str, ...] = ()) -> Act:
        chance = self._chance
        self._number += 1
        large = kind == "big merge" or (
            self._has_large and kind in ("update", "say", "tool") and chance.random() < 0.3
        )
        after = chance.choice((0.0, 0.001, 0.02, 0.2, 1.0, chance.uniform(0, 12)))
        size = chance.choice(_LARGE if large else _SMALL)
        times = chance.choice((1, 2, 4)) if kind in ("stream", "update") else 1
        return Act(kind, after, self._number, thing, others, size, times, chance.random() < 0.6)

    def _step(self, chat: str) -> str:
        steps = self._steps.setdefault(chat, [])
        steps.append(f"{chat}-s{len(steps) + 1}")
        return steps[-1]

    def _element(self, chat: str) -> str:
        elements = self._elements.setdefault(chat, [])
        elements.append(f"{chat}-e{len(elements) + 1}")
        return elements[-1]

    def _some_step(self, chat: str) -> tuple[str, ...]:
        return (self._one_of(self._steps.get(chat), chat),)

    def _one_of(self, things: list[str] | None, chat: str) -> str:
        return self._chance.choice(things[-4:]) if things else f"{chat}-0"
