"""Acts on the working calendar (工作日历). Whoever calls them also records them in the journal."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max

from kangwei.kernel.calendar.models import STATUTORY, Arrangement, LocalCalendar, Override
from kangwei.kernel.calendar.queries import arrangements
from kangwei.kernel.calendar.rules import arrangement_files
from kangwei.kernel.calendar.rules.working_days import (
    Moved,
    WorkingCalendar,
    YearArrangement,
    differences,
    objections,
)
from kangwei.kernel.refusals import Invalid, Refusal

LARGEST_FILE = 256 * 1024


class UnreadableArrangement(Invalid):
    code = "calendar.unreadable_arrangement"
    title = "节假日安排文件无法读取"


class ImplausibleArrangement(Invalid):
    code = "calendar.implausible_arrangement"
    title = "节假日安排内容不合理"


class NothingNew(Refusal):
    code = "calendar.nothing_new"
    title = "节假日安排没有变化"


class CalendarExists(Refusal):
    code = "calendar.calendar_exists"
    title = "日历代码已被使用"


class StatutoryIsFixed(Refusal):
    code = "calendar.statutory_is_fixed"
    title = "法定日历不能逐日调整"


@dataclass(frozen=True)
class Preview:
    """What loading this file would do."""

    arrangement: YearArrangement
    moved: list[Moved]
    working_days: int
    replaces: YearArrangement | None


def preview_year(*, content: bytes, source: str = "", published_on: date | None = None) -> Preview:
    """Read and judge a file without storing anything."""
    if len(content) > LARGEST_FILE:
        raise UnreadableArrangement("文件超过 256 KB，不像一年的节假日安排，请检查后重新上传。")
    try:
        arrangement = arrangement_files.read(content, source=source, published_on=published_on)
    except arrangement_files.Unreadable as error:
        raise UnreadableArrangement("；".join(error.reasons), field="file") from None
    found = objections(arrangement)
    if found:
        raise ImplausibleArrangement(" ".join(found), field="file")
    current = arrangements()
    before = WorkingCalendar.build(current.values())
    after = WorkingCalendar.build({**current, arrangement.year: arrangement}.values())
    year = arrangement.year
    return Preview(
        arrangement,
        differences(before, after, year),
        after.working_days_between(date(year, 1, 1), date(year + 1, 1, 1)),
        current.get(year),
    )


@transaction.atomic
def load_year(
    *,
    content: bytes,
    at: datetime,
    by: str = "",
    source: str = "",
    published_on: date | None = None,
) -> Arrangement:
    """Store a year's arrangement as a new version, in force from now on."""
    preview = preview_year(content=content, source=source, published_on=published_on)
    arrangement = preview.arrangement
    if preview.replaces == arrangement:
        raise NothingNew(f"{arrangement.year} 年的安排与现有内容完全相同，无需重复导入。")
    last = Arrangement.objects.filter(year=arrangement.year).aggregate(n=Max("version"))["n"]
    return Arrangement.objects.create(
        year=arrangement.year,
        version=(last or 0) + 1,
        title=arrangement.title,
        source=arrangement.source,
        published_on=arrangement.published_on,
        content=arrangement_files.to_json(arrangement),
        file_digest=hashlib.sha256(content).hexdigest(),
        loaded_at=at,
        loaded_by=by,
    )


@transaction.atomic
def create_calendar(*, code: str, name: str) -> LocalCalendar:
    calendar = LocalCalendar(code=code.strip(), name=name.strip())
    if code.strip() == STATUTORY or LocalCalendar.objects.filter(pk=calendar.pk).exists():
        raise CalendarExists(f"代码“{code}”已被使用，请换一个代码。", field="code")
    try:
        calendar.clean_fields()
    except ValidationError as error:
        raise Invalid("；".join(error.messages), field=next(iter(error.message_dict))) from None
    calendar.save(force_insert=True)
    return calendar


@transaction.atomic
def override_day(
    *, code: str, day: date, working: bool | None, note: str, at: datetime, by: str = ""
) -> Override:
    """Say of one date that it is worked, off, or again as arranged (`working=None`)."""
    if code == STATUTORY:
        raise StatutoryIsFixed("法定工作日历以国务院办公厅安排为准；请在本地日历上调整日期。")
    if not note.strip():
        raise Invalid(f"请说明为什么调整 {day}。", field="note")
    calendar = LocalCalendar.objects.select_for_update().filter(pk=code).first()
    if calendar is None:
        raise Invalid(f"没有代码为“{code}”的本地日历。", field="code")
    last = Override.objects.filter(calendar=calendar, day=day).aggregate(n=Max("version"))["n"]
    return Override.objects.create(
        calendar=calendar,
        day=day,
        version=(last or 0) + 1,
        working=working,
        note=note.strip(),
        recorded_at=at,
        recorded_by=by,
    )
