"""The reporting chapter, and the plan a report offers."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

import pytest

from kangwei.kernel import demonstration
from kangwei.kernel.demonstration import ShownAccount
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make as people
from kangwei.kernel.reporting import chapter, queries
from kangwei.kernel.reporting.declarations import DocumentKind, Report
from kangwei.kernel.reporting.models import (
    DocumentVersion,
    Snapshot,
    SnapshotPlan,
    Subscription,
)
from kangwei.kernel.reporting.queries import open_snapshot
from kangwei.kernel.reporting.refusals import AlreadyPlanned, WrongPlan
from kangwei.kernel.reporting.reports import USAGE
from kangwei.kernel.reporting.services import start_offered_plan

from . import make
from .test_documents import RIGHTS as DOCUMENT_RIGHTS
from .test_documents import sealed
from .test_services import RIGHTS

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead() -> Account:
    return people.account(
        "province", right=[*RIGHTS, *DOCUMENT_RIGHTS, "reporting.view_usage"], name="王编制"
    )


def told(monkeypatch: pytest.MonkeyPatch, lead: Account) -> None:
    shown = ShownAccount(lead.username, "", lead.name, "省级", "省疾控中心")
    monkeypatch.setattr(demonstration, "_accounts", {lead.username: shown})

    def quiet(done: int, total: int, note: str = "") -> None:
        assert 0 <= done <= total

    chapter.tell(random.Random(1), make.AT, quiet)


def test_one_click_starts_the_plan_a_report_offers(lead: Account) -> None:
    assert USAGE in queries.offered_plans(lead)
    plan = start_offered_plan(report=USAGE, by=lead, at=make.AT)
    assert (plan.frequency, plan.hour, plan.day) == ("monthly", 2, 1)
    assert plan.parameters == {"period": "previous"}
    assert USAGE not in queries.offered_plans(lead)
    with pytest.raises(AlreadyPlanned, match="本机构已有"):
        start_offered_plan(report=USAGE, by=lead, at=make.AT)


def test_a_report_without_a_moment_of_its_own_offers_nothing(
    accounts: Report, lead: Account
) -> None:
    with pytest.raises(WrongPlan, match="没有推荐"):
        start_offered_plan(report=accounts, by=lead, at=make.AT)


def test_the_page_and_the_api_offer_it(lead: Account) -> None:
    browser = people.client(lead)
    page = browser.get("/reporting/plans/").content.decode()
    assert "推荐的固化计划" in page
    assert "报表使用统计" in page
    browser.post("/reporting/plans/offered/reporting.usage/")
    assert SnapshotPlan.objects.get().report == "reporting.usage"
    again: Any = browser.post(
        "/api/v1/snapshots/plans/offered/reporting.usage", "{}", content_type="application/json",
        headers={"Idempotency-Key": "offered-twice"},
    )  # fmt: skip
    assert again.json()["code"] == "reporting.already_planned"


def test_the_months_before_are_counted_across_the_year() -> None:
    assert chapter.past_months(date(2026, 2, 28), 3) == ["2025-11", "2025-12", "2026-01"]


def test_the_chapter_fills_every_list_once(
    monthly: DocumentKind, lead: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(monthly, lead)
    told(monkeypatch, lead)
    told(monkeypatch, lead)
    months = [one.parameters["period"] for one in Snapshot.objects.filter(report=USAGE.code)]
    assert sorted(months) == chapter.past_months(make.AT.date(), 3)
    assert all(open_snapshot(one).verified for one in Snapshot.objects.all())
    assert SnapshotPlan.objects.filter(report=USAGE.code).count() == 1
    assert Subscription.objects.count() == 1
    second = DocumentVersion.objects.get(version=2)
    assert second.state == DocumentVersion.State.SEALED
    assert second.reason.startswith("补记")
