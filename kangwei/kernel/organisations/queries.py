"""The door through which others ask about organisations (机构人员)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar

from django.contrib.auth.models import Permission
from django.db import models
from django.db.models import Count, Max, OuterRef, Q, QuerySet, Subquery

from kangwei.kernel import clock
from kangwei.kernel.organisations.models import (
    Account,
    AccountSession,
    Grant,
    Institution,
    InstitutionClosure,
    InstitutionParent,
    Qualification,
    Region,
    Role,
    SecurityPolicy,
    SignInEvent,
    SignInKind,
)
from kangwei.kernel.organisations.models.access import Access, GrantInForce, resolve
from kangwei.kernel.organisations.services.sign_in import locked_until
from kangwei.kernel.refusals import NotFound

M = TypeVar("M", bound=models.Model)


def one(rows: models.QuerySet[M], pk: int | str) -> M:
    """The row, if it is among those the account may reach; else it looks as if there were none."""
    found = rows.filter(pk=pk).first()
    if found is None:
        name = rows.model._meta.verbose_name
        raise NotFound(f"没有找到这个{name}：它可能已被删除，或不在您的数据范围内。")
    return found


def access_of(account: Account, at: datetime) -> Access:
    """What an account may do at a moment."""
    return Access.load(account, at)


def grants_in_force(account: Account, at: datetime) -> list[GrantInForce]:
    """The grants that count at a moment, each with its rights and scope."""
    return list(resolve(Grant.objects.filter(account=account), at))


def holders(right: str, institution: Institution, at: datetime) -> QuerySet[Account]:
    """Usable accounts that may use a right on an institution: whom to tell or to ask."""
    carrying = Grant.objects.filter(role__rights__contains=[right])
    owners = dict(carrying.values_list("pk", "account_id"))
    reached = {
        owners[grant.grant_id]
        for grant in resolve(carrying, at)
        if grant.scope.includes(institution.pk)
    }
    return Account.objects.active(at).filter(pk__in=reached)


def parent_of(institution: Institution, on: date) -> Institution | None:
    """Who stood directly above on a day."""
    link = (
        InstitutionParent.objects.filter(
            Q(valid_to=None) | Q(valid_to__gt=on), institution=institution, valid_from__lte=on
        )
        .select_related("parent")
        .first()
    )
    return link.parent if link else None


def superiors(institution: Institution) -> QuerySet[Institution]:
    """Everybody above today, the nearest first."""
    return Institution.objects.filter(
        closure_below__descendant=institution, closure_below__depth__gt=0
    ).order_by("closure_below__depth")


def children_of(institution: Institution, on: date) -> QuerySet[Institution]:
    """Those directly below on a day."""
    links = InstitutionParent.objects.filter(
        Q(valid_to=None) | Q(valid_to__gt=on), parent=institution, valid_from__lte=on
    )
    return Institution.objects.filter(pk__in=links.values("institution"))


def subtree(institution: Institution) -> QuerySet[Institution]:
    """An institution and everybody below it today."""
    below = InstitutionClosure.objects.filter(ancestor=institution)
    return Institution.objects.filter(pk__in=below.values("descendant"))


def right_titles() -> dict[str, str]:
    """Chinese names of all rights, by `app.codename`."""
    rows = Permission.objects.values_list("content_type__app_label", "codename", "name")
    return {f"{app}.{codename}": name for app, codename, name in rows}


@dataclass(frozen=True)
class RightGroup:
    """The rights of one app, as the matrix of a role shows them."""

    app: str
    title: str
    rights: Sequence[tuple[str, str]]


def right_groups() -> list[RightGroup]:
    """All rights of our own apps, grouped by app, in Chinese."""
    from django.apps import apps

    titles = right_titles()
    groups = []
    for config in apps.get_app_configs():
        if not config.name.startswith("kangwei."):
            continue
        prefix = f"{config.label}."
        rights = sorted(
            ((right, title) for right, title in titles.items() if right.startswith(prefix)),
            key=lambda pair: (_verb_order(pair[0]), pair[1]),
        )
        if rights:
            groups.append(RightGroup(config.label, str(config.verbose_name), rights))
    return groups


def _verb_order(right: str) -> int:
    verb = right.partition(".")[2].partition("_")[0]
    order = ["view", "add", "change", "delete"]
    return order.index(verb) if verb in order else len(order)


def open_sessions(account: Account) -> QuerySet[AccountSession]:
    return AccountSession.objects.open().filter(account=account)


def with_last_sign_in(accounts: QuerySet[Account]) -> QuerySet[Account]:
    """Annotates `last_sign_in_at`: the moment of the last successful sign-in."""
    last = (
        SignInEvent.objects.filter(account=OuterRef("pk"), kind=SignInKind.SUCCESS)
        .order_by("-at")
        .values("at")[:1]
    )
    return accounts.annotate(last_sign_in_at=Subquery(last))


def locked_accounts(accounts: QuerySet[Account], at: datetime) -> QuerySet[Account]:
    """Accounts that wrong passwords have locked at this moment."""
    policy = SecurityPolicy.objects.get(pk=1)
    since = at - timedelta(minutes=policy.lock_minutes)
    names = (
        SignInEvent.objects.filter(
            kind__in=[SignInKind.LOCKED, SignInKind.UNLOCKED], at__gt=since, at__lte=at
        )
        .values("username")
        .annotate(
            locked=Max("pk", filter=Q(kind=SignInKind.LOCKED)),
            unlocked=Max("pk", filter=Q(kind=SignInKind.UNLOCKED)),
        )
    )
    held = [
        row["username"]
        for row in names
        if row["locked"] and (row["unlocked"] is None or row["unlocked"] < row["locked"])
    ]
    return accounts.filter(username__in=held)


def lock_of(account: Account, at: datetime) -> datetime | None:
    """Until when the account is locked by failed sign-ins; None if it is not."""
    return locked_until(account.username, at)


def expiring_grants(
    accounts: QuerySet[Account], at: datetime, *, days: int = 14
) -> QuerySet[Grant]:
    """Grants in force that end within so many days."""
    return (
        Grant.objects.in_force(at)
        .filter(account__in=accounts.values("pk"), valid_until__lte=at + timedelta(days=days))
        .select_related("account", "role")
        .order_by("valid_until")
    )


def expiring_qualifications(
    rows: QuerySet[Qualification], at: datetime, *, days: int = 60
) -> QuerySet[Qualification]:
    """Certificates of people in office that end within so many days, or have ended."""
    limit = clock.local_day(at) + timedelta(days=days)
    return (
        rows.filter(valid_until__lte=limit, staff__left_on=None)
        .select_related("staff__institution")
        .order_by("valid_until")
    )


def region_path(region: Region) -> list[Region]:
    """The region and those above it, the province first."""
    path = [region]
    while path[0].parent is not None:
        path.insert(0, path[0].parent)
    return path


def count_by_region(
    institutions: QuerySet[Institution], regions: Iterable[Region]
) -> dict[str, int]:
    """How many open institutions stand inside each region, by the digits of its code."""
    codes = institutions.filter(closed_on=None).values("region_id").annotate(n=Count("pk"))
    counted = {row["region_id"]: row["n"] for row in codes}
    return {
        region.code: sum(n for code, n in counted.items() if code.startswith(region.prefix))
        for region in regions
    }


def role_holders(role: Role, at: datetime) -> int:
    return Grant.objects.in_force(at).filter(role=role).values("account").distinct().count()


def roles_to_offer(by: Account) -> list[Role]:
    """The roles somebody may give at all; for whom and for which scope the service decides."""
    roles = list(Role.objects.filter(active=True))
    if by.has_perm("organisations.grant_any_role"):
        return roles
    return [
        role
        for role in roles
        if not role.duty
        and (
            role.assignable
            or (role.masking_level <= by.masking_level and all(map(by.has_perm, role.rights)))
        )
    ]
