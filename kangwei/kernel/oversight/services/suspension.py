"""Suspension (逾期暂停): thirty days after an unused due date, by the daily job."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations import services as organisations
from kangwei.kernel.oversight.models import ReviewEvent, ReviewItem
from kangwei.kernel.oversight.rules import review
from kangwei.kernel.oversight.services.ledger import note


def suspend_overdue(*, at: datetime) -> int:
    """Suspend every account whose grace has passed unused; answers how many."""
    last_day = clock.local_day(at) - review.GRACE
    overdue = (
        ReviewItem.objects.open()
        .filter(suspended_at=None, due_on__lte=last_day)
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    return sum(_suspend(pk, at=at) for pk in list(overdue))


@transaction.atomic
def _suspend(pk: int, *, at: datetime) -> bool:
    item = (
        ReviewItem.objects.select_for_update(of=("self",))
        .select_related("account", "campaign", "institution")
        .get(pk=pk)
    )
    if item.decision or item.withdrawn or item.suspended_at:
        return False  # decided, or suspended by another worker, a moment ago
    if item.account.state == "active":
        organisations.suspend_account(
            account=item.account,
            by=None,
            at=at,
            reason=f"{item.campaign.title}：{item.due_on} 到期后 {review.GRACE.days} 天未完成年审",
        )
    item.suspended_at = at
    item.save(update_fields=["suspended_at"])
    note(item, ReviewEvent.Kind.SUSPENDED, at=at, reason=f"{item.due_on} 到期后未年审")
    audit.record(
        act="oversight.account.review_suspended",
        subject=item.account,
        at=at,
        detail={"campaign": item.campaign.title, "due_on": item.due_on},
    )
    return True
