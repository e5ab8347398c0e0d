"""Duty rosters (值班表): saved as a whole, changed for a time by substitutions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError, transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.notices.models import DutyRoster, RosterTurn, Substitution
from kangwei.kernel.notices.refusals import BadRoster, ReasonMissing, SubstitutionOverlaps
from kangwei.kernel.notices.services.checking import checked
from kangwei.kernel.organisations.models import Account


@transaction.atomic
def save_roster(
    *,
    roster: DutyRoster,
    members: Sequence[Account],
    rest_day_members: Sequence[Account] = (),
    by: Account | None,
    at: datetime,
) -> DutyRoster:
    """Save a roster with its order of turns."""
    if not members:
        raise BadRoster("值班表至少要有一名值班人员。", field="members")
    checked(roster, BadRoster)
    roster.save()
    roster.turns.all().delete()
    RosterTurn.objects.bulk_create(
        RosterTurn(roster=roster, account=person, rest_days=rest, order=order)
        for rest, people in ((False, members), (True, rest_day_members))
        for order, person in enumerate(people, start=1)
    )
    audit.record(
        act="notices.roster.saved",
        subject=roster,
        by=by,
        at=at,
        detail={
            "members": [person.pk for person in members],
            "rest_day_members": [person.pk for person in rest_day_members],
        },
    )
    return roster


@transaction.atomic
def add_substitution(
    *,
    roster: DutyRoster,
    absent: Account,
    stands_in: Account,
    start: datetime,
    end: datetime,
    reason: str,
    by: Account,
    at: datetime,
) -> Substitution:
    """Put one person in another's place for a time (替班)."""
    if not reason.strip():
        raise ReasonMissing("请填写替班原因。", field="reason")
    if end <= start:
        raise BadRoster("替班的结束时间应晚于开始时间。", field="end")
    if absent == stands_in:
        raise BadRoster("替班人不能是原值班人，请另选他人。", field="stands_in")
    if not roster.turns.filter(account=absent).exists():
        raise BadRoster(f"{absent}不在值班表“{roster}”中，请核对原值班人。", field="absent")
    try:
        with transaction.atomic():
            row = Substitution.objects.create(
                roster=roster,
                absent=absent,
                stands_in=stands_in,
                start=start,
                end=end,
                reason=reason,
                created_at=at,
                created_by=by,
            )
    except IntegrityError as error:
        if "notices_substitution_no_overlap" not in str(error):
            raise
        raise SubstitutionOverlaps(
            f"{absent}在这段时间已有人替班，请先撤销原安排或调整时间。", field="start"
        ) from None
    audit.record(act="notices.substitution.added", subject=row, by=by, at=at, reason=reason)
    return row


@transaction.atomic
def cancel_substitution(*, substitution: Substitution, by: Account, at: datetime) -> Substitution:
    """Take a substitution back; the row stays, to explain who was called while it held."""
    if substitution.cancelled_at is None:
        substitution.cancelled_at = at
        substitution.save(update_fields=["cancelled_at"])
        audit.record(act="notices.substitution.cancelled", subject=substitution, by=by, at=at)
    return substitution
