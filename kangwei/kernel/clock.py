"""The one clock. Services take `at`; only edges (views, API, jobs, commands) call `now()`.

In test and demonstration mode `KW_CLOCK` may fix the time (`2026-02-12T10:00:00+08:00`) or
shift it (`+3d`, `-2h`, `+90m`). Settings refuse it in production.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings

SHANGHAI = ZoneInfo("Asia/Shanghai")
_SHIFT = re.compile(r"^([+-]\d+)([dhms])$")
_UNIT = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def parse_clock(text: str) -> tuple[datetime | None, timedelta]:
    """Read a KW_CLOCK setting as (fixed moment, shift); one of the two is neutral."""
    shift = _SHIFT.match(text)
    if shift:
        return None, timedelta(**{_UNIT[shift.group(2)]: int(shift.group(1))})
    fixed = datetime.fromisoformat(text)
    return (fixed if fixed.tzinfo else fixed.replace(tzinfo=SHANGHAI)), timedelta()


def now() -> datetime:
    """The present moment, aware, in UTC."""
    setting: str = getattr(settings, "KW_CLOCK", "")
    if not setting:
        return datetime.now(UTC)
    fixed, shift = parse_clock(setting)
    return (fixed or datetime.now(UTC) + shift).astimezone(UTC)


def local(at: datetime) -> datetime:
    """The same moment as people in China write it."""
    return at.astimezone(SHANGHAI)


def local_day(at: datetime) -> date:
    """The day on the calendar in China on which this moment falls."""
    return at.astimezone(SHANGHAI).date()
