"""The engine `workday`: is this day worked, which is the n-th working day, how many are there.

It is the calendar's own rule, asked case by case, with the statutory arrangement of the product
or one that the case brings along.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from kangwei.kernel.calendar.rules.working_days import (
    DayKind,
    WorkingCalendar,
    YearArrangement,
)
from kangwei.kernel.refusals import Invalid

FIRST, LAST = date(2000, 1, 1), date(2100, 1, 1)
MOST_DAYS = 5_000

EXAMPLE = {"id": "春节前加三个工作日", "date": "2026-02-13", "add_workdays": 3}
DESCRIBE = """\
输入：`date`（日期）得到这一天的性质；再加 `add_workdays`（整数，负数为往前）得到第几个工作日；
或用 `from`、`to`（含首日，不含末日）得到工作日数。
可选 `statutory`：`{年份: {published, weekday_holidays, makeup_workdays}}`，
替换这些年份的内置节假日安排。

输出：`kind`（workday 工作日、make_up 调休上班、weekend 周末、holiday 放假）、`is_working_day`、
`name`（节日名称）、`result`（第几个工作日的日期）、`workdays`（工作日数）、
`provisional`（涉及尚未公布安排的年份，结果暂定）、`rules`（判定依据）。
"""


def evaluate(case: Mapping[str, Any], published: Mapping[int, YearArrangement]) -> dict[str, Any]:
    """Answer one case from the arrangements known so far and those in the case."""
    calendar = calendar_of(case, published)
    if "from" in case or "to" in case:
        return _count(case, calendar)
    day = read_date(case, "date")
    info = calendar.info(day)
    answer: dict[str, Any] = {
        "date": day,
        "kind": info.kind.value,
        "name": info.name or None,
        "is_working_day": info.kind.is_working,
        "provisional": calendar.is_provisional(day),
        "rules": [_rule(calendar, day)],
    }
    if "add_workdays" in case:
        number = case["add_workdays"]
        if not isinstance(number, int) or isinstance(number, bool) or abs(number) > MOST_DAYS:
            raise Invalid(
                f"add_workdays 应是 -{MOST_DAYS} 到 {MOST_DAYS} 之间的整数。", field="add_workdays"
            )
        result = calendar.add_working_days(day, number)
        first, last = min(day, result), max(day, result)
        answer |= {
            "result": result,
            "provisional": _touches_unpublished(calendar, first, last),
            "rules": _rules(calendar, first, last),
        }
    return answer


def _count(case: Mapping[str, Any], calendar: WorkingCalendar) -> dict[str, Any]:
    start, end = read_date(case, "from"), read_date(case, "to")
    if end < start:
        raise Invalid("to 早于 from，请交换两个日期。", field="to")
    last = date.fromordinal(max(start.toordinal(), end.toordinal() - 1))
    return {
        "workdays": calendar.working_days_between(start, end),
        "provisional": _touches_unpublished(calendar, start, last),
        "rules": _rules(calendar, start, last),
    }


def calendar_of(
    case: Mapping[str, Any], published: Mapping[int, YearArrangement]
) -> WorkingCalendar:
    """The calendar of a case: what is published, with the years that `statutory` replaces."""
    given = case.get("statutory") or {}
    if not isinstance(given, dict):
        raise Invalid("statutory 应是以年份为键的对象。", field="statutory")
    arrangements = dict(published)
    for text, content in given.items():
        year = _year(text)
        arrangements.pop(year, None)
        if not isinstance(content, dict):
            raise Invalid(f"statutory.{year} 应是对象。", field=f"statutory.{year}")
        if content.get("published", True):
            arrangements[year] = YearArrangement(
                year=year,
                title=f"{year}年（案例给定）",
                source="案例",
                published_on=date(year - 1, 11, 1),
                holidays=_days(content, "weekday_holidays", year),
                working=_days(content, "makeup_workdays", year),
            )
    return WorkingCalendar.build(arrangements.values())


def read_date(case: Mapping[str, Any], field: str) -> date:
    """A date of a case, within the years a calendar can speak of."""
    text = case.get(field)
    if text is None:
        raise Invalid(f"缺少 {field}，应形如 2026-02-13。", field=field)
    try:
        day = date.fromisoformat(text)
    except (TypeError, ValueError):
        raise Invalid(f"{field} 应是日期，形如 2026-02-13，现在是“{text}”。", field=field) from None
    if not FIRST <= day < LAST:
        raise Invalid(f"{field} 应在 2000 年到 2099 年之间。", field=field)
    return day


def _year(text: Any) -> int:
    if isinstance(text, str) and text.isascii() and text.isdigit() and 2000 <= int(text) < 2100:
        return int(text)
    raise Invalid(f"statutory 的键应是年份，如 2026，现在是“{text}”。", field="statutory")


def _days(content: Mapping[str, Any], field: str, year: int) -> dict[date, str]:
    days = content.get(field, [])
    place = f"statutory.{year}.{field}"
    if not isinstance(days, list):
        raise Invalid(f"{place} 应是日期的数组。", field=place)
    return {read_date({place: day}, place): "案例给定" for day in days}


def _touches_unpublished(calendar: WorkingCalendar, first: date, last: date) -> bool:
    return any(not calendar.is_published(year) for year in range(first.year, last.year + 1))


def _rules(calendar: WorkingCalendar, first: date, last: date) -> list[str]:
    return [
        f"statutory-{year}" if calendar.is_published(year) else f"unpublished-{year}"
        for year in range(first.year, last.year + 1)
    ]


def _rule(calendar: WorkingCalendar, day: date) -> str:
    """What decided about this day: the arrangement, a fixed holiday, or the weekday."""
    kind = calendar.kind(day)
    if day in calendar.working or day in calendar.holidays:
        return f"statutory-{day.year}"
    if kind is DayKind.HOLIDAY:
        return "fixed-holiday"
    return "weekend" if kind is DayKind.WEEKEND else "weekday"
