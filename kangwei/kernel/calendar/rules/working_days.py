"""Which days are worked in China (工作日), and how to count them.

Three layers, the later one wins: weekends are off; the State Council's yearly arrangement
(节假日安排) gives holidays and make-up working days (调休上班); a site may override single dates.
The arrangement of a year is published in the November before. Until then only weekends and the
fixed dates 1 January, 1-2 May and 1-3 October are known to be off, and whatever touches such a
year is provisional (暂定), which the calendar says instead of falling back silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from types import MappingProxyType

DAY = timedelta(days=1)
SATURDAY = 5
#: Off by law on these dates every year (全国年节及纪念日放假办法, 2024年修订): month, day, name.
FIXED_HOLIDAYS = {
    (1, 1): "元旦",
    (5, 1): "劳动节",
    (5, 2): "劳动节",
    (10, 1): "国庆节",
    (10, 2): "国庆节",
    (10, 3): "国庆节",
}


class DayKind(StrEnum):
    """Why a day is worked or off."""

    WORKDAY = "workday"
    MAKE_UP = "make_up"
    LOCAL_WORK = "local_work"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"
    LOCAL_OFF = "local_off"

    @property
    def is_working(self) -> bool:
        return self in {DayKind.WORKDAY, DayKind.MAKE_UP, DayKind.LOCAL_WORK}

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS = {
    DayKind.WORKDAY: "工作日",
    DayKind.MAKE_UP: "调休上班",
    DayKind.LOCAL_WORK: "本地上班",
    DayKind.WEEKEND: "周末",
    DayKind.HOLIDAY: "放假",
    DayKind.LOCAL_OFF: "本地休息",
}


@dataclass(frozen=True)
class YearArrangement:
    """One year as published: days off and make-up days, each with the holiday it belongs to.

    The New Year of a year may begin in the last days of the December before.
    """

    year: int
    title: str
    source: str
    published_on: date
    holidays: Mapping[date, str]
    working: Mapping[date, str]


@dataclass(frozen=True)
class LocalDay:
    """A site's own word on one date."""

    working: bool
    note: str


@dataclass(frozen=True)
class DayInfo:
    """One day as a calendar page shows it."""

    day: date
    kind: DayKind
    name: str
    provisional: bool


@dataclass(frozen=True)
class WorkingCalendar:
    """A calendar to ask; it never changes, so a long computation sees one state throughout."""

    years: frozenset[int] = frozenset()
    holidays: Mapping[date, str] = field(default_factory=dict)
    working: Mapping[date, str] = field(default_factory=dict)
    local: Mapping[date, LocalDay] = field(default_factory=dict)

    @classmethod
    def build(
        cls, arrangements: Iterable[YearArrangement], local: Mapping[date, LocalDay] | None = None
    ) -> WorkingCalendar:
        holidays: dict[date, str] = {}
        working: dict[date, str] = {}
        years = set()
        for arrangement in sorted(arrangements, key=lambda item: item.year):
            years.add(arrangement.year)
            holidays.update(arrangement.holidays)
            working.update(arrangement.working)
        return cls(
            frozenset(years),
            MappingProxyType(holidays),
            MappingProxyType(working),
            MappingProxyType(dict(local or {})),
        )

    # One day ----------------------------------------------------------------------------------

    def kind(self, day: date) -> DayKind:
        here = self.local.get(day)
        if here is not None:
            return DayKind.LOCAL_WORK if here.working else DayKind.LOCAL_OFF
        if day in self.working:
            return DayKind.MAKE_UP
        if day in self.holidays:
            return DayKind.HOLIDAY
        if day.year not in self.years and (day.month, day.day) in FIXED_HOLIDAYS:
            return DayKind.HOLIDAY
        return DayKind.WEEKEND if day.weekday() >= SATURDAY else DayKind.WORKDAY

    def info(self, day: date) -> DayInfo:
        here = self.local.get(day)
        name = here.note if here else self.working.get(day) or self.holidays.get(day) or ""
        if not name and self.kind(day) is DayKind.HOLIDAY:
            name = FIXED_HOLIDAYS[day.month, day.day]
        return DayInfo(day, self.kind(day), name, self.is_provisional(day))

    def is_working_day(self, day: date) -> bool:
        return self.kind(day).is_working

    def is_published(self, year: int) -> bool:
        return year in self.years

    def is_provisional(self, day: date) -> bool:
        """Whether the coming arrangement may still change this day."""
        settled = day in self.local or day in self.holidays or day in self.working
        return not settled and not self.is_published(day.year)

    # Counting ---------------------------------------------------------------------------------

    def next_working_day(self, day: date) -> date:
        """The first working day after this one."""
        day += DAY
        while not self.is_working_day(day):
            day += DAY
        return day

    def previous_working_day(self, day: date) -> date:
        day -= DAY
        while not self.is_working_day(day):
            day -= DAY
        return day

    def roll_forward(self, day: date) -> date:
        """This day if it is worked, else the next working day (顺延)."""
        return day if self.is_working_day(day) else self.next_working_day(day)

    def add_working_days(self, day: date, n: int) -> date:
        """The n-th working day after this one, which itself is not counted; before it if n < 0."""
        step = self.next_working_day if n >= 0 else self.previous_working_day
        for _ in range(abs(n)):
            day = step(day)
        return day

    def working_days_between(self, start: date, end: date) -> int:
        """How many working days lie in the period; the start counts, the end does not."""
        if end < start:
            return -self.working_days_between(end, start)
        return sum(map(self.is_working_day, _days(start, end)))

    def month(self, year: int, month: int) -> list[DayInfo]:
        first = date(year, month, 1)
        after = date(year + month // 12, month % 12 + 1, 1)
        return [self.info(day) for day in _days(first, after)]


def _days(start: date, end: date) -> Iterator[date]:
    day = start
    while day < end:
        yield day
        day += DAY


@dataclass(frozen=True)
class Moved:
    """A day whose kind differs between two calendars."""

    day: date
    before: DayKind
    after: DayKind


def differences(before: WorkingCalendar, after: WorkingCalendar, year: int) -> list[Moved]:
    """What loading an arrangement changes, shown before anybody confirms it."""
    days = _days(date(year - 1, 12, 25), date(year + 1, 1, 1))
    return [
        Moved(day, before.kind(day), after.kind(day))
        for day in days
        if before.kind(day) is not after.kind(day)
    ]


def objections(arrangement: YearArrangement) -> list[str]:
    """Why this cannot be the arrangement of a Chinese year; empty when it can."""
    year = arrangement.year
    first, last = date(year - 1, 12, 25), date(year, 12, 31)
    found = []
    for day in sorted(arrangement.holidays.keys() | arrangement.working.keys()):
        if not first <= day <= last:
            found.append(f"{day} 不在 {year} 年的安排范围内（{first} 至 {last}）。")
    for day in sorted(arrangement.holidays.keys() & arrangement.working.keys()):
        found.append(f"{day} 同时列为放假和上班，请只保留一种。")
    for day in sorted(arrangement.working):
        if day.weekday() < SATURDAY:
            found.append(
                f"{day} 是星期{'一二三四五'[day.weekday()]}，本来就上班，不应列为调休上班。"
            )
    for (month, number), name in FIXED_HOLIDAYS.items():
        if date(year, month, number) not in arrangement.holidays:
            found.append(f"缺少法定假日 {date(year, month, number)}（{name}）。")
    if not found:
        calendar = WorkingCalendar.build([arrangement])
        worked = calendar.working_days_between(date(year, 1, 1), date(year + 1, 1, 1))
        # 13 statutory holidays leave 246 to 251 working days; the margin allows for special years.
        if not 240 <= worked <= 255:
            found.append(
                f"按此安排全年共 {worked} 个工作日，正常应在 240 至 255 之间，请核对文件是否完整。"
            )
    return found
