"""What repeats: snapshots on a plan (固化计划) and results sent to people (订阅).

Both may be called at any time and any number of times: a slot that was carried out is not carried
out again, and a slot missed while the machine slept is made up once.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db import transaction
from django.urls import reverse

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.notices import services as notices
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.refusals import Refusal

from .. import queries
from ..models import Snapshot, SnapshotPlan, Subscription
from ..models.results import UseAct
from ..refusals import (
    AlreadyPlanned,
    AlreadyStopped,
    AlreadySubscribed,
    ReportNotPermitted,
    WrongPlan,
)
from ..rules.declarations import PeriodParameter, Report
from ..rules.periods import CURRENT, PREVIOUS, parse
from ..rules.recurrence import FREQUENCY_TITLES, Recurrence
from ..rules.values import show
from .running import prepare, require, run_and_keep
from .snapshots import freeze

logger = logging.getLogger("kangwei.reporting")

PLAN_RIGHT = "reporting.manage_plan"
OTHERS_RIGHT = "reporting.subscribe_others"
TEMPLATE = "reporting.subscription"
LONGEST = {"daily": 1, "weekly": 7, "monthly": 31, "quarterly": 92, "yearly": 366}


def check_moment(frequency: str, hour: int, day: int) -> Recurrence:
    """A plan that could never fall due is refused when it is made."""
    if frequency not in FREQUENCY_TITLES:
        known = "、".join(FREQUENCY_TITLES.values())
        raise WrongPlan(f"周期只能是{known}之一。", field="frequency")
    if not 0 <= hour <= 23:
        raise WrongPlan(f"时点应是 0 到 23 点，现在是 {hour}。", field="hour")
    if not 1 <= day <= LONGEST[frequency]:
        title = FREQUENCY_TITLES[frequency]
        raise WrongPlan(
            f"{title}的第几天应在 1 到 {LONGEST[frequency]} 之间，现在是 {day}。", field="day"
        )
    return Recurrence(frequency, hour, day)


def relative(report: Report, parameters: Mapping[str, str]) -> dict[str, str]:
    """A plan speaks of `previous` or `current` periods; one fixed month for ever helps nobody."""
    said = {key: value for key, value in parameters.items() if value}
    for parameter in report.parameters:
        if not isinstance(parameter, PeriodParameter):
            continue
        word = said.setdefault(parameter.key, parameter.default)
        if word.partition(":")[0] not in {CURRENT, PREVIOUS}:
            raise WrongPlan(
                f"“{parameter.title}”请选择“上一期”或“本期”，固定期间“{word[:30]}”不适合定期执行。",
                field=parameter.key,
            )
    return said


# ── Snapshots on a plan ───────────────────────────────────────────────────────────────────────


@transaction.atomic
def plan_snapshots(
    *,
    report: Report,
    name: str,
    parameters: Mapping[str, str],
    frequency: str,
    hour: int,
    day: int,
    by: Account,
    at: datetime,
) -> SnapshotPlan:
    """Freeze this report again and again, in the rights and scope of who plans it."""
    if not by.has_perm(PLAN_RIGHT):
        raise ReportNotPermitted("您的角色不能维护固化计划；如工作需要，请联系本单位管理员授权。")
    require(report.code, by)
    recurrence = check_moment(frequency, hour, day)
    said = relative(report, parameters)
    prepare(report=report, parameters=said, by=by, at=at)
    plan = SnapshotPlan.objects.create(
        report=report.code,
        name=(name.strip() or f"{report.title} {recurrence.label}")[:100],
        parameters=said,
        frequency=frequency,
        hour=hour,
        day=day,
        account=by,
        institution_id=by.institution_id,
        created_at=at,
        # The first slot is the next one: nothing before the plan was ever promised.
        last_slot=recurrence.latest_slot(at),
    )
    audit.record(
        act="reporting.plan.made",
        subject=plan,
        by=by,
        at=at,
        detail={"report": report.code, "when": recurrence.label},
    )
    return plan


@transaction.atomic
def start_offered_plan(*, report: Report, by: Account, at: datetime) -> SnapshotPlan:
    """Start the plan a report offers: the period before, at the moment it names."""
    when = report.freeze
    if when is None:
        raise WrongPlan(f"“{report.title}”没有推荐的固化计划，请自行填写周期。", field="report")
    if report not in queries.offered_plans(by):
        raise AlreadyPlanned(f"本机构已有“{report.title}”的固化计划；如需另一种周期，请自行建立。")
    before = {one.key: PREVIOUS for one in report.parameters if isinstance(one, PeriodParameter)}
    return plan_snapshots(
        report=report, name="", parameters=before, frequency=when.frequency, hour=when.hour,
        day=when.day, by=by, at=at,
    )  # fmt: skip


@transaction.atomic
def stop_plan(*, plan: SnapshotPlan, by: Account, at: datetime) -> SnapshotPlan:
    locked = SnapshotPlan.objects.select_for_update().get(pk=plan.pk)
    if not locked.active:
        raise AlreadyStopped(f"固化计划“{locked.name}”已经停用。")
    locked.active = False
    locked.save(update_fields=["active"])
    audit.record(act="reporting.plan.stopped", subject=locked, by=by, at=at)
    return locked


def carry_out_plans(*, at: datetime) -> tuple[int, int]:
    """Freeze what is due; answers (frozen, refused)."""
    return _carry_out(SnapshotPlan, _freeze_planned, at)


def _carry_out(
    kind: type[SnapshotPlan] | type[Subscription],
    act: Callable[[Any, datetime, datetime], object],
    at: datetime,
) -> tuple[int, int]:
    """Do whatever of a kind is due, each once per slot; one that fails does not stop the next."""
    done = refused = 0
    for wish in kind._default_manager.filter(active=True).select_related("account"):
        slot = wish.recurrence.latest_slot(at)
        if wish.last_slot is not None and slot <= wish.last_slot:
            continue
        error = ""
        try:
            act(wish, slot, at)
            done += 1
        except Refusal as refusal:
            refused += 1
            error = refusal.message[:300]
        except Exception:
            logger.exception("reporting.%s.failed", kind.__name__.lower())
            refused += 1
            error = "计算时出错，详情已写入系统日志，请联系管理员。"
        kind._default_manager.filter(pk=wish.pk).update(last_slot=slot, last_error=error)
    return done, refused


def _freeze_planned(plan: SnapshotPlan, slot: datetime, at: datetime) -> Snapshot | None:
    if Snapshot.objects.filter(plan=plan, slot=slot).exists():
        return None
    by = plan.account
    _require_usable(by, at)
    report = require(plan.report, by)
    with transaction.atomic():
        kept = run_and_keep(
            report=report,
            parameters=_on(report, plan.parameters, slot),
            by=by,
            at=at,
        )
        return freeze(report=report, kept=kept, by=by, at=at, plan=plan, slot=slot)


def _on(report: Report, parameters: Mapping[str, str], slot: datetime) -> dict[str, str]:
    """`previous` means the period before the slot, also when the slot is made up days later."""
    said = dict(parameters)
    for parameter in report.parameters:
        if isinstance(parameter, PeriodParameter) and parameter.key in said:
            day = clock.local_day(slot)
            period = parse(said[parameter.key], kinds=parameter.kinds, today=day)
            if period is not None:
                said[parameter.key] = period.text
    return said


def _require_usable(account: Account, at: datetime) -> None:
    if not account.is_usable(at):
        raise ReportNotPermitted(f"账号“{account}”已停用或过期，计划没有执行；请改由在用账号建立。")


# ── Subscriptions ─────────────────────────────────────────────────────────────────────────────


@transaction.atomic
def subscribe(
    *,
    report: Report,
    parameters: Mapping[str, str],
    frequency: str,
    hour: int,
    day: int,
    by: Account,
    at: datetime,
    account: Account | None = None,
) -> Subscription:
    """Send the report to oneself, or to somebody in scope who may see it."""
    receiver = account or by
    if receiver.pk != by.pk:
        if not by.has_perm(OTHERS_RIGHT):
            raise ReportNotPermitted("您的角色不能为他人订阅报表；可以只为自己订阅。")
        if not by.scope(OTHERS_RIGHT).includes(receiver.institution_id):
            raise ReportNotPermitted("接收人不在您的数据范围内；请重新选择。")
        if not receiver.has_perm(report.right):
            raise ReportNotPermitted(
                f"{receiver} 没有查看“{report.title}”的权限，收到链接也打不开；请先授权。"
            )
    require(report.code, by)
    recurrence = check_moment(frequency, hour, day)
    said = relative(report, parameters)
    prepare(report=report, parameters=said, by=receiver, at=at)
    same = Subscription.objects.filter(
        account=receiver, report=report.code, parameters=said, frequency=frequency, active=True
    )
    if same.exists():
        raise AlreadySubscribed(f"{receiver} 已按同样条件订阅“{report.title}”，不必重复订阅。")
    subscription = Subscription.objects.create(
        report=report.code,
        parameters=said,
        frequency=frequency,
        hour=hour,
        day=day,
        account=receiver,
        ordered_by=by,
        created_at=at,
        last_slot=recurrence.latest_slot(at),
    )
    audit.record(
        act="reporting.subscription.made",
        subject=subscription,
        by=by,
        at=at,
        detail={"report": report.code, "to": str(receiver), "when": recurrence.label},
    )
    return subscription


@transaction.atomic
def cancel_subscription(*, subscription: Subscription, by: Account, at: datetime) -> Subscription:
    locked = Subscription.objects.select_for_update().get(pk=subscription.pk)
    if not locked.active:
        raise AlreadyStopped("这项订阅已经取消。")
    locked.active = False
    locked.save(update_fields=["active"])
    audit.record(act="reporting.subscription.cancelled", subject=locked, by=by, at=at)
    return locked


def carry_out_subscriptions(*, at: datetime) -> tuple[int, int]:
    """Count and announce what is due; answers (sent, refused)."""
    return _carry_out(Subscription, _deliver, at)


def _deliver(subscription: Subscription, slot: datetime, at: datetime) -> None:
    """One result in the receiver's own scope, one notice with its link; both once per slot."""
    to = subscription.account
    _require_usable(to, at)
    report = require(subscription.report, to)
    key = f"reporting.subscription:{subscription.pk}:{slot.isoformat()}"
    with transaction.atomic():
        kept = run_and_keep(
            report=report,
            parameters=_on(report, subscription.parameters, slot),
            by=to,
            at=at,
            act=UseAct.DELIVER,
            result_id=uuid.uuid5(uuid.NAMESPACE_OID, f"{key}:{at.isoformat()}"),
        )
        heading = kept.result.heading
        path = reverse("reporting:report", args=[report.code])
        notices.notify(
            key=key,
            template=TEMPLATE,
            context={
                "report": report.title,
                "conditions": "，".join(words for _, words in heading.parameter_words) or "无",
                "rows": len(kept.result.rows),
                "cutoff": show("datetime", heading.cutoff),
            },
            to=[Target.account(to.pk)],
            at=at,
            institution_id=to.institution_id,
            link=f"{path}?{urlencode({**heading.parameters, 'result': str(kept.result_id)})}",
        )
