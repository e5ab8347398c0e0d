"""Calendar and keys as an administrator meets them: pages, API, schedules, the command."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.utils.html import escape

from kangwei.kernel.audit.models import Verification
from kangwei.kernel.calendar import queries as calendar
from kangwei.kernel.calendar.queries import DayKind
from kangwei.kernel.calendar.tests.test_services import CSV, content
from kangwei.kernel.crypto import keys
from kangwei.kernel.crypto.models import Key
from kangwei.kernel.jobs.models import Run
from kangwei.kernel.notices.models import Notice
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make as people
from kangwei.kernel.oversight import key_pages, schedules, upkeep
from kangwei.kernel.oversight.calendar_pages import month_grid
from kangwei.kernel.oversight.tests import make

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
KEEPER = [
    "calendar.view_arrangement",
    "calendar.manage_calendar",
    "crypto.view_key",
    "crypto.rotate_key",
]


@pytest.fixture(autouse=True)
def _fresh_ring() -> Any:
    yield
    keys.ring.forget()


def keeper(**more: Any) -> Account:
    return people.account(right=KEEPER, **more)


def signed_in(client: Client, account: Account) -> Client:
    client.force_login(account)
    return client


def acts() -> list[str]:
    return list(
        make.journal(kind="act", act__startswith="oversight.").values_list("act", flat=True)
    )


# The calendar -------------------------------------------------------------------------------


def test_a_month_is_a_grid_from_monday_to_sunday() -> None:
    weeks = month_grid(calendar.working_calendar(), 2026, 2)
    assert all(len(week) == 7 for week in weeks)
    first = weeks[0][6]
    assert first is not None
    assert first.day == date(2026, 2, 1)  # a Sunday
    assert weeks[0][:6] == [None] * 6


def test_the_year_shows_holidays_and_make_up_days(client: Client) -> None:
    shown = signed_in(client, keeper()).get("/oversight/calendar/?year=2026").content.decode()
    assert "2026-02-17 放假：春节" in shown
    assert "2026-02-14 调休上班：春节" in shown
    assert "248" in shown
    for kind in DayKind:
        assert f"</span>{kind.words}</li>" in shown  # the legend
    assert "已公布" in shown
    assert "暂定" not in shown.split("cal-year")[1]


def test_an_unpublished_year_says_that_it_is_provisional(client: Client) -> None:
    shown = signed_in(client, keeper()).get("/oversight/calendar/?year=2031").content.decode()
    assert "未公布" in shown
    assert "（暂定）" in shown


def test_a_year_outside_the_range_and_an_unknown_calendar_are_refused(client: Client) -> None:
    signed_in(client, keeper())
    assert "年份应在" in client.get("/oversight/calendar/?year=1").content.decode()
    assert client.get("/oversight/calendar/?calendar=nowhere").status_code == 404


def test_a_file_is_previewed_then_loaded_as_previewed(client: Client) -> None:
    signed_in(client, keeper())
    file = SimpleUploadedFile("2027.csv", CSV.encode("gb18030"))
    told = client.post(
        "/oversight/calendar/load/",
        {"file": file, "source": "国务院办公厅通知", "published_on": "2026-11-10"},
    )
    assert not calendar.working_calendar().is_published(2027)
    assert told.context["preview"].arrangement.year == 2027
    assert "2027-02-14" in told.content.decode()
    loaded = client.post("/oversight/calendar/confirm/", {"held": told.context["held"]})
    assert loaded.status_code == 302
    assert calendar.working_calendar().is_published(2027)
    assert acts() == ["oversight.calendar.year_loaded"]


def test_a_broken_file_is_refused_in_words_and_leaves_nothing(client: Client) -> None:
    signed_in(client, keeper())
    told = client.post(
        "/oversight/calendar/load/", {"file": SimpleUploadedFile("x.csv", b"a,b\n1,2\n")}
    )
    assert "第一行应为表头" in told.content.decode()
    forged = client.post(
        "/oversight/calendar/confirm/",
        {"held": "forged"},
        headers={"referer": "http://testserver/oversight/calendar/load/"},
        follow=True,
    )
    assert "预览已过期" in forged.content.decode()
    assert acts() == []


def test_a_local_day_is_adjusted_with_a_reason(client: Client) -> None:
    signed_in(client, keeper())
    client.post("/oversight/calendar/create/", {"code": "xian", "name": "西安院区"})
    client.post(
        "/oversight/calendar/override/",
        {"calendar": "xian", "day": "2026-05-09", "working": "off", "note": "停电检修"},
    )
    assert calendar.working_calendar("xian").kind(date(2026, 5, 9)) is DayKind.LOCAL_OFF
    shown = client.get("/oversight/calendar/?calendar=xian&year=2026").content.decode()
    assert "停电检修" in shown
    assert acts() == ["oversight.calendar.created", "oversight.calendar.day_adjusted"]


def test_whoever_may_only_look_sees_no_forms_and_may_not_post(client: Client) -> None:
    signed_in(client, people.account(right="calendar.view_arrangement"))
    shown = client.get("/oversight/calendar/?year=2026").content.decode()
    assert "导入节假日安排" not in shown
    assert client.get("/oversight/calendar/load/").status_code == 403
    assert client.post("/oversight/calendar/create/", {"code": "x", "name": "y"}).status_code == 403
    assert client.get("/oversight/keys/").status_code == 403


# Keys ---------------------------------------------------------------------------------------


def test_the_page_says_what_does_the_work_and_that_software_does_not_pass(client: Client) -> None:
    shown = signed_in(client, keeper()).get("/oversight/keys/").content.decode()
    assert escape("不能通过商用密码应用安全性评估") in shown
    assert "SM4-GCM" in shown
    assert Key.objects.get(purpose="field", state="active").kid in shown
    assert keys.ring.active("field").secret.hex() not in shown


def test_rotating_moves_every_value_and_is_recorded(client: Client) -> None:
    staff = people.staff(people.institution("小寨门诊"), "赵护士", phone="13812345678")
    old = Key.objects.get(purpose="field", state="active").kid
    signed_in(client, keeper()).post("/oversight/keys/rotate/")
    # As the worker does that takes it up.
    Run.objects.update(state=Run.State.RUNNING, started_at=NOON, heartbeat_at=NOON)
    run = Run.objects.get(kind=key_pages.ROTATE_RUN)
    result = key_pages.rotate_run(run)
    assert result["values"] >= 1
    new = Key.objects.get(purpose="field", state="active").kid
    assert new != old
    staff.refresh_from_db()
    assert staff.phone == "13812345678"
    assert type(staff).objects.filter(phone="13812345678").exists()
    assert acts()[0] == "oversight.key.rotated"
    assert "oversight.key.reencrypted" in acts()
    again = key_pages.rotate_run(run)  # a killed run that is called again makes no third key
    assert again["values"] == 0
    assert Key.objects.get(purpose="field", state="active").kid == new


def test_the_command_rotates_and_goes_on() -> None:
    people.staff(people.institution("小寨门诊"), "赵护士", phone="13812345678")
    out = StringIO()
    call_command("rotate_keys", stdout=out)
    assert "已启用新密钥" in out.getvalue()
    assert "完成，共重新加密" in out.getvalue()
    again = StringIO()
    call_command("rotate_keys", "--continue", stdout=again)
    assert "已启用新密钥" not in again.getvalue()
    assert "共重新加密 0 个值" in again.getvalue()


def test_a_key_used_to_the_half_is_rotated_at_night(monkeypatch: pytest.MonkeyPatch) -> None:
    old = Key.objects.get(purpose="field", state="active").kid
    schedules.rotate_when_due.work(NOON)
    assert Key.objects.get(purpose="field", state="active").kid == old
    monkeypatch.setattr("kangwei.kernel.crypto.rotation.ROTATE_AT", 0)
    schedules.rotate_when_due.work(NOON)
    assert Key.objects.get(purpose="field", state="active").kid != old


# Schedules ----------------------------------------------------------------------------------


def test_the_nightly_verification_keeps_its_result() -> None:
    assert schedules.verify_journal.work(NOON).startswith("完好")
    assert Verification.objects.get().sound


def test_a_broken_journal_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from kangwei.kernel.audit import verify
    from kangwei.kernel.audit.rules.findings import Fault, Finding

    auditor = people.account(right="audit.verify_journal")
    broken = verify.Report(findings=[Finding(Fault.EDITED, "第 7 号内容不符。", 7, 7)])
    monkeypatch.setattr(verify, "verify", lambda **_: broken)
    told = schedules.verify_journal.work(NOON)
    assert told == "发现 1 处异常，已通知 1 人。"
    notice = Notice.objects.get()
    assert "1 处异常" in notice.title
    assert auditor.has_perm("audit.verify_journal")


def test_from_november_whoever_keeps_the_calendar_is_asked_every_week() -> None:
    keeper()
    assert schedules.ask_next_year.work(datetime(2026, 10, 1, tzinfo=UTC)) == "安排齐全。"
    assert schedules.ask_next_year.work(NOON) == "缺少 2027 年的安排，已提醒 1 人。"
    schedules.ask_next_year.work(NOON)
    assert Notice.objects.count() == 1  # once a week, however often it runs
    upkeep.load_year(content=content(), source="", published_on=None, by=None, at=NOON)
    assert schedules.ask_next_year.work(NOON) == "安排齐全。"


def test_partitions_and_segments_answer_in_words() -> None:
    assert schedules.ensure_partitions.work(NOON).endswith("个分区。")
    assert schedules.seal_segments.work(NOON).endswith("段摘要。")


# The API ------------------------------------------------------------------------------------


def test_days_are_asked_over_the_api(client: Client) -> None:
    signed_in(client, keeper())
    answer = client.get("/api/v1/calendar/days?since=2026-02-14&until=2026-02-16")
    assert answer.json() == [
        {"day": "2026-02-14", "kind": "make_up", "is_working_day": True, "name": "春节",
         "provisional": False},
        {"day": "2026-02-15", "kind": "holiday", "is_working_day": False, "name": "春节",
         "provisional": False},
    ]  # fmt: skip
    assert client.get("/api/v1/calendar/days?since=2026-01-01&until=2029-01-01").status_code == 422


def test_a_year_is_loaded_over_the_api(client: Client) -> None:
    signed_in(client, keeper())
    answer = client.post(
        "/api/v1/calendar/years",
        json.dumps({"content": content().decode()}),
        content_type="application/json",
        headers={"Idempotency-Key": "load-2027-once"},
    )
    assert answer.json()["year"] == 2027
    assert calendar.working_calendar().is_published(2027)


def test_key_use_is_told_without_secrets(client: Client) -> None:
    signed_in(client, keeper())
    (first, *_) = client.get("/api/v1/keys/fields").json()
    assert first["state"] == "active"
    assert set(first) == {"kid", "algorithm", "state", "uses", "values"}
