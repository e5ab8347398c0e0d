"""Escalation (升级): telling one level after the other until somebody takes the matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import models, transaction
from django.db.models import Q

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.notices import queries
from kangwei.kernel.notices.models import (
    ChannelKind,
    Delivery,
    DeliveryState,
    Escalation,
    EscalationEvent,
    EscalationPolicy,
    Notice,
    Priority,
    Why,
)
from kangwei.kernel.notices.models.ledger import OPEN_STATES
from kangwei.kernel.notices.refusals import (
    AlreadyAcknowledged,
    EscalationEnded,
    PolicyUnusable,
    ReasonMissing,
    UnknownPolicy,
)
from kangwei.kernel.notices.rules import escalation as rule
from kangwei.kernel.notices.services.notifying import notify
from kangwei.kernel.notices.services.waking import wake
from kangwei.kernel.organisations.models import Account

STEP_TITLES = {
    rule.Kind.TOLD: "升级通知",
    rule.Kind.REPEATED: "重复提醒",
    rule.Kind.LAPSED: "认领已到期，请继续处理",
}


@transaction.atomic
def start_escalation(
    *,
    policy: str | EscalationPolicy,
    subject: models.Model,
    at: datetime,
    context: Mapping[str, Any],
    template: str = "notices.escalation",
    link: str = "",
    institution_id: int | None = None,
    label: str = "",
) -> Escalation:
    """Begin to climb the policy's ladder for an object. One runs per policy and object: starting
    it again answers the running one. The level due at once is told in the same transaction.
    `label` is what people are told has happened, where the object's own name does not say it."""
    found = _policy(policy)
    queries.template(template)
    ladder = {
        "repeat_every": found.repeat_every,
        "acknowledged_for": found.acknowledged_for,
        "tell_end": found.tell_end,
        "levels": [
            {
                "after_minutes": level.after_minutes,
                "title": str(level),
                "targets": [row.target(level.kinds).as_json() for row in level.targets.all()],
            }
            for level in found.levels.prefetch_related(
                "targets__roster", "targets__role", "targets__institution"
            )
        ],
    }
    if not ladder["levels"]:
        raise PolicyUnusable(f"升级策略“{found.name}”还没有设置级别，请先补充。")
    place = (
        institution_id if institution_id is not None else getattr(subject, "institution_id", None)
    )
    escalation, fresh = Escalation.objects.get_or_create(
        policy=found,
        subject_type=subject._meta.label_lower,
        subject_id=str(subject.pk),
        stopped_at=None,
        defaults={
            "policy_version": found.version,
            "ladder": ladder,
            "subject_label": (label or str(subject))[:200],
            "institution_id": place,
            "template": template,
            "context": dict(context),
            "link": link,
            "priority": found.priority,
            "started_at": at,
            "next_at": at,
        },
    )
    if fresh:
        EscalationEvent.objects.create(escalation=escalation, kind=rule.Kind.STARTED, at=at)
        _advance(escalation, at)
    return escalation


def _policy(policy: str | EscalationPolicy) -> EscalationPolicy:
    if isinstance(policy, EscalationPolicy):
        found: EscalationPolicy | None = policy
    else:
        found = EscalationPolicy.objects.filter(code=policy).first()
    if found is None:
        raise UnknownPolicy(f"没有代码为“{policy}”的升级策略，请先在“升级策略”中建立。")
    if not found.enabled:
        raise PolicyUnusable(f"升级策略“{found.name}”已停用，请启用或改用其他策略。")
    return found


def _locked(escalation: Escalation) -> Escalation:
    return Escalation.objects.select_for_update(of=("self",)).get(pk=escalation.pk)


def _events(escalation: Escalation) -> list[rule.Event]:
    return [row.event() for row in escalation.events.order_by("pk")]


def _advance(escalation: Escalation, at: datetime) -> None:
    """Take every step that is due and note when to look again. The caller holds the row."""
    _note_unreached(escalation, at)
    # Each round tells a level, repeats one or lets a claim lapse; none can come twice at once.
    for _ in range(2 * escalation.rule().levels + 2):
        step = rule.next_step(escalation.rule(), _events(escalation))
        escalation.next_at = step.at if step else None
        if step is None or step.at > at:
            break
        _take(escalation, step, at)
        _note_unreached(escalation, at)
    escalation.save()
    if escalation.next_at is not None:
        wake(escalation.next_at)


def _take(escalation: Escalation, step: rule.Step, at: datetime) -> None:
    if step.kind is rule.Kind.TOLD:
        escalation.level = step.level
    if step.kind is rule.Kind.LAPSED:
        escalation.acknowledged_at = escalation.acknowledged_until = None
        escalation.acknowledged_by = None
    notice = _tell(escalation, step, at) if step.level else None
    EscalationEvent.objects.create(
        escalation=escalation,
        kind=step.kind,
        at=at,
        level=step.level,
        notice=notice,
        note=STEP_TITLES[step.kind],
    )


def _tell(escalation: Escalation, step: rule.Step, at: datetime) -> Notice:
    level = escalation.ladder["levels"][step.level - 1]
    # A repetition is quieter than the first call: it reminds, it does not wake everybody again.
    quieter = max(Priority.NORMAL, escalation.priority - 1)
    return notify(
        key=f"escalation:{escalation.pk}:{escalation.events.count()}",
        template=escalation.template,
        context=_context(escalation, at, STEP_TITLES[step.kind], level["title"]),
        to=escalation.targets(step.level),
        at=at,
        priority=quieter if step.kind is rule.Kind.REPEATED else escalation.priority,
        about=escalation,
        institution_id=escalation.institution_id,
        link=escalation.link,
        thread=escalation.thread,
    )


def _context(escalation: Escalation, at: datetime, step: str, level: str) -> dict[str, Any]:
    minutes = int((at - escalation.started_at).total_seconds() // 60)
    return {
        "subject": escalation.subject_label,
        "since": f"{escalation.started_at.astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M}",
        "elapsed": f"{minutes // 60} 小时 {minutes % 60} 分钟"
        if minutes >= 60
        else f"{minutes} 分钟",
        "level": level,
        "step": step,
        **escalation.context,
    }


def _note_unreached(escalation: Escalation, at: datetime) -> None:
    """If every way of the last level has failed, the next level need not wait for its time."""
    last = (
        escalation.events.filter(kind=rule.Kind.TOLD, notice__isnull=False)
        .select_related("notice")
        .order_by("-pk")
        .first()
    )
    if last is None or last.notice is None:
        return
    noted = escalation.events.filter(kind=rule.Kind.UNREACHED, level=last.level)
    wanted = escalation.targets(last.level)
    outside_wanted = any(target.kind == "robot" or target.via for target in wanted)
    if noted.exists() or _may_be_reached(last.notice, outside_wanted):
        return
    EscalationEvent.objects.create(
        escalation=escalation,
        kind=rule.Kind.UNREACHED,
        at=at,
        level=last.level,
        note="本级所有投递均未成功，立即升级到下一级。",
    )


def _may_be_reached(notice: Notice, outside_wanted: bool) -> bool:
    """Has anybody been told over a channel that wakes people, or may still be? Where a level
    names no channel, the in-app message counts as well."""
    under_way = Q(state__in=[*OPEN_STATES, DeliveryState.SENT, DeliveryState.MERGED])
    held = Q(state=DeliveryState.SUPPRESSED, why=Why.QUIET)
    rows = notice.deliveries.filter(under_way | held)
    return (rows.exclude(kind=ChannelKind.INAPP) if outside_wanted else rows).exists()


def tick(*, now: Callable[[], datetime], most: int = 500) -> int:
    """Take the steps that are due of all running escalations; another worker's are passed over."""
    taken = 0
    while taken < most:
        at = now()
        with transaction.atomic():
            escalation = (
                Escalation.objects.select_for_update(skip_locked=True, of=("self",))
                .filter(stopped_at=None, next_at__lte=at)
                .order_by("next_at", "pk")
                .first()
            )
            if escalation is None:
                break
            _advance(escalation, at)
            taken += 1
    return taken


@transaction.atomic
def acknowledge_escalation(
    *, escalation: Escalation, by: Account, at: datetime, minutes: int | None = None
) -> Escalation:
    """Take the matter (认领). It holds for the policy's time at most; then it lapses. Taking it
    again extends one's own claim."""
    locked = _locked(escalation)
    if locked.stopped_at is not None:
        raise EscalationEnded(f"“{locked}”已停止，无需认领。")
    holder = locked.acknowledged_by
    until = locked.acknowledged_until
    if holder is not None and holder != by and until is not None and until > at:
        raise AlreadyAcknowledged(
            f"“{locked.subject_label}”已由{holder}认领至 "
            f"{until.astimezone(clock.SHANGHAI):%m-%d %H:%M}，如需接手请与其联系。"
        )
    limit = int(locked.ladder["acknowledged_for"])
    held_for = timedelta(minutes=min(minutes or limit, limit))
    locked.acknowledged_at, locked.acknowledged_by = at, by
    locked.acknowledged_until = at + held_for
    EscalationEvent.objects.create(
        escalation=locked, kind=rule.Kind.ACKNOWLEDGED, at=at, level=locked.level, by=by,
        until=at + held_for,
    )  # fmt: skip
    audit.record(act="notices.escalation.acknowledged", subject=locked, by=by, at=at)
    _advance(locked, at)
    return locked


@transaction.atomic
def stop_escalation(
    *, escalation: Escalation, at: datetime, reason: str, by: Account | None = None
) -> Escalation:
    """End it, with a reason; whoever was told hears that it is over. Stopping twice is stopping
    once. What has not left yet is not sent any more."""
    if not reason.strip():
        raise ReasonMissing("请填写停止升级的原因。", field="reason")
    locked = _locked(escalation)
    if locked.stopped_at is not None:
        return locked
    locked.stopped_at, locked.stop_reason, locked.next_at = at, reason[:200], None
    EscalationEvent.objects.create(
        escalation=locked, kind=rule.Kind.STOPPED, at=at, level=locked.level, by=by,
        note=reason[:300],
    )  # fmt: skip
    Delivery.objects.filter(
        notice__in=locked.events.filter(notice__isnull=False).values("notice"),
        state=DeliveryState.DUE,
    ).update(state=DeliveryState.SUPPRESSED, why=Why.ENDED, reason="升级已停止，未再发送。")
    told = [target for number in range(1, locked.level + 1) for target in locked.targets(number)]
    if told and locked.ladder["tell_end"]:
        notify(
            key=f"escalation:{locked.pk}:stopped",
            template="notices.escalation_stopped",
            context={
                **_context(locked, at, "结束", f"第 {locked.level} 级"),
                "reason": reason,
                "by": str(by) if by else "系统",
            },
            to=told,
            at=at,
            priority=Priority.NORMAL,
            about=locked,
            institution_id=locked.institution_id,
            link=locked.link,
            thread=locked.thread,
        )
    audit.record(act="notices.escalation.stopped", subject=locked, by=by, at=at, reason=reason)
    locked.save()
    return locked


def stop_escalations_of(
    *, subject: models.Model, at: datetime, reason: str, by: Account | None = None
) -> int:
    """End every escalation that runs for an object, e.g. when its ticket is accepted."""
    running = queries.escalations_of(subject).filter(stopped_at=None)
    for escalation in running:
        stop_escalation(escalation=escalation, at=at, reason=reason, by=by)
    return len(running)


@transaction.atomic
def rebuild(*, escalation: Escalation) -> Escalation:
    """Work the kept columns out of the events again (由台账重建)."""
    locked = _locked(escalation)
    events = _events(locked)
    locked.level = rule.level(events)
    step = rule.next_step(locked.rule(), events)
    locked.next_at = step.at if step else None
    until = rule.acknowledged_until(events)
    last = locked.events.filter(kind=rule.Kind.ACKNOWLEDGED).order_by("-pk").first()
    held = until is not None and last is not None
    locked.acknowledged_until = until if held else None
    locked.acknowledged_at = last.at if held and last else None
    locked.acknowledged_by = last.by if held and last else None
    locked.save()
    return locked
