"""How an account stands at one moment (账号快照): who, what powers, how used, what is odd.

A snapshot is plain JSON, kept with the review item, so that a sheet printed years later says what
the reviewer saw. Two snapshots can be compared: what was won and lost between two reviews.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from django.db.models import Count, Max, Prefetch

from kangwei.kernel import clock
from kangwei.kernel.organisations.models import (
    Account,
    Grant,
    Institution,
    InstitutionClosure,
    Qualification,
    Scope,
    ScopeKind,
    SignInEvent,
    SignInKind,
    Staff,
)
from kangwei.kernel.organisations.models.access import resolve
from kangwei.kernel.oversight.rules import review
from kangwei.kernel.oversight.rules.review import Facts, Powers

Snapshot = dict[str, Any]

#: Rights that let an account raise its own or others' powers.
PRIVILEGES = frozenset(
    {
        "organisations.grant_any_role",
        "organisations.manage_role",
        "organisations.change_securitypolicy",
    }
)


def take(account: Account, *, at: datetime) -> Snapshot:
    return take_many([account.pk], at=at)[account.pk]


def take_many(account_ids: Iterable[int], *, at: datetime) -> dict[int, Snapshot]:
    """Snapshots of many accounts with a bounded number of queries each."""
    wanted = list(account_ids)
    today = clock.local_day(at)
    accounts = (
        Account.objects.filter(pk__in=wanted)
        .select_related("institution__region", "staff__department", "staff__institution")
        .prefetch_related(
            "staff__qualifications",
            Prefetch(
                "grants",
                Grant.objects.in_force(at)
                .select_related("role")
                .prefetch_related("institutions", "regions")
                .order_by("role__order", "pk"),
                to_attr="grants_in_force",
            ),
        )
    )
    last = last_sign_ins(wanted)
    shared = shared_phones(accounts)
    return {
        account.pk: _describe(
            account, last_at=last.get(account.pk), shares=account.pk in shared, at=at, today=today
        )
        for account in accounts
    }


def last_sign_ins(account_ids: Iterable[int]) -> dict[int, datetime]:
    """When each account last signed in; accounts that never did are absent."""
    rows = SignInEvent.objects.filter(account__in=list(account_ids), kind=SignInKind.SUCCESS)
    return dict(rows.values_list("account_id").annotate(last=Max("at")))


def shared_phones(accounts: Iterable[Account]) -> set[int]:
    """Accounts whose person's phone is also the phone of another person with an account."""
    digests = {
        account.staff.phone_digest: account.pk
        for account in accounts
        if account.staff and account.staff.phone_digest
    }
    crowded = set(
        Staff.objects.filter(phone_digest__in=digests, accounts__isnull=False)
        .values("phone_digest")
        .annotate(accounts_of_it=Count("accounts", distinct=True))
        .filter(accounts_of_it__gt=1)
        .values_list("phone_digest", flat=True)
    )
    return {
        account.pk
        for account in accounts
        if account.staff and account.staff.phone_digest in crowded
    }


def _describe(
    account: Account, *, last_at: datetime | None, shares: bool, at: datetime, today: date
) -> Snapshot:
    grants: list[Grant] = account.grants_in_force  # type: ignore[attr-defined]  # prefetched above
    resolved = list(resolve(Grant.objects.filter(account=account), at))
    rights = sorted(set().union(*(grant.rights for grant in resolved)))
    scope = Scope.union(grant.scope for grant in resolved)
    reach = scope.limit(Institution.objects.open_on(today), "pk").count()
    staff = account.staff
    qualifications = list(staff.qualifications.all()) if staff else []
    expired = expired_kinds(qualifications, today)
    left = staff is not None and (
        (staff.left_on is not None and staff.left_on <= today)
        or staff.institution_id != account.institution_id
    )
    facts = Facts(
        created_at=account.created_at,
        last_sign_in_at=last_at,
        has_staff=staff is not None,
        staff_left=left,
        expired_qualifications=expired,
        scope_within_subtree=all(within_subtree(grant, account) for grant in grants),
        shares_phone=shares,
        privileged=any(grant.duty for grant in resolved) or bool(PRIVILEGES & set(rights)),
    )
    return {
        "account": account.pk,
        "username": account.username,
        "name": account.name,
        "state": account.state,
        "institution": {
            "id": account.institution_id,
            "code": account.institution.code,
            "name": account.institution.name,
        },
        "staff": staff_words(staff, today) if staff else None,
        "qualifications": [
            {
                "kind": one.kind,
                "number": one.number,
                "valid_until": one.valid_until.isoformat() if one.valid_until else None,
                "expired": one.valid_until is not None and one.valid_until < today,
            }
            for one in qualifications
        ],
        "grants": [grant_words(grant) for grant in grants],
        "rights": rights,
        "reach": reach,
        "created_at": account.created_at.isoformat(),
        "last_sign_in_at": last_at.isoformat() if last_at else None,
        "findings": [finding.value for finding in review.findings(facts, at=at)],
        "taken_at": at.isoformat(),
    }


def expired_kinds(qualifications: Iterable[Qualification], today: date) -> list[str]:
    """Kinds of certificates of which the person holds none in force; a renewed one counts."""
    in_force: dict[str, bool] = {}
    for one in qualifications:
        holds = one.valid_until is None or one.valid_until >= today
        in_force[one.kind] = in_force.get(one.kind, False) or holds
    return sorted(kind for kind, holds in in_force.items() if not holds)


def staff_words(staff: Staff, today: date) -> dict[str, Any]:
    """The person behind the account; no phone and no identity number enter a snapshot."""
    return {
        "name": staff.name,
        "number": staff.number,
        "title": staff.title,
        "position": staff.position,
        "institution": staff.institution.name,
        "department": staff.department.name if staff.department else "",
        "left_on": staff.left_on.isoformat() if staff.left_on else None,
        "employed": staff.left_on is None or staff.left_on > today,
    }


def grant_words(grant: Grant) -> str:
    """A grant as a reviewer reads it: 县级管理员 · 本机构及下级（至 2026-12-31，临时授权）."""
    targets = [*grant.institutions.all(), *grant.regions.all()]
    reach = ScopeKind(grant.role.scope_kind).label
    if targets:
        reach += "：" + "、".join(sorted(str(target) for target in targets))
    notes = []
    if grant.valid_until:
        notes.append(f"至 {clock.local_day(grant.valid_until)}")
    if grant.lent_from_id:
        notes.append("临时授权")
    return f"{grant.role.name} · {reach}" + (f"（{'，'.join(notes)}）" if notes else "")


def within_subtree(grant: Grant, account: Account) -> bool:
    """Does the grant stay within the account's own institution and what lies below it?"""
    kind = ScopeKind(grant.role.scope_kind)
    if kind is ScopeKind.EVERYTHING:
        return False
    targets = [institution.pk for institution in grant.institutions.all()]
    below = InstitutionClosure.objects.filter(ancestor=account.institution_id)
    if targets and below.filter(descendant__in=targets).count() < len(set(targets)):
        return False
    own = account.institution.region.prefix
    return all(region.code.startswith(own) for region in grant.regions.all())


def powers(snapshot: Mapping[str, Any]) -> Powers:
    """What may be compared between two reviews."""
    return Powers(frozenset(snapshot["grants"]), frozenset(snapshot["rights"]))


def findings(snapshot: Mapping[str, Any]) -> list[review.Finding]:
    return [review.Finding(word) for word in snapshot.get("findings", [])]
