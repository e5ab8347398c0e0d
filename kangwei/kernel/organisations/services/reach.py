"""Reach (权限不超出本人): nobody hands on, or takes over, more than he holds himself."""

from __future__ import annotations

from datetime import datetime

from kangwei.kernel.organisations.models import Account, Grant, Role, Scope
from kangwei.kernel.organisations.models.access import Access, resolve
from kangwei.kernel.refusals import Refusal


class BeyondOwnAccess(Refusal):
    code = "organisations.beyond_own_access"
    title = "超出自己的权限范围"
    status = 403


def holds(own: Access, role: Role, scope: Scope) -> bool:
    """Does this access reach the role, for this scope: may its holder hand the role on?"""
    if role.duty:
        return False
    if role.assignable:
        return True
    if role.masking_level > own.masking_level:
        return False
    return all(own.scope(right).covers(scope) for right in role.rights)


def holds_all_of(by: Account, account: Account, at: datetime) -> bool:
    """May this person do all that the account may: every role of it, for its scope?"""
    own = Access.load(by, at)
    theirs = list(resolve(Grant.objects.filter(account=account), at))
    roles = {role.code: role for role in Role.objects.filter(grants__account=account)}
    return all(holds(own, roles[grant.role_code], grant.scope) for grant in theirs)
