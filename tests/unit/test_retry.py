"""What is worth another try is tried again, a random while later, until the time is over."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from chainlit_dynamodb.dynamodb import retry
from chainlit_dynamodb.dynamodb.retry import retrying
from chainlit_dynamodb.errors import AccessDeniedError, TransientError


class Service:
    """Refuses a while, then answers."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.failures = failures
        self.error = error or TransientError("GetItem", "ThrottlingException", "slow down")
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "answer"


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Sleep no more, but note how long it would have been; the clock goes on."""
    slept: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(seconds: float, *_: Any) -> None:
        slept.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


async def test_an_answer_at_once_costs_one_request_and_no_delay(sleeps: list[float]) -> None:
    service = Service(0)
    assert await retrying(service, give_up_after_seconds=5) == "answer"
    assert (service.calls, sleeps) == (1, [])


async def test_throttling_is_outlasted(sleeps: list[float]) -> None:
    service = Service(9)
    assert await retrying(service, give_up_after_seconds=5) == "answer"
    assert service.calls == 10


async def test_there_is_a_delay_before_every_further_try(sleeps: list[float]) -> None:
    await retrying(Service(7), give_up_after_seconds=5)
    assert len(sleeps) == 7


async def test_delays_are_drawn_between_zero_and_a_bound_that_doubles(sleeps: list[float]) -> None:
    for _ in range(40):
        await retrying(Service(6), give_up_after_seconds=5)
    rounds = [sleeps[at::6] for at in range(6)]
    bounds = [0.05 * 2**number for number in range(6)]
    assert all(0 <= max(drawn) <= bound for drawn, bound in zip(rounds, bounds, strict=True))
    assert all(max(drawn) > bound / 2 for drawn, bound in zip(rounds, bounds, strict=True))
    assert all(min(drawn) < bound / 2 for drawn, bound in zip(rounds, bounds, strict=True))


async def test_no_delay_is_longer_than_five_seconds(sleeps: list[float]) -> None:
    await retrying(Service(40), give_up_after_seconds=5)
    assert 2 < max(sleeps) <= 5


async def test_two_callers_do_not_wait_alike(sleeps: list[float]) -> None:
    await retrying(Service(8), give_up_after_seconds=5)
    await retrying(Service(8), give_up_after_seconds=5)
    assert sleeps[:8] != sleeps[8:]


async def test_the_last_failure_is_raised_when_the_time_is_over() -> None:
    service = Service(1_000_000)
    with pytest.raises(TransientError) as caught:
        await retrying(service, give_up_after_seconds=0)
    assert caught.value is service.error
    assert service.calls == 1


async def test_a_refusal_for_good_is_raised_at_once(sleeps: list[float]) -> None:
    service = Service(3, AccessDeniedError("GetItem", "AccessDeniedException", "allow it"))
    with pytest.raises(AccessDeniedError):
        await retrying(service, give_up_after_seconds=5)
    assert (service.calls, sleeps) == (1, [])


async def test_a_refusal_for_good_among_retries_is_raised_at_once(sleeps: list[float]) -> None:
    calls: list[int] = []

    async def request() -> None:
        calls.append(1)
        if len(calls) == 4:
            raise ValueError("a bug")
        raise TransientError("GetItem", "ThrottlingException", "slow down")

    with pytest.raises(ValueError, match="a bug"):
        await retrying(request, give_up_after_seconds=5)
    assert len(calls) == 4


async def test_cancelling_ends_the_tries() -> None:
    service = Service(1_000_000)
    task = asyncio.create_task(retrying(service, give_up_after_seconds=60))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_passing_trouble_is_not_worth_a_warning(sleeps: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "chainlit.DynamoDB"):
        await retrying(Service(3), give_up_after_seconds=5)
    assert [record.levelno for record in caplog.records] == [logging.DEBUG] * 3


async def test_lasting_trouble_is_warned_of_once_for_all_requests(
    sleeps: list[float], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "_last_warning", float("-inf"))
    with caplog.at_level(logging.DEBUG, "chainlit.DynamoDB"):
        await asyncio.gather(*(retrying(Service(8), give_up_after_seconds=5) for _ in range(20)))
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "4 times" in warning.getMessage()
    assert "ThrottlingException" in warning.getMessage()
