"""The chapter of reporting: figures of past months kept, plans running, a document corrected.

It stands behind the chapters that bring the figures, and speaks of whatever reports and documents
the apps have declared.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from random import Random

from kangwei.kernel import clock
from kangwei.kernel.demonstration import Chapter, Progress, register_chapter, shown_accounts
from kangwei.kernel.organisations.models import Account

from . import queries
from .models import Document, DocumentVersion, Snapshot, Subscription
from .rules.declarations import PeriodParameter, Report
from .services.documents import correct_document, seal_version
from .services.plans import PLAN_RIGHT, start_offered_plan, subscribe
from .services.running import run_and_keep
from .services.snapshots import freeze

MONTHS = 3
NEEDED = (PLAN_RIGHT, "reporting.freeze_report", "reporting.write_document")


def register() -> None:
    register_chapter(Chapter("reporting", "固化报表与文档更正", 70, tell))


def tell(random: Random, at: datetime, progress: Progress) -> None:
    by = _lead()
    if by is None:
        return
    reports = [one for one in queries.reports_for(by) if one.freeze and _by_month(one)]
    for done, report in enumerate(reports):
        progress(done, len(reports) + 2, report.title)
        _keep_months(report, by, at)
    progress(len(reports), len(reports) + 2, "固化计划与订阅")
    for report in queries.offered_plans(by):
        start_offered_plan(report=report, by=by, at=at)
    if reports and not Subscription.objects.filter(account=by).exists():
        subscribe(
            report=reports[0], parameters={}, frequency="monthly", hour=8, day=1, by=by, at=at
        )
    progress(len(reports) + 1, len(reports) + 2, "文档更正")
    _correct(by, at)
    progress(len(reports) + 2, len(reports) + 2)


def _lead() -> Account | None:
    """Of the shown accounts that plan, freeze and write, the one that sees the most reports."""
    shown = [one.username for one in shown_accounts()]
    able = [
        account
        for account in Account.objects.filter(username__in=shown).order_by("pk")
        if all(account.has_perm(right) for right in NEEDED)
    ]
    return max(able, key=lambda account: len(queries.reports_for(account)), default=None)


def _by_month(report: Report) -> PeriodParameter | None:
    return next(
        (
            one
            for one in report.parameters
            if isinstance(one, PeriodParameter) and "month" in one.kinds
        ),
        None,
    )


def _keep_months(report: Report, by: Account, at: datetime) -> None:
    period = _by_month(report)
    assert period is not None
    for month in past_months(clock.local_day(at), MONTHS):
        same = Snapshot.objects.filter(report=report.code)
        if any(one.parameters.get(period.key) == month for one in same.defer("frame")):
            continue
        kept = run_and_keep(report=report, parameters={period.key: month}, by=by, at=at)
        freeze(report=report, kept=kept, by=by, at=at, name=f"{month} {report.title}")


def past_months(today: date, count: int) -> list[str]:
    """The months before this one, oldest first: `2026-08`, `2026-09`, `2026-10`."""
    first = today.replace(day=1)
    found = []
    for _ in range(count):
        first = (first - timedelta(days=1)).replace(day=1)
        found.append(f"{first:%Y-%m}")
    return found[::-1]


def _correct(by: Account, at: datetime) -> None:
    """The first sealed document gets its second version, with what it changes listed."""
    corrected = DocumentVersion.objects.filter(version__gt=1).values("document")
    sealed = Document.objects.visible_to(by).filter(versions__state=DocumentVersion.State.SEALED)
    document = sealed.exclude(pk__in=corrected).order_by("pk").first()
    if document is None or DocumentVersion.objects.filter(version__gt=1).exists():
        return
    reason = "补记月末当日的登录与操作，数字重新统计"
    version = correct_document(document=document, reason=reason, by=by, at=at)
    seal_version(version=version, by=by, at=at)
