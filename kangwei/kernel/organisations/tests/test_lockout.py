"""Lock-out and end of sessions: exactly at the limit, just before, just after."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kangwei.kernel.organisations.rules.lifetime import ended_because
from kangwei.kernel.organisations.rules.lockout import (
    Limits,
    failures_left,
    locked_until,
    locks_now,
)

AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
LIMITS = Limits(failures=5, window=timedelta(minutes=15), lock=timedelta(minutes=30))


def ago(*minutes: float) -> list[datetime]:
    return [AT - timedelta(minutes=m) for m in minutes]


def test_the_fifth_failure_locks_and_the_fourth_does_not() -> None:
    assert locks_now(ago(1, 2, 3, 4), AT, LIMITS)
    assert not locks_now(ago(1, 2, 3), AT, LIMITS)


def test_a_failure_exactly_one_window_ago_no_longer_counts() -> None:
    assert not locks_now(ago(1, 2, 3, 15), AT, LIMITS)
    assert locks_now(ago(1, 2, 3, 14.9), AT, LIMITS)


def test_the_person_is_told_how_many_tries_are_left() -> None:
    assert failures_left(ago(), AT, LIMITS) == 4
    assert failures_left(ago(1, 2, 3, 4), AT, LIMITS) == 0


def test_a_lock_ends_on_the_minute() -> None:
    assert locked_until(AT, AT + timedelta(minutes=29, seconds=59), LIMITS) is not None
    assert locked_until(AT, AT + timedelta(minutes=30), LIMITS) is None
    assert locked_until(None, AT, LIMITS) is None


@pytest.mark.parametrize(
    ("started", "seen", "reason"),
    [
        (10, 29.9, None),
        (10, 30, "idle"),
        (12 * 60, 0, "lifetime"),
        (12 * 60 - 0.1, 0, None),
        (12 * 60, 40, "lifetime"),
    ],
)
def test_why_a_session_ends(started: float, seen: float, reason: str | None) -> None:
    found = ended_because(
        started_at=AT - timedelta(minutes=started),
        seen_at=AT - timedelta(minutes=seen),
        at=AT,
        idle=timedelta(minutes=30),
        lifetime=timedelta(hours=12),
    )
    assert found == reason
