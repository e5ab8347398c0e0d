"""Quiet hours and retries."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import pytest

from kangwei.kernel.notices.rules.delivery import RETRY_AFTER, Verdict, is_late, retry_at
from kangwei.kernel.notices.rules.quiet import SHANGHAI, Quiet, held_until

NIGHT = Quiet(time(22, 0), time(7, 0))


def working(day: date) -> bool:
    return day.weekday() < 5


def moment(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=SHANGHAI)  # 20 November is a Friday


@pytest.mark.parametrize(
    ("at", "until"),
    [
        (moment(19, 21, 59), None),
        (moment(19, 22, 0), moment(20, 7, 0)),
        (moment(20, 0, 0), moment(20, 7, 0)),
        (moment(20, 6, 59), moment(20, 7, 0)),
        (moment(20, 7, 0), None),
    ],
)
def test_an_ordinary_message_waits_for_the_morning(at: datetime, until: datetime | None) -> None:
    assert held_until(NIGHT, 1, at, working) == until


def test_an_urgent_message_wakes_people() -> None:
    assert held_until(NIGHT, 3, moment(20, 3), working) is None
    assert held_until(Quiet(time(22), time(7), break_from=2), 2, moment(20, 3), working) is None


def test_quiet_within_a_day() -> None:
    nap = Quiet(time(12, 0), time(14, 0))
    assert held_until(nap, 1, moment(20, 13), working) == moment(20, 14)
    assert held_until(nap, 1, moment(20, 14), working) is None


def test_a_message_of_friday_night_waits_over_the_weekend() -> None:
    weekends = Quiet(time(22, 0), time(7, 0), rest_days=True)
    assert held_until(weekends, 1, moment(20, 23), working) == moment(23, 7)


def test_three_repetitions_after_five_and_thirty_seconds_and_two_minutes() -> None:
    at = moment(20, 12)
    waits = [retry_at(Verdict.UNREACHABLE, made, at) for made in (1, 2, 3, 4)]
    assert waits == [at + RETRY_AFTER[0], at + RETRY_AFTER[1], at + RETRY_AFTER[2], None]
    assert [wait.total_seconds() for wait in RETRY_AFTER] == [5, 30, 120]


def test_a_refusal_is_not_repeated() -> None:
    assert retry_at(Verdict.REFUSED, 1, moment(20, 12)) is None


def test_two_minutes_are_on_time_and_a_moment_more_is_late() -> None:
    due = moment(20, 12)
    assert not is_late(due, due + timedelta(minutes=2))
    assert is_late(due, due + timedelta(minutes=2, microseconds=1))
