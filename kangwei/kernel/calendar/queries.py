"""Questions to the working calendar (工作日历)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path

from kangwei.kernel.calendar.models import STATUTORY, Arrangement, LocalCalendar, Override
from kangwei.kernel.calendar.rules.arrangement_files import from_json
from kangwei.kernel.calendar.rules.working_days import (
    DayKind,
    LocalDay,
    WorkingCalendar,
    YearArrangement,
)
from kangwei.kernel.refusals import NotFound

__all__ = [
    "DayKind",
    "WorkingCalendar",
    "arrangements",
    "calendars",
    "missing_years",
    "working_calendar",
]

DATA = Path(__file__).parent / "data"
#: The State Council publishes in November; from this month on the next year is asked for.
ASKED_FROM_MONTH = 11


@cache
def shipped() -> dict[int, YearArrangement]:
    """The years that come with the product."""
    read = [
        from_json(json.loads(path.read_text("utf-8"))) for path in DATA.glob("statutory_*.json")
    ]
    return {arrangement.year: arrangement for arrangement in read}


def arrangements() -> dict[int, YearArrangement]:
    """The arrangement in force for each published year: what a site loaded wins over ours."""
    current = dict(shipped())
    for row in Arrangement.objects.order_by("year", "version"):
        current[row.year] = from_json(row.content)
    return current


def calendars() -> dict[str, str]:
    """Codes and names of every calendar, the statutory one first."""
    return {STATUTORY: "法定工作日历"} | dict(LocalCalendar.objects.values_list("code", "name"))


def working_calendar(code: str = STATUTORY) -> WorkingCalendar:
    """The calendar to count with, as it stands now."""
    if code == STATUTORY:
        return WorkingCalendar.build(arrangements().values())
    if not LocalCalendar.objects.filter(pk=code).exists():
        raise NotFound(f"没有代码为“{code}”的工作日历，请核对代码或先新建日历。")
    rows = Override.objects.filter(calendar_id=code)
    return WorkingCalendar.build(arrangements().values(), local_days(rows))


def local_days(rows: Iterable[Override]) -> dict[date, LocalDay]:
    latest: dict[date, Override] = {}
    for row in rows:
        if row.day not in latest or latest[row.day].version < row.version:
            latest[row.day] = row
    return {
        day: LocalDay(row.working, row.note)
        for day, row in latest.items()
        if row.working is not None
    }


def missing_years(today: date) -> list[int]:
    """Years whose arrangement should be here by now; each is a task for an administrator."""
    wanted = [today.year, today.year + 1] if today.month >= ASKED_FROM_MONTH else [today.year]
    known = arrangements()
    return [year for year in wanted if year not in known]
