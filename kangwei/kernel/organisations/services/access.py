"""Acts on roles, grants and loans (角色、授权、临时授权).

Three rules hold whoever acts: nobody changes his own grants, nobody gives what he does not hold
or beyond where he holds it, and one person holds at most one of the three administrators' duties.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations import builtin
from kangwei.kernel.organisations.models import (
    Account,
    AccountState,
    Duty,
    Grant,
    Institution,
    Region,
    Role,
    Scope,
    ScopeKind,
)
from kangwei.kernel.organisations.models.access import Access, MaskingLevel, resolve, scope_of
from kangwei.kernel.organisations.services.accounts import AccountNotActive
from kangwei.kernel.organisations.services.reach import BeyondOwnAccess, holds
from kangwei.kernel.refusals import Refusal


class RoleUnfit(Refusal):
    code = "organisations.role_unfit"
    title = "角色设置有误"
    status = 422


class RoleIsBuiltIn(Refusal):
    code = "organisations.role_is_built_in"
    title = "内置角色不能修改"


class RoleInUse(Refusal):
    code = "organisations.role_in_use"
    title = "角色仍在使用"


class OwnGrant(Refusal):
    code = "organisations.own_grant"
    title = "不能处理自己的授权"
    status = 403


class DutiesConflict(Refusal):
    code = "organisations.duties_conflict"
    title = "三员职责冲突"


class GrantUnfit(Refusal):
    code = "organisations.grant_unfit"
    title = "授权信息有误"
    status = 422


class GrantExists(Refusal):
    code = "organisations.grant_exists"
    title = "已有相同授权"


class GrantNotInForce(Refusal):
    code = "organisations.grant_not_in_force"
    title = "授权未生效或已失效"


class LoanNotLendable(Refusal):
    code = "organisations.loan_not_lendable"
    title = "该授权不能借出"


#: What makes others powerful stays with the built-in duties, so that no self-made role undermines
#: the separation of the three administrators.
GUARDED_RIGHTS = frozenset(
    {
        "organisations.manage_role",
        "organisations.grant_any_role",
        "organisations.change_securitypolicy",
    }
)
ROLE_CODE = re.compile(r"^[a-z][a-z0-9_]{1,39}$")


# Roles (角色)


@transaction.atomic
def create_role(
    *,
    code: str,
    name: str,
    rights: Iterable[str],
    scope_kind: str,
    masking_level: int,
    by: Account | None,
    at: datetime,
    description: str = "",
    second_factor_required: bool = False,
    session_limit: int | None = None,
    assignable: bool = False,
) -> Role:
    if not ROLE_CODE.match(code):
        raise RoleUnfit("角色代码由小写字母、数字、下划线组成，以字母开头。", field="code")
    if Role.objects.filter(code=code).exists():
        raise RoleUnfit(f"角色代码 {code} 已存在。", field="code")
    role = Role(code=code)
    _fill(
        role, name, description, rights, scope_kind, masking_level, second_factor_required,
        session_limit, assignable,
    )  # fmt: skip
    role.save(force_insert=True)
    audit.record(act="organisations.role.created", subject=role, by=by, at=at)
    return role


@transaction.atomic
def change_role(
    *,
    role: Role,
    name: str,
    rights: Iterable[str],
    scope_kind: str,
    masking_level: int,
    by: Account | None,
    at: datetime,
    description: str = "",
    second_factor_required: bool = False,
    session_limit: int | None = None,
    assignable: bool = False,
) -> Role:
    """Change a role of the site's own. It takes effect at the next request of its holders."""
    role = Role.objects.select_for_update().get(pk=role.pk)
    _not_built_in(role)
    if by is not None and Grant.objects.in_force(at).filter(account=by, role=role).exists():
        raise OwnGrant(f"您自己持有角色“{role}”，请由另一位安全管理员修改。")
    before = set(role.rights)
    _fill(
        role, name, description, rights, scope_kind, masking_level, second_factor_required,
        session_limit, assignable,
    )  # fmt: skip
    role.save()
    detail = {
        "added": sorted(set(role.rights) - before),
        "removed": sorted(before - set(role.rights)),
    }
    audit.record(act="organisations.role.changed", subject=role, by=by, at=at, detail=detail)
    return role


def _fill(
    role: Role,
    name: str,
    description: str,
    rights: Iterable[str],
    scope_kind: str,
    masking_level: int,
    second_factor_required: bool,
    session_limit: int | None,
    assignable: bool,
) -> None:
    name = name.strip()
    wanted = sorted(set(rights))
    if not name:
        raise RoleUnfit("角色名称不能为空。", field="name")
    if Role.objects.filter(name=name).exclude(pk=role.pk).exists():
        raise RoleUnfit(f"角色名称“{name}”已存在。", field="name")
    if not wanted:
        raise RoleUnfit("请至少选择一项功能权限。", field="rights")
    unknown = sorted(set(wanted) - builtin.all_rights())
    if unknown:
        raise RoleUnfit(f"没有功能权限 {unknown[0][:80]}。", field="rights")
    if guarded := GUARDED_RIGHTS & set(wanted):
        raise RoleUnfit(
            f"{sorted(guarded)[0]} 只能由内置的安全管理员持有，不能放入自定义角色。", field="rights"
        )
    if scope_kind not in ScopeKind.values:
        raise RoleUnfit("请选择数据范围。", field="scope_kind")
    if masking_level not in MaskingLevel.values:
        raise RoleUnfit("脱敏级别只能是 0、1、2。", field="masking_level")
    if session_limit is not None and not 1 <= session_limit <= 20:
        raise RoleUnfit("同时登录数上限应在 1 到 20 之间。", field="session_limit")
    role.name, role.description = name, description.strip()
    role.rights, role.scope_kind, role.masking_level = wanted, scope_kind, masking_level
    role.second_factor_required = second_factor_required
    role.session_limit, role.assignable = session_limit, assignable


def _not_built_in(role: Role) -> None:
    if role.built_in:
        raise RoleIsBuiltIn(f"“{role}”是内置角色，不能修改；可以复制为新角色后再调整。")


@transaction.atomic
def retire_role(*, role: Role, by: Account | None, at: datetime) -> Role:
    """Take a role out of use; refused while somebody holds it."""
    _not_built_in(role)
    holders = Grant.objects.in_force(at).filter(role=role).count()
    if holders:
        raise RoleInUse(f"还有 {holders} 项授权使用角色“{role}”，请先收回。")
    role.active = False
    role.save(update_fields=["active"])
    audit.record(act="organisations.role.retired", subject=role, by=by, at=at)
    return role


# Grants (授权)


@transaction.atomic
def grant_role(
    *,
    account: Account,
    role: Role,
    by: Account | None,
    at: datetime,
    institutions: Iterable[Institution] = (),
    regions: Iterable[Region] = (),
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    reason: str = "",
) -> Grant:
    """Give a role to an account, for the targets its kind of scope asks for.

    `by` is nobody only when the system itself sets a site up.
    """
    places, areas = list(institutions), list(regions)
    starts = valid_from or at
    account = Account.objects.select_for_update().get(pk=account.pk)
    if account.state != AccountState.ACTIVE:
        raise AccountNotActive(f"账号 {account.username} 已停用，不能授权。")
    if not role.active:
        raise GrantUnfit(f"角色“{role}”已停用。", field="role")
    _check_targets(role, places, areas)
    if valid_until is not None and valid_until <= max(starts, at):
        raise GrantUnfit("失效时间应晚于现在和生效时间。", field="valid_until")
    scope = scope_of(
        role.scope_kind, account.institution_id, [p.pk for p in places], [a.pk for a in areas]
    )
    if by is not None:
        _may_grant(by, account, role, scope, at)
    _check_duties(account, role, at)
    _check_twin(account, role, scope, at)
    grant = Grant.objects.create(
        account=account,
        role=role,
        valid_from=starts,
        valid_until=valid_until,
        granted_by=by,
        granted_at=at,
        reason=reason.strip(),
    )
    grant.institutions.set(places)
    grant.regions.set(areas)
    audit.record(
        act="organisations.grant.given",
        subject=account, by=by, at=at, reason=reason,
        detail={
            "role": role.code,
            "institutions": [place.code for place in places],
            "regions": [area.code for area in areas],
            "until": valid_until,
        },
    )  # fmt: skip
    account.forget_access()
    return grant


def _check_targets(
    role: Role, institutions: Sequence[Institution], regions: Sequence[Region]
) -> None:
    kind = ScopeKind(role.scope_kind)
    if kind == ScopeKind.REGIONS and not regions:
        raise GrantUnfit(f"角色“{role}”需要指定区划。", field="regions")
    if kind == ScopeKind.LISTED and not institutions:
        raise GrantUnfit(f"角色“{role}”需要指定机构。", field="institutions")
    if regions and kind != ScopeKind.REGIONS:
        raise GrantUnfit(f"角色“{role}”的数据范围是“{kind.label}”，不能指定区划。", field="regions")
    if institutions and kind in {ScopeKind.REGIONS, ScopeKind.EVERYTHING}:
        raise GrantUnfit(
            f"角色“{role}”的数据范围是“{kind.label}”，不能指定机构。", field="institutions"
        )


def _may_grant(by: Account, account: Account, role: Role, scope: Scope, at: datetime) -> None:
    if by.pk == account.pk:
        raise OwnGrant("不能给自己授权，请由另一位管理员办理。")
    own = Access.load(by, at)
    for right in ("organisations.grant_any_role", "organisations.grant_role"):
        reach = own.scope(right)
        if not (reach.includes(account.institution_id) and reach.covers(scope)):
            continue
        if right == "organisations.grant_any_role" or holds(own, role, scope):
            return
    if not own.scope("organisations.grant_role").includes(account.institution_id) and not own.scope(
        "organisations.grant_any_role"
    ).includes(account.institution_id):
        raise BeyondOwnAccess(
            f"账号 {account.username} 不在您可授权的机构范围内。", field="account"
        )
    raise BeyondOwnAccess(
        f"角色“{role}”的权限或范围超出您自己拥有的，不能授予；请联系安全管理员。", field="role"
    )


def _check_duties(account: Account, role: Role, at: datetime) -> None:
    """三员分立: the system, the security and the audit administrator are three people."""
    if not role.duty:
        return
    held = (
        Grant.objects.filter(account=account, revoked_at=None)
        .exclude(role__duty__in=["", role.duty])
        .exclude(valid_until__lte=at)
        .select_related("role")
    )
    if other := held.first():
        raise DutiesConflict(
            f"账号 {account.username} 已是{other.role}，不能兼任{role}（三员分立）。", field="role"
        )


def _check_twin(account: Account, role: Role, scope: Scope, at: datetime) -> None:
    for grant in resolve(Grant.objects.filter(account=account, role=role, lent_from=None), at):
        if grant.scope == scope:
            raise GrantExists(f"账号 {account.username} 已有相同范围的“{role}”，无需重复授权。")


@transaction.atomic
def revoke_grant(*, grant: Grant, by: Account | None, at: datetime, reason: str) -> Grant:
    """Take a grant back; what was lent from it ends with it. A loan may be ended by its lender."""
    grant = (
        Grant.objects.select_for_update(of=("self",))
        .select_related("account", "role")
        .get(pk=grant.pk)
    )
    if grant.revoked_at is not None:
        raise GrantNotInForce("该授权已经收回，无需重复操作。")
    if by is not None:
        _may_revoke(by, grant, at)
    if not reason.strip():
        raise GrantUnfit("请填写收回原因。", field="reason")
    grant.revoked_at, grant.revoked_by, grant.revoke_reason = at, by, reason.strip()[:200]
    grant.save(update_fields=["revoked_at", "revoked_by", "revoke_reason"])
    audit.record(
        act="organisations.grant.revoked",
        subject=grant.account, by=by, at=at, reason=reason, detail={"role": grant.role.code},
    )  # fmt: skip
    return grant


def _may_revoke(by: Account, grant: Grant, at: datetime) -> None:
    if grant.lent_from_id is not None and by.pk in {grant.granted_by_id, grant.account_id}:
        return  # the lender takes it back, or the borrower returns it
    if by.pk == grant.account_id:
        raise OwnGrant("不能收回自己的授权，请由另一位管理员办理。")
    own = Access.load(by, at)
    if own.scope("organisations.grant_any_role").includes(grant.account.institution_id):
        return
    if grant.role.duty or not own.scope("organisations.grant_role").includes(
        grant.account.institution_id
    ):
        raise BeyondOwnAccess(f"账号 {grant.account.username} 的这项授权不在您的管理范围内。")


# Loans (临时授权)


@transaction.atomic
def delegate_role(
    *,
    grant: Grant,
    to: Account,
    by: Account,
    at: datetime,
    until: datetime,
    reason: str,
    institutions: Iterable[Institution] = (),
    regions: Iterable[Region] = (),
) -> Grant:
    """Lend one's own grant, whole or for some of its targets, until an end date.

    It ends by itself, with the lender's own grant at the latest, and cannot be lent on.
    """
    places, areas = list(institutions), list(regions)
    grant = Grant.objects.select_related("role", "account").get(pk=grant.pk)
    role = grant.role
    if grant.account_id != by.pk:
        raise OwnGrant("只能借出自己的授权。")
    if grant.lent_from_id is not None:
        raise LoanNotLendable("这项授权是他人借给您的，不能再次借出。")
    if role.duty != Duty.NONE:
        raise LoanNotLendable(f"“{role}”属于三员职责，不能临时借出；请由安全管理员另行授权。")
    mine = next(resolve(Grant.objects.filter(pk=grant.pk), at), None)
    if mine is None:
        raise GrantNotInForce("该授权未生效或已失效，不能借出。")
    if to.pk == by.pk:
        raise LoanNotLendable("不能借给自己。", field="to")
    if not to.is_usable(at):
        raise AccountNotActive(f"账号 {to.username} 已停用或过期，不能接受临时授权。", field="to")
    if until <= at:
        raise GrantUnfit("失效时间应晚于现在。", field="until")
    if grant.valid_until is not None and until > grant.valid_until:
        raise GrantUnfit("失效时间不能晚于您自己授权的失效时间。", field="until")
    if not reason.strip():
        raise GrantUnfit("请填写临时授权的原因。", field="reason")
    if not places and not areas:
        # The scope is the lender's, so it is written out: "own institution" must stay his.
        places = list(Institution.objects.filter(pk__in=mine.scope.listed | mine.scope.roots))
        areas = list(grant.regions.all())
    else:
        _check_targets(role, places, areas)
    wanted = scope_of(
        role.scope_kind, by.institution_id, [p.pk for p in places], [a.pk for a in areas]
    )
    if not mine.scope.covers(wanted):
        raise BeyondOwnAccess("借出的范围超出您自己的数据范围。", field="institutions")
    loan = Grant.objects.create(
        account=to,
        role=role,
        valid_from=at,
        valid_until=until,
        granted_by=by,
        granted_at=at,
        reason=reason.strip(),
        lent_from=grant,
    )
    loan.institutions.set(places)
    loan.regions.set(areas)
    audit.record(
        act="organisations.grant.lent",
        subject=to, by=by, at=at, reason=reason, detail={"role": role.code, "until": until},
    )  # fmt: skip
    to.forget_access()
    return loan
