"""The checker: which values have an explanation, given who wrote what, when, and what was answered."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from chainlit_dynamodb.testing.simulation.histories import LATEST_SECONDS, Histories
from chainlit_dynamodb.testing.simulation.records import ABSENT, Records, Register, Write

REGISTER = ("step", "chat1", "chat1-s1", "output")
OWNER = ("thread", "chat1", "owner")
ENTRY = ("thread", "chat1", "k1")
ELEMENT = ("element", "chat1", "chat1-e1", "for")
NEVER = math.inf


@dataclass
class Layer:
    """Stands for a process where only names are asked."""

    backlog: Any


@dataclass
class Backlog:
    size_bytes: int = 0


@dataclass
class Process:
    name: str
    slot: str = "A"
    layer: Any = None


class Past:
    """Calls at times."""

    def __init__(self) -> None:
        self.now = 0.0
        self.records = Records(lambda: self.now)

    def write(
        self, value: Any, started: float, ended: float | None, *, process: str = "A1", error: str = "", **options: Any
    ) -> None:
        self.now = started
        write = Write(options.pop("register", REGISTER), value, **options)
        call = self.records.begin(Process(process, layer=Layer(Backlog())), "update_step", "", (write,))
        if ended is not None:
            self.now = ended
            self.records.end(call, error=error)

    def explains(
        self, value: Any, started: float = 100.0, ended: float = 101.0, register: Register = REGISTER
    ) -> bool:
        return Histories(self.records).explain(register, value, started, ended)


def test_nothing_is_there_until_something_is_acknowledged() -> None:
    past = Past()
    past.write(1, 10, 20)
    assert past.explains(ABSENT, 5, 15)
    assert past.explains(1, 5, 15)
    assert not past.explains(ABSENT, 21, 22)
    assert past.explains(1, 21, 22)
    assert not past.explains(2, 21, 22)


def test_what_was_never_written_has_no_explanation() -> None:
    assert not Past().explains(1)
    assert Past().explains(ABSENT)


def test_the_newest_acknowledged_write_of_a_process_counts() -> None:
    past = Past()
    past.write(1, 10, 30)
    past.write(2, 11, 31)
    assert past.explains(2)
    assert not past.explains(1)


def test_overlapping_writes_of_two_processes_may_have_either_order() -> None:
    past = Past()
    past.write(1, 10, 30)
    past.write(2, 11, 31, process="B1")
    assert past.explains(1)
    assert past.explains(2)


@pytest.mark.parametrize(("later", "explained"), [(20.0, True), (10 + LATEST_SECONDS + 1, False)])
def test_a_failed_write_may_take_effect_for_a_while(later: float, explained: bool) -> None:
    past = Past()
    past.write(1, 5, 10, error="TransientError")
    past.write(2, later, later + 1, process="B1")
    assert past.explains(1) == explained


def test_a_failed_write_of_the_same_process_never_comes_after_a_later_one() -> None:
    past = Past()
    past.write(1, 5, 10, error="TransientError")
    past.write(2, 11, 12)
    assert not past.explains(1)


def test_what_only_fills_gaps_never_replaces_anything() -> None:
    past = Past()
    past.write(1, 10, 11)
    past.write(2, 20, 21, is_weak=True)
    assert past.explains(1)
    assert not past.explains(2)


def test_a_loss_that_is_logged_is_no_acknowledgement() -> None:
    past = Past()
    past.write(1, 10, 20)
    past.now = 15
    past.records.note_log("A1", "ERROR", "Not stored: THREAD#chat1 STEP#chat1-s1: RequestError")
    assert past.explains(ABSENT)


def test_a_loss_of_another_step_says_nothing() -> None:
    past = Past()
    past.write(1, 10, 20)
    past.now = 15
    past.records.note_log("A1", "ERROR", "Not stored: THREAD#chat1 STEP#chat1-s11: RequestError")
    assert not past.explains(ABSENT)


def test_deleting_what_never_was_promises_nothing() -> None:
    past = Past()
    past.write(ABSENT, 1, 2, register=REGISTER[:3], is_end=True)
    past.write(1, 10, 20)
    assert not Histories(past.records).is_over(NEVER, REGISTER[:3])


def test_an_acknowledged_deletion_is_the_end() -> None:
    past = Past()
    past.write(1, 10, 20)
    past.write(ABSENT, 21, 22, register=REGISTER[:3], is_end=True)
    assert Histories(past.records).is_over(23, REGISTER[:3])
    assert not Histories(past.records).is_over(21, REGISTER[:3])


def test_a_change_promises_nothing_while_the_thread_may_not_be_there() -> None:
    past = Past()
    past.write("ann", 1, 30, register=OWNER)
    past.write(1, 10, 20, register=ENTRY, needs=OWNER, process="B1")
    assert past.explains(ABSENT, register=ENTRY)


def test_a_process_keeps_a_change_for_the_thread_it_makes() -> None:
    past = Past()
    past.write("ann", 1, 30, register=OWNER)
    past.write(1, 10, 20, register=ENTRY, needs=OWNER)
    assert not past.explains(ABSENT, register=ENTRY)


def test_an_element_of_a_step_that_somebody_has_deleted_promises_nothing() -> None:
    past = Past()
    past.write(1, 1, 2)
    past.write("chat1-s2", 3, 4, register=ELEMENT, process="B1")
    past.write(ABSENT, 5, 6, register=REGISTER[:3], is_end=True, process="B1")
    past.write("chat1-s1", 10, 11, register=ELEMENT)
    assert past.explains("chat1-s2", register=ELEMENT)


def test_what_was_queued_gives_way_to_what_its_process_wrote_later() -> None:
    past = Past()
    past.write(1, 1, 40)
    past.write(2, 10, 20)
    past.write(3, 30, 31, process="B1")
    assert not past.explains(1)
