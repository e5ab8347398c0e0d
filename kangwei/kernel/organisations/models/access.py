"""Roles, grants and delegations (角色、授权、临时授权): who may do what, for whom, until when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, OuterRef, Q

from kangwei.kernel import clock
from kangwei.kernel.organisations.models.accounts import Account, AccountState
from kangwei.kernel.organisations.models.institutions import Institution
from kangwei.kernel.organisations.models.regions import Region
from kangwei.kernel.organisations.models.scope import Scope, ScopedQuerySet


class ScopeKind(models.TextChoices):
    """How far a role reaches."""

    OWN = "own", "本机构"
    SUBTREE = "subtree", "本机构及下级"
    REGIONS = "regions", "指定区划"
    LISTED = "listed", "指定机构"
    EVERYTHING = "everything", "全部"


class MaskingLevel(models.IntegerChoices):
    HIDDEN = 0, "全部隐藏"
    PARTLY = 1, "部分显示"
    FULL = 2, "完整显示"


class Duty(models.TextChoices):
    """等保三级 separates three administrators (三员分立): one person holds at most one."""

    NONE = "", "无"
    SYSTEM = "system", "系统管理"
    SECURITY = "security", "安全管理"
    AUDIT = "audit", "审计管理"


class RoleQuerySet(models.QuerySet["Role"]):
    def visible_to(self, user: Any) -> Self:
        """Roles are shared words: whoever may see roles sees all of them."""
        allowed = user.is_authenticated and user.has_perm("organisations.view_role")
        return self.all() if allowed else self.none()


class Role(models.Model):
    """Function rights, a kind of data scope and a masking level under one name."""

    code = models.CharField("角色代码", max_length=40, unique=True)
    name = models.CharField("角色名称", max_length=40, unique=True)
    description = models.CharField("说明", max_length=200, blank=True)
    rights = ArrayField(models.CharField(max_length=140), verbose_name="功能权限", default=list)
    scope_kind = models.CharField("数据范围", max_length=10, choices=ScopeKind.choices)
    masking_level = models.PositiveSmallIntegerField(
        "脱敏级别", choices=MaskingLevel.choices, default=MaskingLevel.PARTLY
    )
    second_factor_required = models.BooleanField("必须使用第二因素", default=False)
    session_limit = models.PositiveSmallIntegerField("同时登录数上限", null=True, blank=True)
    duty = models.CharField(
        "三员职责", max_length=10, choices=Duty.choices, blank=True, default=Duty.NONE
    )
    built_in = models.BooleanField("内置角色", default=False)
    #: Administrators of lower levels may give it inside their scope without holding its rights.
    assignable = models.BooleanField("可由各级管理员授予", default=False)
    active = models.BooleanField("启用", default=True)
    order = models.PositiveSmallIntegerField("排序", default=100)

    objects = RoleQuerySet.as_manager()

    class Meta:
        verbose_name = "角色"
        verbose_name_plural = "角色"
        default_permissions = ("view",)
        ordering = ("order", "code")
        permissions = [("manage_role", "维护角色")]
        indexes = [GinIndex(fields=("rights",), name="organisations_role_rights")]
        constraints = [
            models.CheckConstraint(
                name="organisations_role_masking_level",
                condition=Q(masking_level__in=[0, 1, 2]),
                violation_error_message="脱敏级别只能是 0、1、2。",
            ),
            models.CheckConstraint(
                name="organisations_role_session_limit",
                condition=Q(session_limit=None) | Q(session_limit__range=(1, 20)),
                violation_error_message="同时登录数上限应在 1 到 20 之间。",
            ),
            models.CheckConstraint(
                name="organisations_duty_wants_second_factor",
                condition=Q(duty="") | Q(second_factor_required=True),
                violation_error_message="三员角色必须使用第二因素。",
            ),
        ]

    def __str__(self) -> str:
        return self.name


def _in_force(at: datetime, prefix: str = "") -> Q:
    return Q(**{f"{prefix}revoked_at": None, f"{prefix}valid_from__lte": at}) & (
        Q(**{f"{prefix}valid_until": None}) | Q(**{f"{prefix}valid_until__gt": at})
    )


class GrantQuerySet(ScopedQuerySet["Grant"]):
    view_right = "organisations.view_grant"
    scope_path = "account__institution"

    def in_force(self, at: datetime) -> Self:
        """Grants that count at this moment. A loan ends with the grant it was lent from."""
        still = Q(lent_from__account__valid_until=None) | Q(
            lent_from__account__valid_until__gt=clock.local_day(at)
        )
        lender = (
            _in_force(at, "lent_from__") & Q(lent_from__account__state=AccountState.ACTIVE) & still
        )
        return self.filter(_in_force(at) & (Q(lent_from=None) | lender), role__active=True)


class Grant(models.Model):
    """A role given to an account, with targets and dates; a loan when `lent_from` is set."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="grants", verbose_name="账号")
    role = models.ForeignKey(Role, models.PROTECT, related_name="grants", verbose_name="角色")
    institutions = models.ManyToManyField(
        Institution, blank=True, related_name="+", verbose_name="指定机构"
    )
    regions = models.ManyToManyField(Region, blank=True, related_name="+", verbose_name="指定区划")
    valid_from = models.DateTimeField("生效时间")
    valid_until = models.DateTimeField("失效时间", null=True, blank=True)
    granted_by = models.ForeignKey(
        Account, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="授权人"
    )
    granted_at = models.DateTimeField("授权时间")
    reason = models.CharField("授权原因", max_length=200, blank=True)
    lent_from = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="loans", verbose_name="借出授权"
    )
    revoked_at = models.DateTimeField("收回时间", null=True, blank=True)
    revoked_by = models.ForeignKey(
        Account, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="收回人"
    )
    revoke_reason = models.CharField("收回原因", max_length=200, blank=True)

    objects = GrantQuerySet.as_manager()

    class Meta:
        verbose_name = "授权"
        verbose_name_plural = "授权"
        default_permissions = ("view",)
        ordering = ("account", "valid_from", "pk")
        permissions = [
            ("grant_role", "授予和收回自己拥有的角色权限"),
            ("grant_any_role", "授予和收回任何角色"),
            ("delegate_role", "将自己的授权临时借给他人"),
        ]
        constraints = [
            models.CheckConstraint(
                name="organisations_grant_dates",
                condition=Q(valid_until=None) | Q(valid_until__gt=F("valid_from")),
                violation_error_message="失效时间应晚于生效时间。",
            ),
            models.CheckConstraint(
                name="organisations_nobody_grants_to_himself",
                condition=Q(granted_by=None) | ~Q(granted_by=F("account")),
                violation_error_message="不能给自己授权。",
            ),
            models.CheckConstraint(
                name="organisations_loan_has_end_and_lender",
                condition=Q(lent_from=None)
                | Q(valid_until__isnull=False, granted_by__isnull=False),
                violation_error_message="临时授权必须有失效时间。",
            ),
            models.CheckConstraint(
                name="organisations_revocation_is_whole",
                condition=Q(revoked_at=None, revoke_reason="") | Q(revoked_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account} · {self.role}"


@dataclass(frozen=True)
class GrantInForce:
    """One grant, resolved: its rights and the institutions they reach."""

    grant_id: int
    role_code: str
    role_name: str
    rights: frozenset[str]
    scope: Scope
    masking_level: int
    second_factor_required: bool
    session_limit: int | None
    duty: str


@dataclass(frozen=True)
class Access:
    """All that an account may do at one moment: the union of its grants in force."""

    grants: tuple[GrantInForce, ...]

    @classmethod
    def load(cls, account: Account, at: datetime) -> Access:
        return cls(tuple(resolve(Grant.objects.filter(account=account), at)))

    @property
    def rights(self) -> frozenset[str]:
        cached: frozenset[str] | None = self.__dict__.get("_rights")
        if cached is None:
            cached = frozenset().union(*(grant.rights for grant in self.grants))
            self.__dict__["_rights"] = cached
        return cached

    def held_to(self, rights: frozenset[str]) -> Access:
        """The same grants, with no more than these rights: what a key may do for its account."""
        return Access(tuple(replace(grant, rights=grant.rights & rights) for grant in self.grants))

    def scope(self, right: str) -> Scope:
        """The union over the grants that carry the right; kept, so `includes` asks once."""
        kept: dict[str, Scope] = self.__dict__.setdefault("_scopes", {})
        if right not in kept:
            kept[right] = Scope.union(g.scope for g in self.grants if right in g.rights)
        return kept[right]

    @property
    def masking_level(self) -> int:
        return max((grant.masking_level for grant in self.grants), default=0)

    def masking_level_at(self, institution_id: int | None) -> int:
        """The widest of the grants that reach this institution: to see the phones of one's own
        clinic in full is not to see the county's so."""
        if institution_id is None or len({grant.masking_level for grant in self.grants}) < 2:
            return self.masking_level
        widest_first = sorted(self.grants, key=lambda grant: -grant.masking_level)
        return next(
            (one.masking_level for one in widest_first if one.scope.includes(institution_id)), 0
        )

    @property
    def second_factor_required(self) -> bool:
        return any(grant.second_factor_required for grant in self.grants)

    @property
    def session_limit(self) -> int | None:
        """The strictest of the roles counts."""
        limits = [g.session_limit for g in self.grants if g.session_limit is not None]
        return min(limits, default=None)

    @property
    def duties(self) -> frozenset[str]:
        return frozenset(grant.duty for grant in self.grants if grant.duty)


def resolve(grants: models.QuerySet[Grant], at: datetime) -> Iterator[GrantInForce]:
    """One query: the grants in force with their roles and targets."""
    institutions = Grant.institutions.through.objects.filter(grant_id=OuterRef("pk"))
    regions = Grant.regions.through.objects.filter(grant_id=OuterRef("pk"))
    rows = (
        GrantQuerySet(Grant)
        .filter(pk__in=grants.values("pk"))
        .in_force(at)
        .order_by("pk")
        .values_list(
            "pk",
            "account__institution_id",
            "role__code",
            "role__name",
            "role__rights",
            "role__scope_kind",
            "role__masking_level",
            "role__second_factor_required",
            "role__session_limit",
            "role__duty",
            ArraySubquery(institutions.values("institution_id")),
            ArraySubquery(regions.values("region_id")),
        )
    )
    for pk, home, code, name, rights, kind, masking, factor, limit, duty, targets, codes in rows:
        yield GrantInForce(
            grant_id=pk,
            role_code=code,
            role_name=name,
            rights=frozenset(rights),
            scope=scope_of(kind, home, targets, codes),
            masking_level=masking,
            second_factor_required=factor,
            session_limit=limit,
            duty=duty,
        )


def scope_of(kind: str, home: int, institutions: list[int], regions: list[str]) -> Scope:
    """What a kind of scope reaches from a home institution and the grant's targets."""
    match ScopeKind(kind):
        case ScopeKind.OWN:
            return Scope(listed=frozenset(institutions or [home]))
        case ScopeKind.SUBTREE:
            return Scope(roots=frozenset(institutions or [home]))
        case ScopeKind.LISTED:
            return Scope(listed=frozenset(institutions))
        case ScopeKind.REGIONS:
            return Scope(regions=frozenset(_prefix(code) for code in regions))
        case ScopeKind.EVERYTHING:
            return Scope(everything=True)


def _prefix(code: str) -> str:
    """The significant digits of a region code, by the places where levels end."""
    for digits in (2, 4, 6, 9):
        if code[digits:] == "0" * (12 - digits):
            return code[:digits]
    return code
