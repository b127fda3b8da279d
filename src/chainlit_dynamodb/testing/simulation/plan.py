"""A story before it happens: who visits when and does what, and what goes wrong. Plain data, drawn from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ALL_SLOTS = ""
"""As the slot of a trouble: every process has it."""


@dataclass(frozen=True)
class Act:
    """One thing a visitor does.

    Attributes:
        kind: What; see `visitors`.
        after: Seconds since the one before.
        number: What is written is told apart by it.
        thing: The step or element it is about.
        others: Further steps.
        size: How many characters of content come along.
        times: How often something is repeated.
        waits: Whether the visitor waits for its end before going on.
    """

    kind: str
    after: float
    number: int
    thing: str = ""
    others: tuple[str, ...] = ()
    size: int = 0
    times: int = 1
    waits: bool = True


@dataclass(frozen=True)
class Visit:
    """A session of Chainlit: one user in one chat, in a browser or as a bot.

    Attributes:
        name: Who, in the story.
        slot: Which server.
        user: The user's identifier.
        chat: The thread.
        is_bot: Whether there is no browser.
        at: When it begins, in seconds.
        acts: What happens in it.
    """

    name: str
    slot: str
    user: str
    chat: str
    is_bot: bool
    at: float
    acts: tuple[Act, ...]


@dataclass(frozen=True)
class Trouble:
    """Something that goes wrong at a time.

    Attributes:
        kind: `refused` or `silent`: how the engine is not reached. `kill`: the process ends at once, and another
            takes its place. `close`: it ends as Chainlit ends. `clock`: its clock steps.
        slot: Whose; empty for everybody's.
        at: When, in seconds; or, for a kill with `requests`, not used.
        seconds: How long; how long until a new process takes the place; by how much the clock steps.
        requests: Kill at the request of this number; negative: right after it was done, before the answer.
        on: The engine is not reached from the first call of this method on that comes after `at`.
    """

    kind: str
    slot: str
    at: float
    seconds: float
    requests: int = 0
    on: str = ""


@dataclass(frozen=True)
class Plan:
    """A story before it happens.

    Attributes:
        seed: Everything else that is drawn comes from it.
        rates: How likely each fault of a request is.
        slots: The servers, and how far their clocks are ahead, in seconds.
        visits: Who comes.
        troubles: What goes wrong.
        lag_seconds: How far the index may be behind.
        options: Arguments of the layer.
        shuffles: Whether callbacks that are ready at the same time change places.
        only: The names of the requests that something may befall; `None` for all.
    """

    seed: int
    rates: Mapping[str, float]
    slots: Mapping[str, float]
    visits: tuple[Visit, ...]
    troubles: tuple[Trouble, ...]
    lag_seconds: float
    options: Mapping[str, int | None] = field(default_factory=dict)
    shuffles: bool = False
    only: frozenset[str] | None = None

    def describe(self) -> list[str]:
        """Return it in lines."""
        lines = [f"servers: {', '.join(f'{slot} (clock {ahead:+.1f} s)' for slot, ahead in self.slots.items())}"]
        lines.append(f"faults: {', '.join(f'{name} {rate:.3f}' for name, rate in self.rates.items()) or 'none'}")
        lines.append(f"index lag: up to {self.lag_seconds:.1f} s; options: {dict(self.options)}")
        lines += [f"trouble: {_trouble(trouble)}" for trouble in self.troubles]
        for visit in self.visits:
            kind = "bot" if visit.is_bot else "browser"
            lines.append(
                f"{visit.name}: {visit.user} in {visit.chat}, {kind}, server {visit.slot}, at {visit.at:.2f}"
            )
            lines += [f"    {_act(act)}" for act in visit.acts]
        return lines


def _trouble(trouble: Trouble) -> str:
    where = trouble.slot or "all"
    when = f"at request {trouble.requests}" if trouble.requests else f"at {trouble.at:.2f}"
    when += f" or the next {trouble.on}" if trouble.on else ""
    return f"{trouble.kind} {where} {when}, {trouble.seconds:+.2f} s"


def _act(act: Act) -> str:
    more = f" and {', '.join(act.others)}" if act.others else ""
    size = f", {act.size} characters" if act.size else ""
    times = f", {act.times} times" if act.times > 1 else ""
    return f"+{act.after:.3f} {act.kind} {act.thing}{more} #{act.number}{size}{times}"
