"""The parameter form (查询条件): the declared parameters as controls, and the address read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.http import QueryDict

from kangwei.kernel.organisations.models import Account, Institution, Region

from ..rules.binding import default_text
from ..rules.declarations import (
    RESERVED,
    ChoiceParameter,
    InstitutionParameter,
    NumberParameter,
    Parameter,
    PeriodParameter,
    RegionParameter,
    Report,
    TextParameter,
)
from ..rules.periods import KIND_TITLES, Period, PeriodKind, containing, parse

#: How far back the list of periods reaches; older ones are typed as a range.
OFFERED: dict[PeriodKind, int] = {
    "day": 0,
    "week": 12,
    "month": 24,
    "quarter": 8,
    "half_year": 6,
    "year": 5,
    "range": 0,
}
#: Beyond this a list is searched by typing instead of scrolled.
LISTED = 400
FROM, UNTIL = "_from", "_until"


@dataclass(frozen=True)
class Control:
    """One parameter as the page draws it."""

    parameter: Parameter
    kind: str
    value: str
    groups: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    first: str = ""
    last: str = ""


def asked(report: Report, query: QueryDict) -> dict[str, str]:
    """What the address asks, without the page's own words; both ends of a range made one."""
    raw: dict[str, str] = {}
    ends = set()
    for parameter in report.parameters:
        if isinstance(parameter, PeriodParameter):
            first, last = parameter.key + FROM, parameter.key + UNTIL
            ends |= {first, last}
            if query.get(parameter.key) == "range":
                raw[parameter.key] = f"{query.get(first, '')}..{query.get(last, '')}"
    for name, value in query.items():
        if name not in RESERVED and name not in ends and name not in raw:
            raw[name] = str(value)
    return raw


def controls(report: Report, raw: Mapping[str, str], by: Account, today: date) -> list[Control]:
    return [_control(report, one, raw.get(one.key, ""), by, today) for one in report.parameters]


def _control(report: Report, one: Parameter, value: str, by: Account, today: date) -> Control:
    value = value or default_text(one)
    match one:
        case PeriodParameter():
            return _period(one, value, today)
        case InstitutionParameter():
            reached = by.scope(report.right).limit(Institution.objects.all(), "pk")
            found = [(str(pk), name) for pk, name in reached.values_list("pk", "name")[:3000]]
            kind = "select" if len(found) <= LISTED else "search"
            return Control(one, kind, value, (("", (("", "数据范围内全部"), *found)),))
        case RegionParameter():
            regions = Region.objects.visible_to(by).values_list("code", "name")[:LISTED]
            return Control(one, "select", value, (("", (("", "不限"), *regions)),))
        case ChoiceParameter():
            empty = () if one.required else (("", "不限"),)
            return Control(one, "select", value, (("", (*empty, *one.options())),))
        case NumberParameter():
            return Control(one, "number", value)
        case TextParameter():
            return Control(one, "text", value)
    raise TypeError(type(one).__name__)


def _period(one: PeriodParameter, value: str, today: date) -> Control:
    chosen = parse(value, kinds=one.kinds, today=today)
    if one.kinds == ("day",):
        return Control(one, "date", chosen.text if chosen else "")
    groups = []
    listed = set()
    for kind in one.kinds:
        if not OFFERED[kind]:
            continue
        period = containing(kind, today)
        options = []
        for _ in range(OFFERED[kind]):
            options.append((period.text, period.label))
            period = period.previous()
        listed |= {text for text, _ in options}
        groups.append((KIND_TITLES[kind], tuple(options)))
    range_chosen = chosen is not None and chosen.kind in {"range", "day"}
    if chosen is not None and not range_chosen and chosen.text not in listed:
        groups.insert(0, ("已选", ((chosen.text, chosen.label),)))
    if "range" in one.kinds:
        groups.append(("自定义", (("range", "起止日期…"),)))
    first, last = (
        (chosen or containing("month", today)).start,
        (chosen or containing("month", today)).last_day,
    )
    return Control(
        one,
        "period",
        "range" if range_chosen else (chosen.text if chosen else ""),
        tuple(groups),
        first.isoformat(),
        last.isoformat(),
    )


def relative_periods(report: Report) -> list[dict[str, Any]]:
    """For plans: each period parameter with its relative choices."""
    offered = []
    for one in report.parameters:
        if isinstance(one, PeriodParameter):
            options = []
            for kind in one.kinds:
                if kind == "range":
                    continue
                now = containing(kind, date(2026, 1, 1))
                options.append((f"previous:{now.kind}", f"上一{KIND_TITLES[kind]}"))
                options.append((f"current:{now.kind}", f"本{KIND_TITLES[kind]}"))
            offered.append({"key": one.key, "title": one.title, "options": options})
    return offered


def period_titles(kinds: tuple[PeriodKind, ...], today: date, count: int) -> list[Period]:
    """The latest periods of the first kind, newest first, for choosing a document's period."""
    period = containing(kinds[0], today)
    found = []
    for _ in range(count):
        found.append(period)
        period = period.previous()
    return found
