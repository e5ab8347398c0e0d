"""The history of one thing, and the auditor's search."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from kangwei.kernel.audit import queries, services
from kangwei.kernel.audit.queries import Criteria, FieldChange
from kangwei.kernel.audit.tests import make
from kangwei.kernel.audit.tests.make import NOON
from kangwei.kernel.audit.tests.test_journal import Person
from kangwei.kernel.calendar.models import LocalCalendar, Override
from kangwei.kernel.crypto.models import Key

pytestmark = pytest.mark.django_db


def test_history_tells_acts_with_the_fields_they_changed() -> None:
    ward = make.calendar()
    services.record(act="test.thing.begun", subject=ward, by=Person(), at=NOON)
    ward.name = "新名"
    ward.save()
    with services.origin(address="10.1.2.3"):
        services.record(
            act="test.thing.done", subject=ward, by=Person(), at=NOON, reason="院方来函"
        )
    newest, oldest = queries.history(ward)
    assert (newest.title, newest.by, newest.address, newest.reason) == (
        "做了一件事", "王医生（xa-wang）", "10.1.2.3", "院方来函",
    )  # fmt: skip
    assert newest.at == NOON
    assert newest.changes == [FieldChange("名称", "病区日历", "新名")]
    assert oldest.changes == [FieldChange("名称", None, "病区日历")]


def test_history_shows_the_tables_beside_under_their_names() -> None:
    ward = make.calendar()
    Override.objects.create(
        calendar=ward, day=date(2026, 5, 9), version=1, working=False, note="停诊", recorded_at=NOON
    )
    services.record(act="test.thing.done", subject=ward, at=NOON)
    (entry,) = queries.history(ward)
    told = {change.label: change.new for change in entry.changes}
    assert told["日期调整 · 日历"] == "病区日历"  # a foreign key shows the row's name
    assert told["日期调整 · 上班"] == "否"
    assert told["日期调整 · 登记时间"] == "2026-11-20 12:00:00"
    assert told["名称"] == "病区日历"


def test_history_shows_choices_and_hides_the_hidden() -> None:
    key = Key.objects.get(purpose="field", state="active")
    Key.objects.filter(pk=key.pk).update(wrapped="sm4:AAAA", state="retired", retired_at=NOON)
    services.record(act="test.thing.done", subject=key, at=NOON)
    changes = queries.history(key)[0].changes
    assert FieldChange("状态", "使用中", "已停用（仅解密、验签）") in changes
    assert FieldChange("密钥密文", "（内容不记录）", "（内容不记录）") in changes


def test_changes_after_their_acts_line_still_belong_to_its_transaction(journal: Path) -> None:
    from django.db import transaction

    with transaction.atomic():
        services.record(act="test.thing.done", at=NOON)
        ward = make.calendar()
    (entry,) = queries.history(ward)
    assert entry.title == "做了一件事"
    assert entry.changes[0].new == "病区日历"


def test_a_change_by_hand_says_so_in_the_history(journal: Path) -> None:
    ward = make.calendar()
    (entry,) = queries.history(ward)
    assert entry.title == "直接修改数据（无业务操作）：新增"
    assert entry.by.startswith("数据库用户 ")


def test_a_refused_act_is_in_the_history() -> None:
    ward = make.calendar()
    services.record(act="test.thing.done", subject=ward, at=NOON, result="refused")
    assert queries.history(ward)[0].refused


def test_history_does_not_ask_once_per_line() -> None:
    ward = make.calendar()
    for number in range(8):
        ward.name = f"第 {number} 个名字"
        ward.save()
        services.record(act="test.thing.done", subject=ward, at=NOON)
    with CaptureQueriesContext(connection) as asked:
        assert len(queries.history(ward)) == 8
    assert len(asked) <= 4


# Search -------------------------------------------------------------------------------------


def reasons(**criteria: object) -> list[str]:
    return [item.entry.reason for item in queries.search(Criteria(kind="act", **criteria)).items]  # type: ignore[arg-type]


@pytest.fixture
def three_acts() -> LocalCalendar:
    ward = make.calendar()
    services.record(act="test.thing.begun", at=NOON, reason="甲 系统升级")
    with services.origin(address="10.1.2.3", trace_id="t-7"):
        services.record(act="test.thing.done", subject=ward, by=Person(), at=NOON, reason="乙")
    services.record(act="test.thing.done", at=NOON, reason="丙 100%", result="refused")
    return ward


def test_search_narrows_by_each_condition(three_acts: LocalCalendar) -> None:
    assert reasons() == ["丙 100%", "乙", "甲 系统升级"]
    assert reasons(act="test.thing.begun") == ["甲 系统升级"]
    assert reasons(account_id=7) == ["乙"]
    assert reasons(object_type="calendar.localcalendar", object_id="ward") == ["乙"]
    assert reasons(result="refused") == ["丙 100%"]
    assert reasons(address="10.1.2.3") == ["乙"]
    assert reasons(trace_id="t-7") == ["乙"]
    now = datetime.now(UTC)
    assert reasons(since=now - timedelta(hours=1), until=now + timedelta(hours=1)) != []
    assert reasons(until=now - timedelta(hours=1)) == []


def test_search_by_words_finds_person_object_and_reason(three_acts: LocalCalendar) -> None:
    assert reasons(text="系统升级") == ["甲 系统升级"]
    assert reasons(text="王医生") == ["乙"]
    assert reasons(text="病区") == ["乙"]
    assert reasons(text="100%") == ["丙 100%"]
    assert reasons(text="1_0%") == []  # wildcards are letters here


def test_search_gives_pages_and_an_honest_count(
    three_acts: LocalCalendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = queries.search(Criteria(kind="act"), page=2, size=2)
    assert [item.entry.reason for item in page.items] == ["甲 系统升级"]
    assert (page.total, page.more) == (3, False)
    monkeypatch.setattr(queries, "COUNTED", 2)
    page = queries.search(Criteria(kind="act"), size=2)
    assert (page.total, page.more) == (2, True)


def test_a_change_is_found_with_its_fields(three_acts: LocalCalendar) -> None:
    (item,) = queries.search(Criteria(kind="change", object_type="calendar.localcalendar")).items
    assert item.title == "新增本地日历"
    assert item.by.startswith("数据库用户")
    assert item.changes == [FieldChange("名称", None, "病区日历")]


def test_the_word_search_uses_its_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_entry (kind, act, act_id, reason)"
            " SELECT 'act', 'test.thing.done', gen_random_uuid(), md5(g::text)"
            " FROM generate_series(1, 5000) g"
        )
        cursor.execute(
            "SELECT gin_clean_pending_list(indexrelid) FROM pg_index"
            " WHERE indexrelid::regclass::text ~ '^audit_entry_.*expr_idx$'"
        )
        cursor.execute("ANALYZE audit_entry")
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = queries.entries(Criteria(text="系统升级")).order_by().explain()
    assert "Index Cond: (((((account_label" in plan


def test_exported_cells_are_no_formulas() -> None:
    services.record(act="test.thing.done", at=NOON, reason="=HYPERLINK(1)")
    rows = list(queries.export_rows(Criteria(act="test.thing.done")))
    assert rows[0][12] == "'=HYPERLINK(1)"
    assert len(rows[0]) == len(queries.EXPORT_HEADINGS)
    assert queries.spreadsheet_safe("-1") == "'-1"
    assert queries.spreadsheet_safe("王*明") == "王*明"
