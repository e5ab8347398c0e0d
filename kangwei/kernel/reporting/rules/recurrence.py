"""When something repeats (周期): each day, week, month, quarter or year at an hour of Shanghai.

A plan that slept through several slots (the machine was off) wakes up to the latest one only:
a subscriber wants one report, not a pile.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from .periods import SHANGHAI, containing

Frequency = Literal["daily", "weekly", "monthly", "quarterly", "yearly"]
FREQUENCY_TITLES: dict[Frequency, str] = {
    "daily": "每天",
    "weekly": "每周",
    "monthly": "每月",
    "quarterly": "每季度",
    "yearly": "每年",
}
WEEKDAYS = "一二三四五六日"


@dataclass(frozen=True)
class Recurrence:
    """`day` counts from 1 inside the week, month, quarter or year; daily plans ignore it."""

    frequency: Frequency
    hour: int
    day: int = 1

    @property
    def label(self) -> str:
        hour = f"{self.hour:02d}:00"
        if self.frequency == "daily":
            return f"每天 {hour}"
        if self.frequency == "weekly":
            return f"每周{WEEKDAYS[self.day - 1]} {hour}"
        return f"{FREQUENCY_TITLES[self.frequency]}第 {self.day} 天 {hour}"

    def latest_slot(self, at: datetime) -> datetime:
        """The last moment at or before `at` at which this was due."""
        today = at.astimezone(SHANGHAI).date()
        slot = self._slot(today)
        if slot <= at:
            return slot
        return self._slot(self._window(today)[0] - timedelta(days=1))

    def _window(self, day: date) -> tuple[date, date]:
        kind = {
            "daily": "day",
            "weekly": "week",
            "monthly": "month",
            "quarterly": "quarter",
            "yearly": "year",
        }[self.frequency]
        period = containing(kind, day)  # type: ignore[arg-type]  # a period kind by construction
        return period.start, period.end

    def _slot(self, day: date) -> datetime:
        start, end = self._window(day)
        # The 31st of a short month is its last day: a monthly plan never skips a month.
        on = min(start + timedelta(days=self.day - 1), end - timedelta(days=1))
        return datetime(on.year, on.month, on.day, self.hour, tzinfo=SHANGHAI)
