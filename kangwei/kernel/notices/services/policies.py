"""Escalation policies (升级策略), saved as a whole: half a ladder helps nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.notices.models import (
    Channel,
    ChannelKind,
    DutyRoster,
    EscalationLevel,
    EscalationPolicy,
    EscalationTarget,
)
from kangwei.kernel.notices.models.channels import GROUP_KINDS
from kangwei.kernel.notices.refusals import BadPolicy
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.services.checking import checked
from kangwei.kernel.organisations.models import Account, Institution, Role


@dataclass(frozen=True)
class LevelSpec:
    """One level as somebody writes it down."""

    after_minutes: int
    targets: Sequence[Target]
    kinds: Sequence[str] = field(default=())


@transaction.atomic
def save_policy(
    *,
    policy: EscalationPolicy,
    levels: Sequence[LevelSpec],
    by: Account | None,
    at: datetime,
) -> EscalationPolicy:
    """Save a policy with all its levels as a new version; running escalations keep theirs."""
    _check(levels)
    fresh = policy.pk is None
    if not fresh:
        policy.version += 1
    checked(policy, BadPolicy)
    policy.save()
    policy.levels.all().delete()
    for number, spec in enumerate(levels, start=1):
        level = EscalationLevel.objects.create(
            policy=policy, number=number, after_minutes=spec.after_minutes, kinds=list(spec.kinds)
        )
        EscalationTarget.objects.bulk_create([_target(level, one) for one in spec.targets])
    audit.record(
        act="notices.policy.saved",
        subject=policy,
        by=by,
        at=at,
        detail={"version": policy.version, "levels": [_detail(spec) for spec in levels]},
    )
    return policy


def _detail(spec: LevelSpec) -> dict[str, Any]:
    return {
        "after_minutes": spec.after_minutes,
        "kinds": list(spec.kinds),
        "targets": [target.as_json() for target in spec.targets],
    }


def _check(levels: Sequence[LevelSpec]) -> None:
    if not 1 <= len(levels) <= 9:
        raise BadPolicy("升级策略应有 1 到 9 个级别，请增减级别后再保存。", field="levels")
    before = -1
    for number, spec in enumerate(levels, start=1):
        if spec.after_minutes <= before:
            raise BadPolicy(
                f"第 {number} 级的时间（{spec.after_minutes} 分钟）应晚于上一级（{before} 分钟）。",
                field="levels",
            )
        before = spec.after_minutes
        if not spec.targets:
            raise BadPolicy(f"第 {number} 级没有通知对象，请至少选择一个。", field="levels")
        if unknown := sorted(set(spec.kinds) - set(ChannelKind.values)):
            raise BadPolicy(f"第 {number} 级的渠道类型“{unknown[0]}”不存在。", field="levels")


def _target(level: EscalationLevel, target: Target) -> EscalationTarget:
    row = EscalationTarget(level=level, kind=target.kind)
    found: object = None
    match target.kind:
        case "account":
            found = row.account = Account.objects.filter(pk=target.account_id or 0).first()
        case "duty":
            found = row.roster = DutyRoster.objects.filter(code=target.roster).first()
        case "robot":
            groups = Channel.objects.filter(kind__in=GROUP_KINDS)
            found = row.channel = groups.filter(pk=target.channel_id or 0).first()
        case "role":
            found = row.role = Role.objects.filter(code=target.role).first()
            if target.institution_id is not None:
                row.institution = Institution.objects.filter(pk=target.institution_id).first()
                found = found and row.institution
    if found is None:
        raise BadPolicy(
            f"第 {level.number} 级的通知对象不存在（{target.as_json()}），请重新选择。",
            field="levels",
        )
    return row
