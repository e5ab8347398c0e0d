"""The queue (发送队列): claim what is due, send it, record what came of it.

A worker claims rows for two minutes and sends outside any transaction. If it dies between sending
and recording, the next worker claims the same rows and sends them with the same delivery id:
at least once over the wire, told apart by the id. In-app messages are exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max, Q

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.notices import queries, senders
from kangwei.kernel.notices.models import (
    Attempt,
    Channel,
    ChannelHealth,
    ChannelKind,
    Delivery,
    DeliveryState,
    Escalation,
    Priority,
    Why,
)
from kangwei.kernel.notices.models.channels import ROBOT_KINDS
from kangwei.kernel.notices.refusals import CannotResend, ReasonMissing
from kangwei.kernel.notices.rules import budget
from kangwei.kernel.notices.rules.delivery import FAILING_AFTER, Verdict, is_late, retry_at
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.rules.texts import digest, plain
from kangwei.kernel.notices.senders import Line, Message, Outcome
from kangwei.kernel.notices.senders.base import HIDDEN
from kangwei.kernel.notices.services import ways
from kangwei.kernel.notices.services.notifying import notify
from kangwei.kernel.notices.services.waking import wake
from kangwei.kernel.notices.texts import CHANNEL_TEST
from kangwei.kernel.organisations.models import Account

LEASE = timedelta(minutes=2)
#: Rows looked at per channel and round.
BATCH = 200
#: Channels served at the same time; one slow provider must not hold up the others.
SIDE_BY_SIDE = 8
#: A merged message stays below the smallest limit of the robots.
DIGEST_BYTES = 3800
#: Calls of one claim: a slow service must not outlast the lease (20 × 10 s would).
MOST_CALLS = 10


@dataclass(frozen=True)
class Call:
    """One message ready to be sent: the delivery that leads it, and those merged into it."""

    lead: Delivery
    parts: tuple[Delivery, ...]
    kind: str
    line: Line
    message: Message


# --- claiming --------------------------------------------------------------------------------


def _ready(at: datetime) -> Q:
    return Q(state=DeliveryState.DUE, next_at__lte=at) | Q(
        state=DeliveryState.SENDING, leased_until__lte=at
    )


def claim(*, at: datetime) -> list[Call]:
    """Take what may be sent now; rows another worker is holding are passed over."""
    rows = Delivery.objects.filter(_ready(at), channel__isnull=False).order_by()
    calls: list[Call] = []
    for channel_id in sorted(rows.values_list("channel_id", flat=True).distinct()):
        calls += _claim_channel(channel_id, at)
    return calls


@transaction.atomic
def _claim_channel(channel_id: int, at: datetime) -> list[Call]:
    # The lock on the channel's health makes its budget one for all workers.
    health = (
        ChannelHealth.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("channel")
        .filter(channel=channel_id)
        .first()
    )
    if health is None:
        return []
    channel = health.channel
    rows = list(
        Delivery.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("notice", "channel", "instead_of")
        .filter(_ready(at), channel=channel)
        .order_by("-priority", "due_at", "pk")[:BATCH]
    )
    if not channel.enabled or health.failing_since is not None:
        why = "渠道已停用" if not channel.enabled else "渠道故障"
        rows = [row for row in rows if not _divert(row, why, at, must=not channel.enabled)]
    by_id = {row.pk: row for row in rows}
    # What was tried before goes as it was: the receiver may know its id already.
    tried = [
        row
        for row in rows
        if row.attempts_made or row.only_here or row.state == DeliveryState.SENDING
    ]
    fresh = [row for row in rows if row not in tried]
    window = health.window()
    groups: list[tuple[budget.Waiting, ...]] = []
    diverted: list[budget.Waiting] = []
    again: datetime | None = None
    for waiting, merges in ((tried, False), (fresh, channel.kind in ROBOT_KINDS)):
        planned = budget.plan(
            window,
            [budget.Waiting(row.pk, row.priority, row.due_at) for row in waiting],
            per_minute=channel.per_minute,
            merges=merges,
            at=at,
        )
        window = planned.window
        groups += planned.groups
        diverted += planned.diverted
        again = planned.look_again_at or again
    if len(groups) > MOST_CALLS:
        # The rest is claimed by the next round at once; its calls are not counted yet.
        window = budget.Window(window.calls[: MOST_CALLS - len(groups)], window.muted_until)
        groups, again = groups[:MOST_CALLS], at
    taken = {item.id for group in groups for item in group}
    for item in diverted:
        row = by_id[item.id]
        taken.add(item.id)
        if not _divert(row, "渠道限流", at, must=False):
            row.state, row.leased_until = DeliveryState.DUE, None
            row.next_at = window.muted_until or at
            row.save(update_fields=["state", "leased_until", "next_at"])
    health.keep(window)
    health.save(update_fields=["calls", "muted_until"])
    left = [pk for pk in by_id if pk not in taken]
    if left and again is not None and again > at:
        Delivery.objects.filter(pk__in=left).update(
            state=DeliveryState.DUE, leased_until=None, next_at=again
        )
    return [_call(channel, [by_id[item.id] for item in group], at) for group in groups]


def _call(channel: Channel, group: Sequence[Delivery], at: datetime) -> Call:
    lead, others = group[0], group[1:]
    lead.state, lead.leased_until = DeliveryState.SENDING, at + LEASE
    lead.save(update_fields=["state", "leased_until"])
    for part in others:
        part.state, part.merged_into, part.why = DeliveryState.MERGED, lead, Why.OVERFLOW
        part.reason = f"同一分钟内待发 {len(group)} 条，超出渠道配额，合并为一条发送。"
        part.save(update_fields=["state", "merged_into", "why", "reason"])
    parts = tuple(lead.parts.select_related("notice").order_by("-priority", "due_at", "pk"))
    line = channel.line()
    if lead.secret:
        # Hidden in the kept request like the channel's own secrets.
        line = replace(line, secrets={**line.secrets, "confidential": lead.secret})
    return Call(lead, parts, channel.kind, line, message_of(lead, parts))


def message_of(lead: Delivery, parts: Sequence[Delivery] = ()) -> Message:
    """The words of one call: the notice's own, or one Markdown for many (合并)."""
    notice = lead.notice
    title, body, short = notice.title, notice.body, notice.short
    mention = list(lead.mention)
    if parts:
        everything = [lead, *parts]
        title, body = digest(
            [
                (
                    Priority(row.priority).label,
                    f"{row.notice.at.astimezone(clock.SHANGHAI):%H:%M}",
                    row.notice.title,
                )
                for row in everything
            ],
            DIGEST_BYTES,
        )
        short = title
        mention = list(dict.fromkeys(pk for row in everything for pk in row.mention))

    def whole(words: str) -> str:
        return words.replace(HIDDEN, lead.secret) if lead.secret else words

    body = whole(body)
    return Message(
        delivery_id=str(lead.pk),
        title=whole(title),
        markdown=body,
        text=plain(body),
        short=whole(short),
        thread=notice.thread,
        link=notice.link,
        priority=lead.priority,
        mentions=_mentions(mention),
        context=notice.context,
    )


def _mentions(accounts: Iterable[int]) -> tuple[tuple[str, str], ...]:
    wanted = list(accounts)
    if not wanted:
        return ()
    phones = queries.addresses_of(wanted)
    names = dict(Account.objects.filter(pk__in=wanted).values_list("pk", "name"))
    return tuple(
        (phones[pk, ChannelKind.SMS], names[pk])
        for pk in wanted
        if (pk, ChannelKind.SMS) in phones and pk in names
    )


# --- sending ---------------------------------------------------------------------------------


def run(*, now: Callable[[], datetime], rounds: int = 20) -> int:
    """Send what is due until nothing is left; answers the number of calls made."""
    made = empty = 0
    for _ in range(rounds):
        calls = claim(at=now())
        # A round without calls may have moved rows to another channel; two are the end.
        empty = 0 if calls else empty + 1
        if empty == 2:
            break
        made += len(calls)
        by_channel: dict[int, list[Call]] = {}
        for call in calls:
            by_channel.setdefault(call.lead.channel_id or 0, []).append(call)
        if not calls:
            continue
        with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE) as pool:
            # Senders know no database, so threads share nothing; results come back in order.
            sending = [pool.submit(_send_all, group, now) for group in by_channel.values()]
            for finished in sending:
                for call, outcome, at in finished.result():
                    record(call, outcome, at=at)
    return made


def _send_all(
    calls: Sequence[Call], now: Callable[[], datetime]
) -> list[tuple[Call, Outcome, datetime]]:
    results = []
    for call in calls:
        outcome = senders.send(call.kind, call.line, call.lead.recipient, call.message, now())
        results.append((call, outcome, now()))
        if outcome.verdict is Verdict.THROTTLED:
            break  # the robot is muted: the rest of the claim is given back
    return results + [(call, GIVEN_BACK, now()) for call in calls[len(results) :]]


#: Claimed, and not sent because the channel was muted by an earlier call of the same claim.
GIVEN_BACK = Outcome(Verdict.THROTTLED, "渠道刚被限流，未发出。", code="-")


# --- recording -------------------------------------------------------------------------------


@transaction.atomic
def record(call: Call, outcome: Outcome, *, at: datetime) -> None:
    """Write the attempt down and decide what follows."""
    health = (
        ChannelHealth.objects.select_for_update(of=("self",))
        .select_related("channel")
        .get(channel=call.lead.channel_id)
    )
    lead = (
        Delivery.objects.select_for_update(of=("self",))
        .select_related("notice", "channel", "instead_of")
        .get(pk=call.lead.pk)
    )
    if outcome is GIVEN_BACK:
        _wait_for(lead, health, at)
        return
    lead.attempts_made += 1
    lead.latency_ms = outcome.latency_ms
    Attempt.objects.create(
        delivery=lead,
        number=lead.attempts_made,
        channel=health.channel,
        at=at,
        verdict=outcome.verdict,
        reason=outcome.reason[:500],
        request=outcome.request,
        response_code=outcome.code[:20],
        response_body=outcome.body,
        latency_ms=outcome.latency_ms,
    )
    if lead.state != DeliveryState.SENDING:
        # Another worker took the row over when this one was silent too long, and was done first.
        lead.save(update_fields=["attempts_made", "latency_ms"])
        return
    if outcome.ok:
        _sent(lead, call.parts, at)
        if lead.notice.template == CHANNEL_TEST.code:
            health.tested_at = at
            health.save(update_fields=["tested_at"])
        _well(health, at)
        return
    if outcome.verdict is Verdict.THROTTLED:
        health.keep(health.window().mute(at))
        health.last_error = outcome.reason[:500]
        health.save(update_fields=["calls", "muted_until", "last_error"])
    if lead.only_here:
        # Whoever waits for it reads why, and decides. A trial is no sign of a failing channel.
        why = Why.REFUSED if outcome.verdict is Verdict.REFUSED else Why.EXHAUSTED
        _give_up(lead, why, outcome.reason, at)
        return
    if outcome.verdict is Verdict.THROTTLED:
        if lead.priority < Priority.URGENT or not _divert(lead, "渠道限流", at, must=False):
            _wait_for(lead, health, at)
        return
    _ill(health, outcome.reason, at)
    counted = lead.attempts.exclude(verdict=Verdict.THROTTLED).count()
    again = retry_at(outcome.verdict, counted, at)
    lead.reason = outcome.reason[:500]
    if again is not None:
        lead.state, lead.leased_until, lead.next_at = DeliveryState.DUE, None, again
        lead.save(
            update_fields=[
                "state", "leased_until", "next_at", "reason", "attempts_made", "latency_ms",
            ]
        )  # fmt: skip
        return
    why = Why.REFUSED if outcome.verdict is Verdict.REFUSED else Why.EXHAUSTED
    _give_up(lead, why, outcome.reason, at)


def _sent(lead: Delivery, parts: Sequence[Delivery], at: datetime) -> None:
    lead.state, lead.leased_until, lead.sent_at = DeliveryState.SENT, None, at
    lead.late, lead.why, lead.reason = is_late(lead.due_at, at), Why.NONE, ""
    lead.secret = ""
    lead.save()
    late = [part.pk for part in parts if is_late(part.due_at, at)]
    Delivery.objects.filter(pk__in=late).update(late=True)


def _wait_for(lead: Delivery, health: ChannelHealth, at: datetime) -> None:
    lead.state, lead.leased_until = DeliveryState.DUE, None
    lead.next_at = max(health.muted_until or at, at)
    lead.reason = "渠道限流，等待恢复后发送。"
    lead.save()


def _divert(row: Delivery, why: str, at: datetime, *, must: bool) -> bool:
    """Take the fallback channel at once. Without one, False, or the end when it must be."""
    if row.only_here:
        return False
    channel, _ = ways.other_ways(row, at)
    if channel is None and not must:
        return False
    _give_up(row, Why.DIVERTED if channel else Why.NO_CHANNEL, f"{why}。", at)
    return True


def _give_up(lead: Delivery, why: Why, reason: str, at: datetime) -> None:
    """This channel did not work: over to the fallback, part by part, else the end."""
    for row in [lead, *lead.parts.select_related("notice", "channel", "instead_of")]:
        channel, replacements = (None, []) if row.only_here else ways.other_ways(row, at)
        told = reason
        if replacements and channel is not None:
            told = f"{reason}已改走备用渠道“{channel.name}”。"
            Delivery.objects.bulk_create(replacements, ignore_conflicts=True)
        elif channel is not None:
            told = f"{reason}备用渠道“{channel.name}”上没有可用的接收地址。"
        row.state, row.leased_until, row.merged_into = DeliveryState.FAILED, None, None
        row.why, row.reason, row.secret = why, told[:500], ""
        row.save()
        if not replacements:
            # The level this notice belonged to may now have reached nobody.
            Escalation.objects.running().filter(events__notice=row.notice).update(next_at=at)
    wake()


# --- health ----------------------------------------------------------------------------------


def _well(health: ChannelHealth, at: datetime) -> None:
    since = health.failing_since
    if health.failures or since:
        health.failures, health.failing_since, health.last_error = 0, None, ""
        health.save(update_fields=["failures", "failing_since", "last_error"])
    if since is not None:
        _tell_keepers(health.channel, "notices.channel_recovered", since, "", at)


def _ill(health: ChannelHealth, reason: str, at: datetime) -> None:
    health.failures += 1
    health.last_error = reason[:500]
    newly = health.failures >= FAILING_AFTER and health.failing_since is None
    if newly:
        health.failing_since = at
    health.save(update_fields=["failures", "last_error", "failing_since"])
    if newly:
        _tell_keepers(health.channel, "notices.channel_failing", at, reason, at)


def _tell_keepers(
    channel: Channel, template: str, since: datetime, reason: str, at: datetime
) -> None:
    """A failing channel is never the one that says so."""
    audit.record(act=template, subject=channel, at=at, reason=reason)
    people = list(channel.keepers.all()) or ways.holders_of(
        "notices.manage_channel", channel.institution_id, at
    )
    targets = [Target.account(p.pk, via=(ChannelKind.SMS,)) for p in people]
    if channel.fallback is not None and channel.fallback.is_group:
        targets.append(Target.robot(channel.fallback.pk))
    notify(
        key=f"{template}:{channel.pk}:{since.isoformat()}",
        template=template,
        context={
            "channel": channel.name,
            "kind": channel.get_kind_display(),
            "since": f"{since.astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M}",
            "reason": reason or "—",
        },
        to=targets,
        at=at,
        priority="high",
        about=channel,
        institution_id=channel.institution_id,
        avoid=(channel.pk,),
    )


def probe(*, now: Callable[[], datetime]) -> int:
    """Knock at every failing channel; one that answers is well again. Answers how many were."""
    recovered = 0
    failing = ChannelHealth.objects.filter(failing_since__isnull=False, channel__enabled=True)
    for health in failing.select_related("channel"):
        outcome = senders.probe(health.channel.kind, health.channel.line(), now())
        at = now()
        with transaction.atomic():
            locked = (
                ChannelHealth.objects.select_for_update(of=("self",))
                .select_related("channel")
                .get(pk=health.pk)
            )
            locked.probed_at = at
            if health.channel.is_robot:
                # A robot's probe is a real message and counts like one.
                window = locked.window()
                locked.calls = [*window.recent(at), at]
            locked.save(update_fields=["probed_at", "calls"])
            if outcome.ok:
                recovered += 1
                _well(locked, at)
    return recovered


# --- by hand ---------------------------------------------------------------------------------


@transaction.atomic
def resend(*, delivery: Delivery, by: Account, at: datetime, reason: str) -> Delivery:
    """Send once more by hand, with a reason, to the person's present address (重新发送)."""
    if not reason.strip():
        raise ReasonMissing("请填写重新发送的原因。", field="reason")
    if delivery.kind == ChannelKind.INAPP or delivery.is_open:
        raise CannotResend(f"投递“{delivery}”是站内消息或仍在发送中，不需要重新发送。")
    if delivery.only_here:
        raise CannotResend("测试消息和验证码不能重发，请重新发送测试或重新获取验证码。")
    place = delivery.account.institution_id if delivery.account else delivery.institution_id
    channel = delivery.channel
    if channel is None or not channel.enabled:
        channel = queries.channel_for(delivery.kind, place)
    if channel is None:
        raise CannotResend(
            f"没有可用的{delivery.get_kind_display()}渠道，请先在“通知渠道”中配置并启用。"
        )
    recipient, label = delivery.recipient, delivery.shown
    if delivery.account is not None and not channel.is_group:
        recipient = queries.addresses_of([delivery.account.pk]).get(
            (delivery.account.pk, channel.kind), ""
        )
        if not recipient:
            raise CannotResend(
                f"{delivery.account.name}没有已验证的{delivery.get_kind_display()}地址，请先登记。"
            )
        label = f"{delivery.account.name} {ways.shown(channel.kind, recipient)}"
    rounds = Delivery.objects.filter(notice=delivery.notice).aggregate(most=Max("round"))
    fresh = Delivery.objects.create(
        notice=delivery.notice,
        kind=channel.kind,
        channel=channel,
        account=delivery.account,
        institution_id=delivery.institution_id,
        recipient=recipient,
        shown=label,
        mention=delivery.mention,
        priority=delivery.priority,
        created_at=at,
        due_at=at,
        next_at=at,
        instead_of=delivery,
        round=rounds["most"] + 1,
    )
    audit.record(act="notices.delivery.resent", subject=delivery, by=by, at=at, reason=reason)
    wake()
    return fresh
