"""What is worth another try is tried again, a random while later, until the time is over."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from chainlit_dynamodb.dynamodb.retry import Retries, RetryPolicy
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
    assert await Retries("chats").run(RetryPolicy(5), service) == "answer"
    assert (service.calls, sleeps) == (1, [])


async def test_throttling_is_outlasted(sleeps: list[float]) -> None:
    service = Service(9)
    assert await Retries("chats").run(RetryPolicy(5), service) == "answer"
    assert service.calls == 10


async def test_there_is_a_delay_before_every_further_try(sleeps: list[float]) -> None:
    await Retries("chats").run(RetryPolicy(5), Service(7))
    assert len(sleeps) == 7


async def test_delays_are_drawn_between_zero_and_a_bound_that_doubles(sleeps: list[float]) -> None:
    for _ in range(40):
        await Retries("chats").run(RetryPolicy(5), Service(6))
    rounds = [sleeps[at::6] for at in range(6)]
    bounds = [0.05 * 2**number for number in range(6)]
    assert all(0 <= max(drawn) <= bound for drawn, bound in zip(rounds, bounds, strict=True))
    assert all(max(drawn) > bound / 2 for drawn, bound in zip(rounds, bounds, strict=True))
    assert all(min(drawn) < bound / 2 for drawn, bound in zip(rounds, bounds, strict=True))


async def test_no_delay_is_longer_than_five_seconds(sleeps: list[float]) -> None:
    await Retries("chats").run(RetryPolicy(5), Service(40))
    assert 2 < max(sleeps) <= 5


async def test_two_callers_do_not_wait_alike(sleeps: list[float]) -> None:
    await Retries("chats").run(RetryPolicy(5), Service(8))
    await Retries("chats").run(RetryPolicy(5), Service(8))
    assert sleeps[:8] != sleeps[8:]


async def test_the_last_failure_is_raised_when_the_time_is_over() -> None:
    service = Service(1_000_000)
    with pytest.raises(TransientError) as caught:
        await Retries("chats").run(RetryPolicy(0), service)
    assert caught.value is service.error
    assert service.calls == 1


async def test_the_time_of_the_first_try_counts() -> None:
    calls: list[int] = []

    async def request() -> None:
        calls.append(1)
        await asyncio.sleep(0.05)
        raise TransientError("GetItem", "TimeoutError", "no answer")

    with pytest.raises(TransientError):
        await Retries("chats").run(RetryPolicy(0.04), request)
    assert len(calls) == 1


async def test_every_try_has_the_arguments() -> None:
    seen: list[tuple[int, str]] = []

    async def request(number: int, *, text: str) -> None:
        seen.append((number, text))
        if len(seen) < 3:
            raise TransientError("GetItem", "ThrottlingException", "slow down")

    await Retries("chats").run(RetryPolicy(5), request, 1, text="x")
    assert seen == [(1, "x")] * 3


async def test_a_refusal_for_good_is_raised_at_once(sleeps: list[float]) -> None:
    service = Service(3, AccessDeniedError("GetItem", "AccessDeniedException", "allow it"))
    with pytest.raises(AccessDeniedError):
        await Retries("chats").run(RetryPolicy(5), service)
    assert (service.calls, sleeps) == (1, [])


async def test_a_refusal_for_good_among_retries_is_raised_at_once(sleeps: list[float]) -> None:
    calls: list[int] = []

    async def request() -> None:
        calls.append(1)
        if len(calls) == 4:
            raise ValueError("a bug")
        raise TransientError("GetItem", "ThrottlingException", "slow down")

    with pytest.raises(ValueError, match="a bug"):
        await Retries("chats").run(RetryPolicy(5), request)
    assert len(calls) == 4


async def test_cancelling_ends_the_tries() -> None:
    service = Service(1_000_000)
    task = asyncio.create_task(Retries("chats").run(RetryPolicy(60), service))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_passing_trouble_is_not_worth_a_warning(sleeps: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "chainlit.DynamoDB"):
        await Retries("chats").run(RetryPolicy(5), Service(3))
    assert [record.levelno for record in caplog.records] == [logging.DEBUG] * 3


async def test_lasting_trouble_is_warned_of_once_for_all_requests(
    sleeps: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    retries = Retries("table chats")
    with caplog.at_level(logging.DEBUG, "chainlit.DynamoDB"):
        await asyncio.gather(*(retries.run(RetryPolicy(5), Service(8)) for _ in range(20)))
    warning, end = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "answers again for table chats" in end.getMessage()
    assert "table chats 4 times, 20 requests" in warning.getMessage()
    assert "ThrottlingException" in warning.getMessage()
