"""One turn of the worker (发送轮次), the heartbeat to the outside and the morning message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta

from django.db import transaction
from django.db.models import Min

from kangwei.kernel import clock
from kangwei.kernel.notices import queries
from kangwei.kernel.notices.models import Delivery, DeliveryState, Escalation, Watch
from kangwei.kernel.notices.models.channels import GROUP_KINDS
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.senders import Line
from kangwei.kernel.notices.senders.base import call
from kangwei.kernel.notices.services import escalating, sending
from kangwei.kernel.notices.services.notifying import notify
from kangwei.kernel.notices.services.waking import wake
from kangwei.kernel.notices.services.ways import holders_of

#: Wake-ups further away than this are left to the minute's round.
SOON = timedelta(minutes=2)


def work(*, now: Callable[[], datetime]) -> str:
    """Tell the levels that are due, send what is due, and say when to look again."""
    told = escalating.tick(now=now)
    made = sending.run(now=now)
    told += escalating.tick(now=now)  # a level that nobody could be told of hands over at once
    at = now()
    waiting = Delivery.objects.filter(state=DeliveryState.DUE, channel__isnull=False)
    following = [
        waiting.aggregate(soonest=Min("next_at"))["soonest"],
        Escalation.objects.filter(stopped_at=None).aggregate(soonest=Min("next_at"))["soonest"],
    ]
    soonest = min((moment for moment in following if moment is not None), default=None)
    if soonest is not None and soonest - at <= SOON:
        # A row that another worker is just holding must not turn this into a busy loop.
        wake(max(soonest, at + timedelta(seconds=1)))
    return f"发送 {made} 次，升级 {told} 项。"


def minute(*, now: Callable[[], datetime]) -> str:
    """The round of each minute: what wake-ups may have missed, failing channels, heartbeat."""
    summary = work(now=now)
    recovered = sending.probe(now=now)
    beat = heartbeat(at=now())
    return summary + (f"恢复渠道 {recovered} 个。" if recovered else "") + beat


def heartbeat(*, at: datetime) -> str:
    """Call the outside watcher (死信心跳). When the calls stop, it raises the alarm, not we."""
    watch = Watch.objects.filter(pk=1).first()
    if watch is None or not watch.heartbeat_url:
        return ""
    line = Line(watch.heartbeat_url, {"url": watch.heartbeat_url})
    outcome, _ = call(line, "GET", watch.heartbeat_url, headers={}, body=b"")
    Watch.objects.filter(pk=1).update(
        heartbeat_at=at, heartbeat_ok=outcome.ok, heartbeat_note=outcome.reason[:300]
    )
    return "" if outcome.ok else f"心跳未送达：{outcome.reason}"


@transaction.atomic
def all_quiet(*, at: datetime) -> str:
    """The morning message (每日平安消息): its arrival proves the channel, its figures the night."""
    watch, _ = Watch.objects.get_or_create(pk=1)
    if not watch.all_quiet:
        return "未启用每日平安消息。"
    today = clock.local_day(at)
    end = datetime.combine(today, time(), clock.SHANGHAI)
    start = end - timedelta(days=1)
    figures = queries.delivery_figures(start, end, at=at)
    state = queries.queue_state(at)
    running = Escalation.objects.filter(stopped_at=None).count()
    quiet = not (figures.failed or state.failing or running)
    targets = [
        *(Target.robot(c.pk) for c in watch.channels.filter(enabled=True, kind__in=GROUP_KINDS)),
        *(Target.account(person.pk) for person in holders_of("notices.manage_watch", None, at)),
    ]
    notify(
        key=f"notices.all_quiet:{today}",
        template="notices.all_quiet",
        context={
            "day": f"{start:%Y-%m-%d}",
            "verdict": "一切正常" if quiet else "有待处理事项",
            "due": figures.due,
            "sent": figures.sent + figures.merged,
            "failed": figures.failed,
            "late": figures.late,
            "no_address": figures.no_address,
            "failing": "、".join(state.failing) or "无",
            "running": running,
        },
        to=targets,
        at=at,
        priority="normal",
        link="/notices/supervision/",
    )
    return f"已发送平安消息：{'一切正常' if quiet else '有待处理事项'}。"
