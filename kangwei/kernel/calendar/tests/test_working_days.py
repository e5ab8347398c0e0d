"""Which days are worked: the published years to the day, and counting against a slow model."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import chinese_calendar
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kangwei.kernel.calendar.queries import DATA
from kangwei.kernel.calendar.rules.arrangement_files import from_json
from kangwei.kernel.calendar.rules.working_days import (
    DayKind,
    LocalDay,
    WorkingCalendar,
    YearArrangement,
    differences,
    objections,
)

DAY = timedelta(days=1)


def arrangement(year: int) -> YearArrangement:
    return from_json(json.loads((DATA / f"statutory_{year}.json").read_text("utf-8")))


YEARS = {year: arrangement(year) for year in (2025, 2026)}
CALENDAR = WorkingCalendar.build(YEARS.values())
ALL_DAYS = [date(2025, 1, 1) + DAY * n for n in range(730)]


def test_all_730_days_agree_with_an_independent_source() -> None:
    for day in ALL_DAYS:
        assert CALENDAR.is_working_day(day) == chinese_calendar.is_workday(day), day


@pytest.mark.parametrize("year", [2025, 2026])
def test_each_year_has_248_working_days(year: int) -> None:
    assert CALENDAR.working_days_between(date(year, 1, 1), date(year + 1, 1, 1)) == 248


@pytest.mark.parametrize(
    ("day", "kind", "name"),
    [
        (date(2026, 2, 14), DayKind.MAKE_UP, "春节"),
        (date(2026, 2, 16), DayKind.HOLIDAY, "春节"),
        (date(2026, 2, 24), DayKind.WORKDAY, ""),
        (date(2026, 3, 1), DayKind.WEEKEND, ""),
        (date(2025, 10, 8), DayKind.HOLIDAY, "国庆节、中秋节"),
        (date(2025, 10, 9), DayKind.WORKDAY, ""),
    ],
)
def test_a_day_says_why_it_is_worked_or_off(day: date, kind: DayKind, name: str) -> None:
    info = CALENDAR.info(day)
    assert (info.kind, info.name, info.provisional) == (kind, name, False)
    assert kind.words


@pytest.mark.parametrize(
    ("start", "n", "due"),
    [
        # Counted by hand on the published calendar; the day of the start is not counted.
        (date(2026, 2, 12), 2, date(2026, 2, 14)),  # Saturday 14 February is a make-up day
        (date(2026, 2, 14), 1, date(2026, 2, 24)),  # over the whole Spring Festival
        (date(2026, 9, 29), 2, date(2026, 10, 8)),  # over the National Day
        (date(2026, 9, 15), 4, date(2026, 9, 20)),  # Sunday 20 September is a make-up day
        (date(2026, 5, 6), -1, date(2026, 4, 30)),
        (date(2026, 5, 3), 0, date(2026, 5, 3)),
    ],
)
def test_working_days_are_added_over_holidays_and_make_up_days(
    start: date, n: int, due: date
) -> None:
    assert CALENDAR.add_working_days(start, n) == due


def test_a_last_day_that_is_off_rolls_forward() -> None:
    assert CALENDAR.roll_forward(date(2026, 5, 5)) == date(2026, 5, 6)
    assert CALENDAR.roll_forward(date(2026, 9, 20)) == date(2026, 9, 20)


def test_a_period_includes_its_start_and_excludes_its_end() -> None:
    friday, monday = date(2026, 11, 20), date(2026, 11, 23)
    assert CALENDAR.working_days_between(friday, monday) == 1
    assert CALENDAR.working_days_between(friday, friday) == 0
    assert CALENDAR.working_days_between(monday, friday) == -1


# Years nobody has published ------------------------------------------------------------------


def test_an_unpublished_year_is_provisional_and_knows_only_the_fixed_dates() -> None:
    assert not CALENDAR.is_published(2027)
    off = [
        day
        for day in (date(2027, 1, 1) + DAY * n for n in range(365))
        if CALENDAR.kind(day) is DayKind.HOLIDAY
    ]
    assert off == [
        date(2027, 1, 1),
        date(2027, 5, 1),
        date(2027, 5, 2),
        date(2027, 10, 1),
        date(2027, 10, 2),
        date(2027, 10, 3),
    ]
    info = CALENDAR.info(date(2027, 1, 1))
    assert (info.name, info.provisional) == ("元旦", True)
    assert CALENDAR.is_provisional(date(2027, 6, 1))
    assert not CALENDAR.is_provisional(date(2026, 6, 1))


def test_loading_a_year_says_which_days_it_moves() -> None:
    before = WorkingCalendar.build([YEARS[2025]])
    moved = {move.day: (move.before, move.after) for move in differences(before, CALENDAR, 2026)}
    assert moved[date(2026, 1, 2)] == (DayKind.WORKDAY, DayKind.HOLIDAY)
    assert moved[date(2026, 1, 4)] == (DayKind.WEEKEND, DayKind.MAKE_UP)
    assert date(2026, 1, 1) not in moved  # off before and after
    assert differences(CALENDAR, CALENDAR, 2026) == []


def test_a_new_year_may_begin_in_december() -> None:
    holidays = {**YEARS[2026].holidays, date(2025, 12, 31): "元旦"}
    loaded = replace(YEARS[2026], holidays=holidays)
    assert objections(loaded) == []
    calendar = WorkingCalendar.build([YEARS[2025], loaded])
    assert calendar.kind(date(2025, 12, 31)) is DayKind.HOLIDAY


# Local words --------------------------------------------------------------------------------


def test_a_local_word_wins_over_everything() -> None:
    calendar = WorkingCalendar.build(
        YEARS.values(),
        {
            date(2026, 2, 17): LocalDay(True, "春节值班门诊"),
            date(2026, 2, 14): LocalDay(False, "停电检修"),
            date(2027, 3, 3): LocalDay(False, "院庆"),
        },
    )
    assert calendar.kind(date(2026, 2, 17)) is DayKind.LOCAL_WORK
    assert calendar.kind(date(2026, 2, 14)) is DayKind.LOCAL_OFF
    assert calendar.info(date(2026, 2, 14)).name == "停电检修"
    assert not calendar.is_provisional(date(2027, 3, 3))
    assert CALENDAR.kind(date(2026, 2, 17)) is DayKind.HOLIDAY


def test_a_calendar_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        CALENDAR.years = frozenset()  # type: ignore[misc]
    with pytest.raises(TypeError):
        CALENDAR.holidays[date(2026, 1, 1)] = "x"  # type: ignore[index]


def test_a_month_has_all_its_days() -> None:
    december = CALENDAR.month(2026, 12)
    assert (december[0].day, december[-1].day, len(december)) == (
        date(2026, 12, 1), date(2026, 12, 31), 31,
    )  # fmt: skip


# Judging an arrangement ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda a: replace(a, working={**a.working, date(2026, 3, 4): "误"}),
            "2026-03-04 是星期三",
        ),
        (
            lambda a: replace(a, working={**a.working, date(2026, 10, 3): "误"}),
            "同时列为放假和上班",
        ),
        (lambda a: replace(a, holidays={**a.holidays, date(2027, 1, 1): "误"}), "不在 2026 年"),
        (
            lambda a: replace(
                a, holidays={d: n for d, n in a.holidays.items() if d != date(2026, 5, 1)}
            ),
            "缺少法定假日 2026-05-01（劳动节）",
        ),
        (
            lambda a: replace(
                a,
                holidays={**a.holidays, **{date(2026, 7, 1) + DAY * n: "误" for n in range(20)}},
            ),
            "应在 240 至 255 之间",
        ),
    ],
)
def test_an_implausible_arrangement_is_objected_to(change: object, words: str) -> None:
    assert any(words in objection for objection in objections(change(YEARS[2026])))  # type: ignore[operator]


# Against a slow model ------------------------------------------------------------------------

days = st.dates(date(2024, 11, 1), date(2028, 3, 1))
locals_ = st.dictionaries(days, st.builds(LocalDay, st.booleans(), st.just("说明")), max_size=8)


@settings(deadline=None)
@given(days, st.integers(-40, 40), locals_)
def test_adding_agrees_with_listing_the_working_days(
    start: date, n: int, local: dict[date, LocalDay]
) -> None:
    calendar = WorkingCalendar.build(YEARS.values(), local)
    step = DAY if n >= 0 else -DAY
    listed: list[date] = []
    day = start
    while len(listed) < abs(n):
        day += step
        if calendar.is_working_day(day):
            listed.append(day)
    assert calendar.add_working_days(start, n) == (listed[-1] if listed else start)


@settings(deadline=None)
@given(days, days, locals_)
def test_counting_agrees_with_looking_at_each_day(
    a: date, b: date, local: dict[date, LocalDay]
) -> None:
    calendar = WorkingCalendar.build(YEARS.values(), local)
    start, end = min(a, b), max(a, b)
    slow = sum(calendar.is_working_day(start + DAY * n) for n in range((end - start).days))
    assert calendar.working_days_between(start, end) == slow
    assert calendar.working_days_between(end, start) == -slow


@given(days, st.integers(1, 30))
def test_going_forth_counts_as_many_days_as_were_added(start: date, n: int) -> None:
    due = CALENDAR.add_working_days(start, n)
    assert CALENDAR.is_working_day(due)
    assert CALENDAR.working_days_between(start + DAY, due + DAY) == n
