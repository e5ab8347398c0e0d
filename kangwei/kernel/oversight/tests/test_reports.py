"""What oversight counts, by hand on a small province; the monthly document; the API's acts."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from kangwei.kernel import clock
from kangwei.kernel.organisations import services as organisations
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make as people
from kangwei.kernel.oversight import reports, services, tasks
from kangwei.kernel.oversight.models import VIEW_RIGHT, ReviewCampaign, ReviewItem
from kangwei.kernel.oversight.rules.review import Decision
from kangwei.kernel.oversight.tests import make
from kangwei.kernel.reporting.registry import find_document_kind, find_report
from kangwei.kernel.reporting.rules.declarations import Context
from kangwei.kernel.reporting.rules.periods import Period
from kangwei.kernel.reporting.services.documents import generate_document

pytestmark = pytest.mark.django_db
APRIL = {"period": Period("month", date(2026, 4, 1), date(2026, 5, 1))}
MAY_10 = datetime(2026, 5, 10, tzinfo=UTC)


def context(by: Account, right: str, path: str, cutoff: datetime = MAY_10) -> Context:
    return Context(APRIL, cutoff, by, by.scope(right), path)


def test_reviews_are_counted_as_they_were_known_at_the_cut_off() -> None:
    tree = make.tree()
    kept, gone, late = (make.nurse(tree.clinic, name) for name in ("甲", "乙", "丙"))
    make.campaign(tree.city)
    decide: dict[str, Any] = {"by": tree.city_inspector, "proof": make.SIGNED}
    services.decide(item=make.item_of(kept), decision=Decision.KEEP, at=make.MARCH_2, **decide)
    services.decide(
        item=make.item_of(gone), decision=Decision.DISABLE, reason="离职",
        at=datetime(2026, 4, 20, tzinfo=UTC), **decide,
    )  # fmt: skip
    services.suspend_overdue(at=datetime(2026, 5, 2, tzinfo=UTC))

    def clinic(cutoff: datetime) -> dict[str, Any]:
        ctx = context(tree.inspector, VIEW_RIGHT, "institution", cutoff)
        rows = {row["institution"]: row for row in reports.count_reviews(ctx)}
        return dict(rows["小寨门诊"])

    now = clinic(MAY_10)
    assert [now[k] for k in ("due", "kept", "disabled", "decided", "in_time")] == [3, 1, 1, 2, 1]
    assert [now[k] for k in ("open", "overdue", "suspended")] == [0, 1, 1]
    before = clinic(datetime(2026, 4, 1, 4, tzinfo=UTC))
    assert [before[k] for k in ("decided", "open", "overdue", "suspended")] == [1, 2, 0, 0]
    ctx = context(tree.inspector, VIEW_RIGHT, "institution")
    behind = reports.reviews_behind(ctx, now, reports.REVIEWS.column("overdue"))
    assert [row["name"] for row in behind.rows] == ["丙"]
    assert late.name == "丙"


def test_every_figure_of_reviews_is_the_number_of_its_rows() -> None:
    tree = make.tree()
    make.nurse(tree.clinic)
    make.campaign(tree.province)
    ctx = context(tree.inspector, VIEW_RIGHT, "institution")
    rows = list(reports.count_reviews(ctx))
    for column in (one for one in reports.REVIEWS.columns if one.drill):
        behind = reports.reviews_behind(ctx, None, column)
        assert len(behind.rows) == sum(row[column.key] for row in rows), column.key


def test_sign_ins_and_acts_are_counted_within_the_scope() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    stranger = make.nurse(people.institution("外省门诊"))
    now = clock.now()
    for account, kind in ((nurse, "success"), (nurse, "failure"), (stranger, "success")):
        account.sign_ins.create(kind=kind, username=account.username, at=now)
    looker = people.account(
        institution=tree.city,
        right=["organisations.view_signinevent", "organisations.unmask_staff"],
    )
    assert nurse.staff is not None
    organisations.unmask_staff(
        staff=nurse.staff, fields=["phone"], by=looker, at=now, reason="电话核实身份"
    )
    today = clock.local_day(now)
    ctx = Context(
        {"period": Period("day", today, today + timedelta(days=1))},
        now + timedelta(minutes=1),
        looker,
        looker.scope("organisations.view_signinevent"),
        "institution",
    )
    rows = {row["institution"]: row for row in reports.count_activity(ctx)}
    assert set(rows) == {"西安市疾控", "小寨门诊"}
    assert rows["小寨门诊"]["successes"] == 1
    assert rows["小寨门诊"]["failures"] == 1
    assert rows["小寨门诊"]["people"] == 1
    assert rows["西安市疾控"]["unmasked"] == 1
    for key in ("successes", "unmasked"):
        behind = reports.activity_behind(ctx, None, reports.ACTIVITY.column(key))
        assert len(behind.rows) == sum(row[key] for row in rows.values())


def test_deliveries_of_the_reminders_are_counted() -> None:
    tree = make.tree()
    make.nurse(tree.clinic)
    make.campaign(tree.city)
    tasks.remind_reviewers.work(datetime(2026, 4, 1, 1, tzinfo=UTC))
    teller = people.account(institution=tree.province, right="notices.view_delivery")
    ctx = context(teller, "notices.view_delivery", "institution")
    rows = list(reports.count_deliveries(ctx))
    assert {row["name"] for row in rows} == {"用户年审提醒"}
    due = sum(row["due"] for row in rows)
    assert due >= 1
    behind = reports.deliveries_behind(ctx, None, reports.DELIVERIES.column("due"))
    assert len(behind.rows) == due


def test_reports_and_the_monthly_document_are_declared() -> None:
    assert all(find_report(one.code) is one for one in reports.REPORTS)
    kind = find_document_kind("oversight.monthly")
    assert kind is not None
    assert kind.title == "平台运行月报"
    assert [one.key for one in kind.sections if one.source] == ["monitoring"], "未接入"


def test_reports_open_as_pages_and_the_month_is_written_with_what_is_missing_named() -> None:
    tree = make.tree()
    make.nurse(tree.clinic)
    make.campaign(tree.city)
    reader = people.account(
        institution=tree.province,
        right=[
            VIEW_RIGHT,
            "organisations.view_signinevent",
            "notices.view_delivery",
            "reporting.write_document",
        ],
    )
    browser = people.client(reader)
    for one in reports.REPORTS:
        shown = browser.get(f"/reporting/r/{one.code}/?run=1&period=2026")
        assert shown.status_code == 200, one.code
        assert one.title in shown.content.decode()
    version = generate_document(
        kind=reports.MONTHLY,
        period="2026-04",
        institution=tree.province,
        by=reader,
        at=MAY_10,
    )
    said = json.dumps(version.tree, ensure_ascii=False)
    assert "本期到期应年审账号" in said
    assert '"not_connected"' in said
    assert "审计日志已入链" in said


# The API ----------------------------------------------------------------------------------------


def call(browser: Client, path: str, content: dict[str, Any]) -> Any:
    return browser.post(
        f"/api/v1/oversight{path}",
        json.dumps(content, default=str),
        content_type="application/json",
        headers={"Idempotency-Key": str(uuid4())},
    )


def test_the_acts_of_the_review_over_the_api() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    at = clock.now()
    today = clock.local_day(at)
    browser = people.client(tree.inspector)
    wish = {"institution_id": tree.city.pk, "year": today.year, "due_on": today}
    assert call(browser, "/campaigns", wish).json()["code"] == "oversight.campaign_dates"
    made = call(browser, "/campaigns", wish | {"due_on": today + timedelta(days=40)}).json()
    services.call_up(campaign=ReviewCampaign.objects.get(pk=made["id"]), at=at)
    listed = browser.get("/api/v1/oversight/review-items?mine=true").json()
    assert {one["username"] for one in listed["items"]} >= {nurse.username}
    item = make.item_of(nurse)
    unsigned = call(browser, f"/review-items/{item.pk}/decide", {"decision": "keep"})
    assert unsigned.json()["code"] == "oversight.identity_not_proved"
    bulk = call(browser, "/review-items/confirm", {"items": [item.pk], "password": make.PASSWORD})
    assert bulk.json()["code"] == "oversight.not_for_bulk"
    decided = call(
        browser,
        f"/review-items/{item.pk}/decide",
        {"decision": "keep", "password": make.PASSWORD},
    )
    assert decided.status_code == 200, decided.content
    assert decided.json()["state"] == "confirmed"
    waiting = call(browser, f"/campaigns/{made['id']}/close", {})
    assert waiting.json()["code"] == "oversight.accounts_still_open"
    called_off = call(browser, f"/campaigns/{made['id']}/cancel", {"reason": "范围选错"})
    assert called_off.json()["state"] == "cancelled"
    stranger = people.client(make.reviewer(people.institution("外省疾控"), "外人"))
    assert stranger.get(f"/api/v1/oversight/review-items/{item.pk}").status_code == 404
    assert call(stranger, f"/campaigns/{made['id']}/close", {}).status_code == 404
    assert ReviewItem.objects.get(pk=item.pk).decision == "keep"


def test_the_journal_over_the_api() -> None:
    auditor = people.account(right=["audit.view_entry", "audit.verify_journal"], scope="everything")
    browser = people.client(auditor)
    saved = call(browser, "/journal/searches", {"name": "月查", "query": {"result": "refused"}})
    assert saved.json()["name"] == "月查"
    found = browser.get(
        f"/api/v1/oversight/journal?act=oversight.search.saved&account_id={auditor.pk}"
    ).json()
    assert found["total"] == 1, found["items"]
    place = browser.get(f"/api/v1/oversight/journal/{found['items'][0]['id']}/position").json()
    assert place["seq"] is None
    assert call(browser, "/journal/verify", {}).json()["kind"] == "oversight.verify_journal"
    local = people.client(people.account(right="audit.view_entry", scope="subtree"))
    assert local.get("/api/v1/oversight/journal").status_code == 403
