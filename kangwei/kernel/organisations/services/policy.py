"""Changing the figures of sign-in protection (登录安全策略)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations.models import Account, SecurityPolicy
from kangwei.kernel.refusals import Refusal


class PolicyUnfit(Refusal):
    code = "organisations.policy_unfit"
    title = "安全策略超出允许范围"
    status = 422


@transaction.atomic
def change_policy(*, figures: Mapping[str, int], by: Account, at: datetime) -> SecurityPolicy:
    """Change some figures; the floors of 等保三级 are constraints of the table."""
    policy = SecurityPolicy.objects.select_for_update().get(pk=1)
    before = {name: getattr(policy, name) for name in figures}
    for name, value in figures.items():
        setattr(policy, name, value)
    try:
        policy.full_clean()
    except ValidationError as error:
        raise PolicyUnfit("；".join(error.messages)) from None
    policy.save()
    changed = {
        name: [before[name], value] for name, value in figures.items() if before[name] != value
    }
    audit.record(act="organisations.policy.changed", subject=policy, by=by, at=at, detail=changed)
    return policy
