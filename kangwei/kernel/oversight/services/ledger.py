"""The ledger of reviews: one event for each thing that happened, and the rebuild from it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from kangwei.kernel.organisations.models import Account
from kangwei.kernel.oversight.models import ReviewEvent, ReviewItem


def note(
    item: ReviewItem,
    kind: str,
    *,
    at: datetime,
    by: Account | None = None,
    reason: str = "",
    detail: dict[str, Any] | None = None,
) -> None:
    ReviewEvent.objects.create(
        item=item, kind=kind, occurred_at=at, by=by, reason=reason, detail=detail or {}
    )


def rebuild(*, items: Iterable[ReviewItem] | None = None) -> int:
    """Compute what items say from their events and write the differences.

    Answers how many differed, which is 0 whenever the acts kept them well.
    """
    differing = 0
    rows = items if items is not None else ReviewItem.objects.order_by("pk").iterator(500)
    for item in rows:
        kept = {name: getattr(item, name) for name in REBUILT}
        told = told_by_events(item)
        if kept != told:
            differing += 1
            ReviewItem.objects.filter(pk=item.pk).update(**told)
    return differing


REBUILT = [
    "decision", "reason", "in_bulk", "decided_at", "decided_by_id", "decided_snapshot",
    "signed_with", "signed_text", "signature", "suspended_at", "withdrawn",
]  # fmt: skip


def told_by_events(item: ReviewItem) -> dict[str, Any]:
    told: dict[str, Any] = {
        "decision": "", "reason": "", "in_bulk": False, "decided_at": None, "decided_by_id": None,
        "decided_snapshot": None, "signed_with": "", "signed_text": "", "signature": "",
        "suspended_at": None, "withdrawn": False,
    }  # fmt: skip
    for event in item.events.order_by("occurred_at", "pk"):
        if event.kind == ReviewEvent.Kind.DECIDED:
            told |= {
                **event.detail,
                "reason": event.reason,
                "decided_at": event.occurred_at,
                "decided_by_id": event.by_id,
            }
        elif event.kind == ReviewEvent.Kind.SUSPENDED:
            told["suspended_at"] = event.occurred_at
        elif event.kind == ReviewEvent.Kind.WITHDRAWN:
            told["withdrawn"] = True
    return told
