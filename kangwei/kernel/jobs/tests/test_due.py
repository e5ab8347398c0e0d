"""When schedules are due, counted by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kangwei.kernel.jobs.rules import due
from kangwei.kernel.jobs.rules.due import SHANGHAI, Missed


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def test_a_cron_line_speaks_shanghai_time() -> None:
    # 18:00 UTC is 02:00 of the next day in Shanghai.
    assert due.next_due("0 2 * * *", datetime(2026, 2, 11, 17, 59, tzinfo=UTC)) == at(
        "2026-02-12 02:00"
    )


def test_a_moment_that_is_due_right_now_is_the_latest() -> None:
    assert due.latest_due("0 2 * * *", at("2026-02-12 02:00")) == at("2026-02-12 02:00")


def test_a_second_before_it_is_still_the_day_before() -> None:
    assert due.latest_due("0 2 * * *", at("2026-02-12 01:59:59")) == at("2026-02-11 02:00")


def test_a_second_after_it_is_the_latest() -> None:
    assert due.latest_due("0 2 * * *", at("2026-02-12 02:00:01")) == at("2026-02-12 02:00")


def test_the_thirty_first_skips_short_months() -> None:
    assert due.next_due("0 8 31 * *", at("2026-01-31 08:00")) == at("2026-03-31 08:00")


def test_the_29th_of_february_comes_in_a_leap_year() -> None:
    assert due.next_due("0 0 29 2 *", at("2026-01-01")) == at("2028-02-29")


def test_a_period_includes_its_start_and_excludes_its_end() -> None:
    moments = list(due.due_moments("0 * * * *", at("2026-02-12 08:00"), at("2026-02-12 10:00")))
    assert moments == [at("2026-02-12 08:00"), at("2026-02-12 09:00")]


@pytest.mark.parametrize("line", ["", "* * * *", "61 * * * *", "* * * * * *", "@daily", "每天两点"])
def test_only_the_five_classic_fields_are_a_cron_line(line: str) -> None:
    assert not due.is_cron(line)


def test_nothing_is_missed_when_every_moment_has_its_row() -> None:
    ledger = [at("2026-02-12 08:00"), at("2026-02-12 09:00")]
    assert due.missed("0 * * * *", at("2026-02-12 08:00"), at("2026-02-12 10:00"), ledger) == []


def test_neighbours_are_one_span_and_a_kept_moment_parts_them() -> None:
    ledger = [at("2026-02-12 10:00")]
    found = due.missed("0 * * * *", at("2026-02-12 08:00"), at("2026-02-12 13:00"), ledger)
    assert found == [
        Missed(at("2026-02-12 08:00"), at("2026-02-12 09:00"), 2),
        Missed(at("2026-02-12 11:00"), at("2026-02-12 12:00"), 2),
    ]


def test_a_moment_inside_a_pause_was_not_owed() -> None:
    pauses = [(at("2026-02-12 08:30"), at("2026-02-12 10:30"))]
    found = due.missed("0 * * * *", at("2026-02-12 08:00"), at("2026-02-12 12:00"), [], pauses)
    assert found == [
        Missed(at("2026-02-12 08:00"), at("2026-02-12 08:00"), 1),
        Missed(at("2026-02-12 11:00"), at("2026-02-12 11:00"), 1),
    ]


def test_an_open_pause_lasts() -> None:
    pauses = [(at("2026-02-12 09:00"), None)]
    found = due.missed("0 * * * *", at("2026-02-12 08:00"), at("2026-02-13 08:00"), [], pauses)
    assert [span.count for span in found] == [1]


@settings(deadline=None)
@given(
    start=st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)),
    minutes=st.sampled_from([1, 5, 10, 15, 30]),
    hours=st.integers(1, 3),
)
def test_counting_minute_by_minute_agrees(start: datetime, minutes: int, hours: int) -> None:
    """A slower, obvious way of finding due moments gives the same answer."""
    since = start.replace(tzinfo=SHANGHAI)
    until = since + timedelta(hours=hours)
    first = since.replace(second=0, microsecond=0)
    obvious = [
        moment
        for moment in (first + timedelta(minutes=number) for number in range(hours * 60 + 2))
        if since <= moment < until and moment.minute % minutes == 0
    ]
    assert list(due.due_moments(f"*/{minutes} * * * *", since, until)) == obvious
