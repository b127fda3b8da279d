"""Times are text that sorts as time does, whatever wrote them and whichever Python reads them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlit_dynamodb.chat import clock

moments = st.datetimes(min_value=datetime.fromisoformat("0002-01-01"), max_value=datetime.fromisoformat("9998-01-01"))
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_now_is_later_at_every_call() -> None:
    moments = [clock.now() for _ in range(2_000)]
    assert moments == sorted(set(moments))


def test_now_is_later_even_if_the_clock_of_the_machine_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = datetime.now(timezone.utc) + timedelta(hours=1)
    monkeypatch.setattr(clock, "_last", ahead)
    first, second = clock.now(), clock.now()
    assert first == (ahead + timedelta(microseconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert second > first


def test_now_is_in_the_form_that_normalizing_gives() -> None:
    moment = clock.now()
    assert FORM.fullmatch(moment)
    assert clock.normalized(moment) == moment


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2026-11-01T10:00:00Z", "2026-11-01T10:00:00.000000Z"),
        ("2026-11-01T10:00:00", "2026-11-01T10:00:00.000000Z"),
        ("2026-11-01T10:00:00.123456", "2026-11-01T10:00:00.123456Z"),
        ("2026-11-01T10:00:00.123Z", "2026-11-01T10:00:00.123000Z"),
        ("2026-11-01T10:00:00.5Z", "2026-11-01T10:00:00.500000Z"),
        ("2026-11-01T10:00:00.123456789Z", "2026-11-01T10:00:00.123456Z"),
        ("2026-11-01T10:00:00+00:00", "2026-11-01T10:00:00.000000Z"),
        ("2026-11-01T10:00:00.000001+00:00Z", "2026-11-01T10:00:00.000001Z"),
        ("2026-11-01T12:30:00+02:30", "2026-11-01T10:00:00.000000Z"),
        ("2026-11-01T05:00:00-0500", "2026-11-01T10:00:00.000000Z"),
        ("2026-11-01 10:00:00", "2026-11-01T10:00:00.000000Z"),
        ("2026-11-01T10:00Z", "2026-11-01T10:00:00.000000Z"),
        ("2026-11-01", "2026-11-01T00:00:00.000000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_iso_times_are_brought_to_one_form(timestamp: str, expected: str) -> None:
    assert clock.normalized(timestamp) == expected


@pytest.mark.parametrize(
    "junk",
    [
        None,
        7,
        b"2026-11-01",
        "",
        "Z",
        "today",
        "2026-13-01T00:00:00Z",
        "2026-02-30",
        "2026-11-01T25:00:00Z",
        "2026-11-01T10:00:00ZZ",
        "2026-11-01T10:00:00+99:00",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
        "٢٠٢٦-11-01T10:00:00Z",
        "2026-11-01T10:00:00Z\n",
        {"time": 1},
    ],
)
def test_what_is_no_time_is_none(junk: Any) -> None:
    assert clock.normalized(junk) is None


@given(st.text() | st.text("0123456789-:.TZ+ ", max_size=30))
def test_no_text_raises(text: str) -> None:
    moment = clock.normalized(text)
    assert moment is None or FORM.fullmatch(moment)


@given(moments)
def test_normalizing_again_changes_nothing(moment: datetime) -> None:
    once = clock.normalized(moment.isoformat())
    assert once is not None
    assert clock.normalized(once) == once
    assert datetime.fromisoformat(once[:-1]) == moment


@given(moments, moments, zones, zones)
def test_the_order_of_texts_is_the_order_of_times(
    first: datetime, second: datetime, zone: timezone, other_zone: timezone
) -> None:
    first, second = first.replace(tzinfo=zone), second.replace(tzinfo=other_zone)
    texts = [str(clock.normalized(moment.isoformat())) for moment in (first, second)]
    assert (texts[0] < texts[1]) == (first < second)


def test_the_stand_in_sorts_before_every_real_time() -> None:
    assert clock.normalized(clock.EPOCH) == clock.EPOCH < clock.now()


@given(moments, zones, st.sampled_from(["auto", "minutes", "seconds", "milliseconds"]), st.booleans())
def test_just_after_a_time_is_a_time_that_sorts_behind_its_text(
    moment: datetime, zone: timezone, precision: str, has_zone: bool
) -> None:
    text = moment.replace(tzinfo=zone if has_zone else None).isoformat(timespec=precision) + ("" if has_zone else "Z")
    later = clock.just_after(text)
    assert later > text
    assert FORM.fullmatch(later)


@given(moments)
def test_just_after_a_time_in_the_form_of_now_is_a_microsecond_later(moment: datetime) -> None:
    text = str(clock.normalized(moment.isoformat()))
    assert clock.just_after(text) == clock.normalized((moment + timedelta(microseconds=1)).isoformat())


@given(st.text() | st.text("0123456789-:.TZ+ ", max_size=30) | st.just("9999-12-31T23:59:59.999999Z"))
def test_just_after_any_text_sorts_behind_it(text: str) -> None:
    assert clock.just_after(text) > text


@given(moments, moments, st.integers(-14 * 4, 14 * 4))
def test_times_of_one_quarter_of_an_hour_are_on_one_day_in_every_zone(
    first: datetime, other: datetime, zone: int
) -> None:
    one, two = (
        f"{moment.isoformat(timespec='microseconds')}Z" for moment in (first, first.replace(minute=other.minute))
    )
    local = timezone(timedelta(minutes=15 * zone))
    days = {datetime.fromisoformat(f"{time[:-1]}+00:00").astimezone(local).date() for time in (one, two)}
    is_one_quarter = first.minute // 15 == other.minute // 15
    assert clock.are_on_one_day(one, two) is is_one_quarter
    assert not is_one_quarter or len(days) == 1


@pytest.mark.parametrize("other", ["", "yesterday"])
def test_what_is_no_time_is_on_no_day(other: str) -> None:
    assert clock.are_on_one_day("2026-11-01T10:00:00.000000Z", other) is False


def test_a_time_without_zone_is_on_its_day_in_utc() -> None:
    assert clock.are_on_one_day("2026-11-01T10:00:00.000000Z", "2026-11-01T10:00:00.000000") is True
