"""Loading a year, local days, and the yearly reminder."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from kangwei.kernel.calendar import queries, services
from kangwei.kernel.calendar.models import Arrangement, LocalCalendar, Override
from kangwei.kernel.calendar.queries import DayKind
from kangwei.kernel.refusals import Invalid, NotFound

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)

#: 2027 does not exist yet in public; this is an invented but plausible arrangement.
YEAR = {
    "year": 2027,
    "source": "测试用安排",
    "published_on": "2026-11-10",
    "holidays": [
        {"name": "元旦", "from": "2027-01-01", "to": "2027-01-03"},
        {"name": "春节", "from": "2027-02-05", "to": "2027-02-13"},
        {"name": "清明节", "from": "2027-04-03", "to": "2027-04-05"},
        {"name": "劳动节", "from": "2027-05-01", "to": "2027-05-05"},
        {"name": "端午节", "from": "2027-06-09", "to": "2027-06-09"},
        {"name": "国庆节", "from": "2027-10-01", "to": "2027-10-07"},
    ],
    "working": [{"on": "2027-02-14", "name": "春节"}, {"on": "2027-10-09", "name": "国庆节"}],
}
CSV = "日期,类型,名称\n" + "\n".join(
    [f"2027-01-0{n},放假,元旦" for n in (1, 2, 3)]
    + [f"2027-02-{n:02d},放假,春节" for n in range(5, 14)]
    + ["2027-02-14,上班,春节"]
    + [f"2027-05-0{n},放假,劳动节" for n in range(1, 6)]
    + [f"2027-10-0{n},放假,国庆节" for n in range(1, 8)]
)


def content(**changes: Any) -> bytes:
    return json.dumps({**YEAR, **changes}).encode()


def test_a_preview_stores_nothing_and_says_what_moves() -> None:
    preview = services.preview_year(content=content())
    assert preview.arrangement.year == 2027
    assert preview.replaces is None
    assert {move.day for move in preview.moved} >= {date(2027, 2, 5), date(2027, 2, 14)}
    assert 240 <= preview.working_days <= 255
    assert not Arrangement.objects.exists()
    assert not queries.working_calendar().is_published(2027)


def test_a_loaded_year_is_published_from_then_on() -> None:
    services.load_year(content=content(), at=NOON, by="王医生")
    calendar = queries.working_calendar()
    assert calendar.is_published(2027)
    assert calendar.kind(date(2027, 2, 14)) is DayKind.MAKE_UP


def test_a_correction_is_a_new_version_and_the_old_one_stays() -> None:
    services.load_year(content=content(), at=NOON)
    mended = [{"on": "2027-02-14", "name": "春节"}]
    second = services.load_year(content=content(working=mended), at=NOON)
    assert second.version == 2
    assert Arrangement.objects.filter(year=2027).count() == 2
    assert queries.working_calendar().kind(date(2027, 10, 9)) is DayKind.WEEKEND


def test_the_same_content_again_is_refused() -> None:
    services.load_year(content=content(), at=NOON)
    with pytest.raises(services.NothingNew, match="2027"):
        services.load_year(content=content(), at=NOON)


def test_a_shipped_year_may_be_replaced_by_a_site() -> None:
    from kangwei.kernel.calendar.rules.arrangement_files import to_json

    raw = to_json(queries.shipped()[2026])
    raw["holidays"].append({"name": "特别假日", "from": "2026-09-03", "to": "2026-09-03"})
    services.load_year(content=json.dumps(raw).encode(), at=NOON)
    assert queries.working_calendar().info(date(2026, 9, 3)).name == "特别假日"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_table_typed_by_a_clerk_is_read(encoding: str) -> None:
    preview = services.preview_year(
        content=CSV.encode(encoding), source="国务院办公厅通知", published_on=date(2026, 11, 10)
    )
    assert preview.arrangement.year == 2027
    assert preview.arrangement.working == {date(2027, 2, 14): "春节"}


def test_every_wrong_line_is_named_at_once() -> None:
    broken = (
        "日期,类型,名称\n2027-02-30,放假,春节\n2027-01-01,休假,元旦\n"
        "2027-05-01,放假,劳动节\n2027-05-01,放假,劳动节"
    )
    with pytest.raises(services.UnreadableArrangement) as refused:
        services.preview_year(content=broken.encode())
    for words in ("第 2 行", "第 3 行：类型“休假”", "第 5 行：2027-05-01 重复", "来源", "发布日期"):
        assert words in refused.value.message
    assert refused.value.field == "file"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"{ not json", "JSON"),
        (b"\x89PNG\r\n\x1a\n\xff\xff\xff", "不是文本文件"),
        (b"a,b,c\n", "第一行应为表头"),
        (json.dumps({"year": 2027}).encode(), "source 为空"),
        (content(year="2027"), "2000 至 2100"),
        (content(holidays=[{"from": "2027-01-01", "to": "2026-01-01"}]), "不是一段合理的假期"),
        (content(holidays="none"), "应是一个列表"),
        (content(working=[{"on": "某日"}]), "不是日期"),
    ],
)
def test_an_unreadable_file_says_what_is_wrong(raw: bytes, words: str) -> None:
    with pytest.raises(services.UnreadableArrangement, match=words):
        services.preview_year(content=raw)


def test_an_implausible_or_oversized_file_is_refused() -> None:
    with pytest.raises(services.ImplausibleArrangement, match="缺少法定假日"):
        services.preview_year(content=content(holidays=YEAR["holidays"][:3]))  # type: ignore[index]
    with pytest.raises(services.UnreadableArrangement, match="256 KB"):
        services.preview_year(content=b" " * 300_000)


# Local calendars ----------------------------------------------------------------------------


def test_the_latest_word_on_a_day_counts_and_may_be_taken_back() -> None:
    services.create_calendar(code="xian", name="西安院区")
    day = date(2026, 5, 9)
    for working in (False, True, None):
        services.override_day(code="xian", day=day, working=working, note="调整", at=NOON)
        expected = {False: DayKind.LOCAL_OFF, True: DayKind.LOCAL_WORK, None: DayKind.MAKE_UP}
        assert queries.working_calendar("xian").kind(day) is expected[working]
    assert list(Override.objects.order_by("version").values_list("version", flat=True)) == [1, 2, 3]
    assert queries.working_calendar().kind(day) is DayKind.MAKE_UP


def test_what_a_local_calendar_refuses() -> None:
    services.create_calendar(code="xian", name="西安院区")
    with pytest.raises(services.CalendarExists):
        services.create_calendar(code="xian", name="再来一个")
    with pytest.raises(services.CalendarExists):
        services.create_calendar(code="statutory", name="冒名")
    with pytest.raises(Invalid, match="小写字母"):
        services.create_calendar(code="西安", name="西安院区")
    with pytest.raises(services.StatutoryIsFixed):
        services.override_day(
            code="statutory", day=date(2026, 5, 9), working=False, note="x", at=NOON
        )
    with pytest.raises(Invalid, match="为什么"):
        services.override_day(code="xian", day=date(2026, 5, 9), working=False, note=" ", at=NOON)
    with pytest.raises(Invalid, match="没有代码为“beijing”"):
        services.override_day(
            code="beijing", day=date(2026, 5, 9), working=False, note="x", at=NOON
        )
    with pytest.raises(NotFound, match="beijing"):
        queries.working_calendar("beijing")
    assert queries.calendars() == {"statutory": "法定工作日历", "xian": "西安院区"}


def test_the_tables_hold_what_must_be() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        LocalCalendar.objects.create(code="statutory", name="冒名")
    services.load_year(content=content(), at=NOON)
    row = Arrangement.objects.get()
    row.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save(force_insert=True)


# The yearly reminder ------------------------------------------------------------------------


def test_from_november_on_the_next_year_is_asked_for() -> None:
    assert queries.missing_years(date(2026, 10, 31)) == []
    assert queries.missing_years(date(2026, 11, 1)) == [2027]
    assert queries.missing_years(date(2028, 3, 1)) == [2028]
    services.load_year(content=content(), at=NOON)
    assert queries.missing_years(date(2026, 12, 31)) == []


def test_the_shipped_files_name_source_and_dates_in_force() -> None:
    for path in queries.DATA.glob("*.json"):
        raw = json.loads(path.read_text("utf-8"))
        assert raw["source"]
        assert raw["published_on"] < raw["in_force_from"] <= raw["in_force_until"]
