"""Background work of oversight: the daily acts of the account review, and long runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.jobs.models import Run
from kangwei.kernel.jobs.registry import register_run_kind, schedule
from kangwei.kernel.notices import services as notices
from kangwei.kernel.organisations.models import Institution
from kangwei.kernel.oversight import queries, services
from kangwei.kernel.oversight.models import ReviewCampaign
from kangwei.kernel.oversight.rules import review
from kangwei.kernel.oversight.services.campaigns import CALL_UP_RUN

VERIFY_RUN = "oversight.verify_journal"


@schedule(name="oversight.call_up_due", title="年审到期账号纳入", cron="10 6 * * *")
def call_up_due(at: datetime) -> str:
    """把 30 天内到期、又不在任何年审批次中的账号纳入日常年审。"""
    return f"纳入 {services.call_up_due(at=at)} 个账号。"


@schedule(name="oversight.suspend_overdue", title="逾期未年审账号暂停", cron="20 0 * * *")
def suspend_overdue(at: datetime) -> str:
    """暂停到期后 30 天仍未年审的账号；上级机构年审后恢复。"""
    return f"暂停 {services.suspend_overdue(at=at)} 个账号。"


@schedule(name="oversight.remind_reviewers", title="年审提醒", cron="30 8 * * *")
def remind_reviewers(at: datetime) -> str:
    """在到期前 30 天、7 天、当天和逾期 15 天、25 天提醒年审机构。"""
    told = 0
    for step, institution_id, due, items in queries.reminders_today(at):
        reviewers = queries.reviewers_at(institution_id, at)
        if not reviewers:
            continue
        institution = Institution.objects.get(pk=institution_id)
        with transaction.atomic():
            notices.notify(
                # One notice for each step and due date; a second run of the day says nothing new.
                key=f"oversight.review:{step.name}:{institution_id}:{due}",
                template="oversight.review_due",
                context={
                    "institution": institution.short_name,
                    "count": len(items),
                    "due_on": due.isoformat(),
                    "step": review.REMINDER_WORDS[step],
                },
                to=[notices.Target.account(reviewer.pk) for reviewer in reviewers],
                at=at,
                institution_id=institution_id,
                link="/oversight/my-reviews/",
                priority="high" if step.value > 0 else "normal",
            )
        told += 1
    return f"发出 {told} 条年审提醒。"


def call_up(run: Run) -> Mapping[str, Any]:
    campaign = ReviewCampaign.objects.get(pk=run.arguments["campaign"])
    called = services.call_up(campaign=campaign, at=clock.now(), progress=run.progress)
    total = campaign.items.count()
    run.progress(total, total, "完成")
    return {"called_up": called, "accounts": total}


def verify_journal(run: Run) -> Mapping[str, Any]:
    """Verify the whole chain; what was found is kept and itself noted in the journal."""
    found = audit.verify_journal(at=clock.now(), by=run.owner)
    return {"sound": found.sound, "links": found.links, "faults": len(found.findings)}


def register_runs() -> None:
    register_run_kind(kind=CALL_UP_RUN, title="纳入年审账号", work=call_up)
    register_run_kind(kind=VERIFY_RUN, title="校验审计日志", work=verify_journal)
