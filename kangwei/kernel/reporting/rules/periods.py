"""The period a report is about (统计期间): a day, a month, a quarter … or from day to day.

A period includes its start and excludes its end. Its text form is short and sorts well, so that
it may stand in an address, in a stored snapshot and in the number of a document.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")

PeriodKind = Literal["day", "week", "month", "quarter", "half_year", "year", "range"]
KIND_TITLES: dict[PeriodKind, str] = {
    "day": "日",
    "week": "周",
    "month": "月",
    "quarter": "季度",
    "half_year": "半年",
    "year": "年",
    "range": "起止日期",
}
#: A stored plan or subscription names its period relative to the day it runs on.
CURRENT, PREVIOUS = "current", "previous"

_DAY = re.compile(r"^(\d{4})-(\d{2})-(\d{2})$")
_WEEK = re.compile(r"^(\d{4})-W(\d{2})$")
_MONTH = re.compile(r"^(\d{4})-(\d{2})$")
_QUARTER = re.compile(r"^(\d{4})-Q([1-4])$")
_HALF = re.compile(r"^(\d{4})-H([12])$")
_YEAR = re.compile(r"^(\d{4})$")
_MONTHS = {"month": 1, "quarter": 3, "half_year": 6, "year": 12}


@dataclass(frozen=True)
class Period:
    """From the start of one day to the start of another, with the kind it was chosen by."""

    kind: PeriodKind
    start: date
    end: date

    @property
    def last_day(self) -> date:
        return self.end - timedelta(days=1)

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    @property
    def text(self) -> str:
        """The form that is stored and put into addresses; `parse` reads it back."""
        year, month = self.start.year, self.start.month
        match self.kind:
            case "day":
                return self.start.isoformat()
            case "week":
                iso = self.start.isocalendar()
                return f"{iso.year:04d}-W{iso.week:02d}"
            case "month":
                return f"{year:04d}-{month:02d}"
            case "quarter":
                return f"{year:04d}-Q{(month + 2) // 3}"
            case "half_year":
                return f"{year:04d}-H{1 if month == 1 else 2}"
            case "year":
                return f"{year:04d}"
            case "range":
                return f"{self.start.isoformat()}..{self.last_day.isoformat()}"

    @property
    def label(self) -> str:
        """How the period is written in a heading."""
        year, month = self.start.year, self.start.month
        match self.kind:
            case "day":
                return f"{year}年{month}月{self.start.day}日"
            case "week":
                iso = self.start.isocalendar()
                return f"{iso.year}年第{iso.week}周"
            case "month":
                return f"{year}年{month}月"
            case "quarter":
                return f"{year}年第{'一二三四'[(month - 1) // 3]}季度"
            case "half_year":
                return f"{year}年{'上' if month == 1 else '下'}半年"
            case "year":
                return f"{year}年"
            case "range":
                return f"{self.start.isoformat()} 至 {self.last_day.isoformat()}"

    def previous(self) -> Period:
        """The period of the same length just before this one."""
        if self.kind in _MONTHS:
            return containing(self.kind, self.start - timedelta(days=1))
        return Period(self.kind, self.start - (self.end - self.start), self.start)

    def bounds(self, zone: ZoneInfo = SHANGHAI) -> tuple[datetime, datetime]:
        """The two moments to filter by: at or after the first, before the second."""
        return (
            datetime(self.start.year, self.start.month, self.start.day, tzinfo=zone),
            datetime(self.end.year, self.end.month, self.end.day, tzinfo=zone),
        )


def containing(kind: PeriodKind, day: date) -> Period:
    """The period of a kind that a day lies in; a range of one day for `range`."""
    if kind in {"day", "range"}:
        return Period(kind, day, day + timedelta(days=1))
    if kind == "week":
        monday = day - timedelta(days=day.weekday())
        return Period(kind, monday, monday + timedelta(days=7))
    months = _MONTHS[kind]
    first = date(day.year, (day.month - 1) // months * months + 1, 1)
    return Period(kind, first, _add_months(first, months))


def parse(text: str, *, kinds: Sequence[PeriodKind], today: date) -> Period | None:
    """Read a period, or None when the text is not one of the allowed kinds.

    `current` and `previous` stand for the period of the first allowed kind that holds today, and
    the one before it: `previous:quarter` names another allowed kind.
    """
    word, _, wanted = text.partition(":")
    if word in {CURRENT, PREVIOUS}:
        kind = kinds[0] if not wanted else next((k for k in kinds if k == wanted), None)
        if kind is None:
            return None
        now = containing("day" if kind == "range" else kind, today)
        return now if word == CURRENT else now.previous()
    try:
        period = _read(text)
    except ValueError:
        return None
    return period if period and period.kind in kinds else None


def _read(text: str) -> Period | None:
    if match := _DAY.match(text):
        return containing("day", date(*(int(part) for part in match.groups())))
    if match := _WEEK.match(text):
        return containing("week", date.fromisocalendar(int(match[1]), int(match[2]), 1))
    if match := _MONTH.match(text):
        return containing("month", date(int(match[1]), int(match[2]), 1))
    if match := _QUARTER.match(text):
        return containing("quarter", date(int(match[1]), int(match[2]) * 3, 1))
    if match := _HALF.match(text):
        return containing("half_year", date(int(match[1]), int(match[2]) * 6, 1))
    if match := _YEAR.match(text):
        return containing("year", date(int(match[1]), 1, 1))
    first, dots, last = text.partition("..")
    if dots and _DAY.match(first) and _DAY.match(last):
        start, end = date.fromisoformat(first), date.fromisoformat(last) + timedelta(days=1)
        return Period("range", start, end) if start < end else None
    return None


def _add_months(first: date, months: int) -> date:
    count = first.year * 12 + first.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)
