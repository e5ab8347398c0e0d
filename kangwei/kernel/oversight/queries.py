"""Questions about account reviews (用户年审): who is asked, who decides, how far it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet

from kangwei.kernel import clock
from kangwei.kernel.organisations.models import (
    Account,
    AccountState,
    Institution,
    InstitutionClosure,
)
from kangwei.kernel.oversight import snapshots
from kangwei.kernel.oversight.models import REVIEW_RIGHT, ReviewCampaign, ReviewEvent, ReviewItem
from kangwei.kernel.oversight.rules import review
from kangwei.kernel.oversight.rules.review import Decision, Powers, State

KEPT = [Decision.KEEP, Decision.CHANGE]


# Who is asked about -----------------------------------------------------------------------------


def usable_accounts() -> QuerySet[Account]:
    """Accounts a review asks about: those that somebody could sign in with."""
    return Account.objects.get_queryset().filter(state=AccountState.ACTIVE)


def asked_about() -> Exists:
    return Exists(ReviewItem.objects.open().filter(account=OuterRef("pk")))


def accounts_to_call_up(campaign: ReviewCampaign, at: datetime) -> list[int]:
    """Usable accounts below the campaign's institution that no round of the year asked about."""
    below = InstitutionClosure.objects.filter(ancestor=campaign.institution_id)
    this_year = ReviewItem.objects.filter(campaign__year=campaign.year, account=OuterRef("pk"))
    settled = this_year.filter(Q(campaign=campaign) | Q(decision__in=KEPT))
    rows = usable_accounts().filter(institution__in=below.values("descendant"), created_at__lte=at)
    return list(
        rows.filter(~asked_about(), ~Exists(settled)).order_by("pk").values_list("pk", flat=True)
    )


def accounts_due_without_round(at: datetime) -> list[tuple[Institution, int, list[int]]]:
    """(topmost institution, year, accounts) whose own year ends within the notice."""
    today = clock.local_day(at)
    horizon = today + review.NOTICE
    # A year before the horizon at the latest: everything younger cannot be due yet.
    latest = at - timedelta(days=330)
    rows = usable_accounts().filter(~asked_about(), created_at__lte=latest).order_by("pk")
    created = dict(rows.values_list("pk", "created_at"))
    homes = dict(rows.values_list("pk", "institution_id"))
    confirmed = last_confirmations(created)
    tops = topmost(set(homes.values()))
    groups: dict[int, list[int]] = defaultdict(list)
    for account_id, created_at in created.items():
        last = confirmed.get(account_id)
        natural = review.natural_due_on(
            created_on=clock.local_day(created_at),
            confirmed_on=clock.local_day(last) if last else None,
        )
        if natural <= horizon:
            groups[tops[homes[account_id]]].append(account_id)
    roots = Institution.objects.in_bulk(groups)
    return [(roots[pk], today.year, ids) for pk, ids in sorted(groups.items())]


def last_confirmations(account_ids: Iterable[int]) -> dict[int, datetime]:
    """When each account was last kept or changed; accounts never reviewed are absent."""
    rows = ReviewItem.objects.filter(account__in=list(account_ids), decision__in=KEPT)
    return dict(rows.values_list("account_id").annotate(last=Max("decided_at")))


def last_review(account_id: int, *, before: datetime | None = None) -> ReviewItem | None:
    """The last decided review of an account that left it in use."""
    rows = ReviewItem.objects.filter(account=account_id, decision__in=KEPT)
    if before:
        rows = rows.filter(decided_at__lt=before)
    return rows.select_related("decided_by", "campaign").order_by("-decided_at").first()


def last_powers(account_ids: Iterable[int]) -> dict[int, Powers]:
    """What each account could do when it was last confirmed."""
    rows = (
        ReviewItem.objects.filter(account__in=list(account_ids), decision__in=KEPT)
        .order_by("account_id", "-decided_at")
        .distinct("account_id")
        .values_list("account_id", "decided_snapshot")
    )
    return {account_id: snapshots.powers(kept) for account_id, kept in rows if kept}


# Who decides ------------------------------------------------------------------------------------


def superiors(institution_ids: Iterable[int]) -> dict[int, int]:
    """The institution directly above each; topmost ones are absent."""
    rows = InstitutionClosure.objects.filter(descendant__in=list(institution_ids), depth=1)
    return dict(rows.values_list("descendant_id", "ancestor_id"))


def topmost(institution_ids: Iterable[int]) -> dict[int, int]:
    """The institution above which there is none, for each."""
    rows = InstitutionClosure.objects.filter(descendant__in=list(institution_ids))
    return dict(rows.order_by("descendant_id", "depth").values_list("descendant_id", "ancestor_id"))


def is_superior(institution_id: int, below_id: int) -> bool:
    """Does the first institution stand above the second? The topmost one stands above itself,

    because nobody stands above it; there another person of the same institution decides.
    """
    if institution_id == below_id:
        return not superiors([below_id])
    return InstitutionClosure.objects.filter(
        ancestor=institution_id, descendant=below_id, depth__gt=0
    ).exists()


def work_list(reviewer: Account) -> QuerySet[ReviewItem]:
    """Open items this person may decide, most urgent first."""
    below = InstitutionClosure.objects.filter(ancestor=reviewer.institution_id)
    if superiors([reviewer.institution_id]):
        below = below.filter(depth__gt=0)
    scope = reviewer.scope(REVIEW_RIGHT)
    rows = scope.limit(ReviewItem.objects.open(), "institution")
    return (
        rows.filter(institution__in=below.values("descendant"))
        .exclude(account=reviewer)
        .select_related("account", "institution", "campaign", "reviewing_institution")
        .order_by("due_on", "institution_id", "pk")
    )


# How far it is ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Progress:
    """How many accounts of a group stand where."""

    label: str
    institution_id: int | None
    counts: dict[State, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def decided(self) -> int:
        return self.counts[State.CONFIRMED] + self.counts[State.DISABLED]

    @property
    def percent(self) -> int:
        return self.decided * 100 // self.total if self.total else 100

    @property
    def late(self) -> int:
        return self.counts[State.OVERDUE] + self.counts[State.SUSPENDED]

    @property
    def heat(self) -> int:
        """0 all decided … 4 much of it late: the shade of the heat map."""
        if not self.total or self.decided == self.total:
            return 0
        if self.late:
            return 4 if self.late * 4 >= self.total else 3
        return 2 if self.percent < 50 else 1


def counts_by_state(items: QuerySet[ReviewItem], today: date) -> dict[State, int]:
    rows = items.filter(withdrawn=False).aggregate(**_state_counts(today))
    return {state: rows[state.value] for state in State}


def progress_by_institution(items: QuerySet[ReviewItem], today: date) -> list[Progress]:
    """One line for each institution whose accounts are asked about, worst first."""
    rows: Any = (
        items.filter(withdrawn=False)
        .order_by()
        .values("institution_id", "institution__short_name")
        .annotate(**_state_counts(today))
    )
    lines = [
        Progress(
            row["institution__short_name"],
            row["institution_id"],
            {state: row[state.value] for state in State},
        )
        for row in rows
    ]
    return sorted(lines, key=lambda line: (-line.heat, line.percent, line.label))


def _state_counts(today: date) -> dict[str, Count]:
    undecided = Q(decision="")
    running = undecided & Q(suspended_at=None)
    soon = today + review.NOTICE
    conditions = {
        State.NORMAL: running & Q(due_on__gt=soon),
        State.DUE: running & Q(due_on__gte=today, due_on__lte=soon),
        State.OVERDUE: running & Q(due_on__lt=today),
        State.CONFIRMED: Q(decision__in=KEPT),
        State.SUSPENDED: undecided & Q(suspended_at__isnull=False),
        State.DISABLED: Q(decision=Decision.DISABLE),
    }
    return {state.value: Count("pk", filter=condition) for state, condition in conditions.items()}


def history(account_id: int) -> QuerySet[ReviewEvent]:
    """Everything that happened in the reviews of one account, newest first."""
    return (
        ReviewEvent.objects.filter(item__account=account_id)
        .select_related("by", "item__campaign")
        .order_by("-occurred_at", "-pk")
    )


def with_findings(items: QuerySet[ReviewItem]) -> QuerySet[ReviewItem]:
    """Items whose account was odd when called up (例外)."""
    return items.exclude(snapshot__findings=[])


def reminders_today(at: datetime) -> list[tuple[review.Reminder, int, date, list[ReviewItem]]]:
    """(step, reviewing institution, due date, items) for which a reminder holds today."""
    today = clock.local_day(at)
    groups: dict[tuple[int, date], list[ReviewItem]] = defaultdict(list)
    rows = ReviewItem.objects.open().filter(suspended_at=None, due_on__lte=today + review.NOTICE)
    for item in rows.order_by("due_on", "pk"):
        groups[item.reviewing_institution_id, item.due_on].append(item)
    found = []
    for (institution_id, due), items in groups.items():
        step = review.reminder(due=due, today=today)
        if step is not None:
            found.append((step, institution_id, due, items))
    return found


def reviewers_at(institution_id: int, at: datetime) -> list[Account]:
    """Accounts at the institution, or at the next one above that has any, that may review."""
    above = (
        InstitutionClosure.objects.filter(descendant=institution_id)
        .order_by("depth")
        .values_list("ancestor_id", flat=True)
    )
    for ancestor in above:
        holders = (
            Account.objects.active(at)
            .filter(institution=ancestor, grants__role__rights__contains=[REVIEW_RIGHT])
            .distinct()
        )
        found = [account for account in holders if account.has_perm(REVIEW_RIGHT)]
        if found:
            return found
    return []


def differences(item: ReviewItem, now: dict[str, Any]) -> review.PowersDifference | None:
    """What the account won and lost since its last review; None when it never had one."""
    before = last_review(item.account_id, before=item.decided_at)
    if before is None:
        return None
    return review.compare(snapshots.powers(before.decided_snapshot or {}), snapshots.powers(now))
