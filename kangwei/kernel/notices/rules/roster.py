"""Who is on duty at a moment? (值班)

A roster is a list of people who take turns by the day or by the week, changing at the hand-over
hour (交接班). Rest days – weekends and statutory holidays without the make-up days (调休上班日) –
may have a list of their own, which moves on one step per rest day. A substitution (替班) puts one
person in another's place between two moments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = timedelta(days=1)
IsWorkingDay = Callable[[date], bool]


@dataclass(frozen=True)
class Roster:
    """Turns of people, named by the numbers of their accounts."""

    rotation: Literal["daily", "weekly"]
    starts_on: date
    handover: time
    members: tuple[int, ...]
    rest_day_members: tuple[int, ...] = ()


@dataclass(frozen=True)
class Substitution:
    """`stands_in` takes the place of `absent` from `start` until before `end`."""

    absent: int
    stands_in: int
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Duty:
    """The person on duty, whose turn it really is, and the reason to show."""

    person: int
    turn_of: int
    reason: str


def duty_day(roster: Roster, at: datetime) -> date:
    """Before the hand-over hour the day before is still on duty."""
    local = at.astimezone(SHANGHAI)
    early = local.timetz().replace(tzinfo=None) < roster.handover
    return local.date() - DAY if early else local.date()


def turn(roster: Roster, day: date, is_working_day: IsWorkingDay) -> tuple[int, str] | None:
    """Whose turn the day is, and why; None before the roster starts or when it is empty."""
    if day < roster.starts_on:
        return None
    if roster.rest_day_members and not is_working_day(day):
        members, steps = roster.rest_day_members, _rest_days(roster.starts_on, day, is_working_day)
        why = "休息日轮值"
    elif roster.rotation == "weekly":
        members, steps, why = roster.members, (day - roster.starts_on).days // 7, "按周轮值"
    elif roster.rest_day_members:
        rest = _rest_days(roster.starts_on, day, is_working_day)
        members, steps, why = roster.members, (day - roster.starts_on).days - rest, "按工作日轮值"
    else:
        members, steps, why = roster.members, (day - roster.starts_on).days, "按日轮值"
    if not members:
        return None
    return members[steps % len(members)], f"{why}第 {steps + 1} 轮次"


def _rest_days(first: date, day: date, is_working_day: IsWorkingDay) -> int:
    """Rest days from `first` until before `day`."""
    return sum(not is_working_day(first + n * DAY) for n in range((day - first).days))


def on_duty(
    roster: Roster,
    at: datetime,
    is_working_day: IsWorkingDay,
    substitutions: Sequence[Substitution] = (),
) -> Duty | None:
    """The person on duty at a moment, after substitutions."""
    found = turn(roster, duty_day(roster, at), is_working_day)
    if found is None:
        return None
    whose, reason = found
    person, passed = whose, {whose}
    while True:
        # The newest arrangement counts; one that leads back to somebody absent changes nothing.
        places = [s for s in substitutions if s.absent == person and s.start <= at < s.end]
        following = [s.stands_in for s in reversed(places) if s.stands_in not in passed]
        if not following:
            break
        person = following[0]
        passed.add(person)
    if person != whose:
        reason += "，替班"
    return Duty(person, whose, reason)
