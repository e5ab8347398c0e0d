"""How long the ledger of deliveries is kept (通知保留期): sealed first, then put away by age."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q

from kangwei.kernel.audit import queries as journal
from kangwei.kernel.audit import services as audit
from kangwei.kernel.notices.models import (
    Attempt,
    Delivery,
    Escalation,
    EscalationEvent,
    Notice,
)
from kangwei.kernel.notices.models.ledger import OPEN_STATES

LEDGERS = (Notice, Attempt, EscalationEvent)
#: Notices put away in one transaction.
AT_ONCE = 2000


def purge(*, at: datetime) -> dict[str, int]:
    """Delete what is older than the age set for this site; answers the rows by kind.

    Nothing goes before its hour is sealed in the journal, nothing that is still on its way, and
    nothing that a younger row leads back to. The database itself refuses rows under 180 days.
    """
    before = at - timedelta(days=settings.NOTICES_KEPT_DAYS)
    for model in LEDGERS:
        unsealed = journal.unsealed_since(model._meta.db_table, before)
        before = min(before, unsealed or before)
    gone = {"升级": _purge_escalations(before), "通知": 0, "投递": 0, "发送尝试": 0}
    last = 0
    while True:
        with transaction.atomic():
            found = list(_old(before).filter(pk__gt=last).order_by("pk")[:AT_ONCE])
            if not found:
                break
            last = found[-1].pk
            rows = _without_younger_ties({notice.pk for notice in found})
            deliveries = Delivery.objects.filter(notice__in=rows)
            attempts = Attempt.objects.filter(delivery__in=deliveries.values("pk"))
            for title, part in (
                ("发送尝试", attempts),
                ("投递", deliveries),
                ("通知", Notice.objects.filter(pk__in=rows)),
            ):
                # Rows of a ledger carry no cascade of their own; foreign keys are checked at the
                # end of the transaction.
                gone[title] += part._raw_delete(part.db) or 0
    if any(gone.values()):
        detail = {"before": before.isoformat(), "rows": gone}
        with transaction.atomic():
            audit.record(act="notices.purged", at=at, detail=detail)
    return gone


def _old(before: datetime) -> models.QuerySet[Notice]:
    """Notices of that age that are done with: nothing on its way, tried since, or escalated."""
    mine = Delivery.objects.filter(notice=OuterRef("pk"))
    late = Attempt.objects.filter(delivery__notice=OuterRef("pk"), recorded_at__gte=before)
    told = EscalationEvent.objects.filter(notice=OuterRef("pk"))
    return Notice.objects.filter(
        ~Exists(mine.filter(state__in=OPEN_STATES)), ~Exists(late), ~Exists(told),
        recorded_at__lt=before,
    )  # fmt: skip


def _without_younger_ties(notices: set[int]) -> set[int]:
    """Leave out notices whose deliveries carry parts, or stand for deliveries, of others."""
    while True:
        inside = Delivery.objects.filter(notice__in=notices).values("pk")
        tied = Delivery.objects.filter(Q(merged_into__in=inside) | Q(instead_of__in=inside))
        outside = tied.exclude(notice__in=notices)
        held = set(outside.values_list("merged_into__notice", flat=True))
        held |= set(outside.values_list("instead_of__notice", flat=True))
        if not held & notices:
            return notices
        notices = notices - held


@transaction.atomic
def _purge_escalations(before: datetime) -> int:
    young = EscalationEvent.objects.filter(escalation=OuterRef("pk"), recorded_at__gte=before)
    ended = Escalation.objects.filter(~Exists(young), stopped_at__lt=before)
    pks = list(ended.values_list("pk", flat=True))
    events = EscalationEvent.objects.filter(escalation__in=pks)
    events._raw_delete(events.db)
    rows = Escalation.objects.filter(pk__in=pks)
    return rows._raw_delete(rows.db) or 0
