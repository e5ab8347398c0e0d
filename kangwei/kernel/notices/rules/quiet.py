"""Quiet hours (免打扰): when an ordinary message waits for the morning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True)
class Quiet:
    """From `start` to `end` each day (over midnight when end ≤ start), and rest days if so said."""

    start: time
    end: time
    rest_days: bool = False
    #: Messages of this priority or higher are sent all the same.
    break_from: int = 3


def held_until(
    quiet: Quiet, priority: int, at: datetime, is_working_day: Callable[[date], bool]
) -> datetime | None:
    """The moment a message of this priority may go, or None when it may go now."""
    if priority >= quiet.break_from:
        return None
    local = at.astimezone(SHANGHAI)
    moment = local
    # A long holiday is at most some ten days; a month is a safe bound against wrong calendars.
    for _ in range(31):
        end = _end_of_quiet(quiet, moment, is_working_day)
        if end is None:
            break
        moment = end
    return None if moment == local else moment


def _end_of_quiet(
    quiet: Quiet, moment: datetime, is_working_day: Callable[[date], bool]
) -> datetime | None:
    day = moment.date()
    clock = moment.timetz().replace(tzinfo=None)
    over_midnight = quiet.end <= quiet.start
    if over_midnight and clock < quiet.end:
        return datetime.combine(day, quiet.end, SHANGHAI)
    if over_midnight and clock >= quiet.start:
        return datetime.combine(day + timedelta(days=1), quiet.end, SHANGHAI)
    if not over_midnight and quiet.start <= clock < quiet.end:
        return datetime.combine(day, quiet.end, SHANGHAI)
    if quiet.rest_days and not is_working_day(day):
        return datetime.combine(day + timedelta(days=1), time(), SHANGHAI)
    return None
