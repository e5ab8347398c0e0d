"""Questions about background work: which runs and schedules, what was missed, how the queue is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import OuterRef, QuerySet, Subquery

from . import registry
from .models import KnownSchedule, Run, SchedulePause, ScheduleRun
from .rules import due

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from kangwei.kernel.organisations.models import Account

#: A due moment younger than this is not missed yet: its worker may be starting.
GRACE = timedelta(minutes=5)
#: How far back missed moments are searched: a month and a bit, so that a monthly schedule is seen;
#: for what runs every few minutes a day, since its older gaps help nobody.
MISSED_WITHIN = timedelta(days=35)
MISSED_WITHIN_IF_FREQUENT = timedelta(days=1)


def runs_visible_to(user: Account | AnonymousUser) -> QuerySet[Run]:
    return Run.objects.visible_to(user).select_related("owner")


@dataclass(frozen=True)
class ScheduleState:
    """A schedule as the schedules page shows it."""

    name: str
    title: str
    description: str
    cron: str
    next_due_at: datetime | None
    pause: SchedulePause | None
    last: ScheduleRun | None


def schedule_states(at: datetime) -> list[ScheduleState]:
    """Every schedule with its next due moment, its pause and its last run, in title order."""
    newest = ScheduleRun.objects.filter(schedule=OuterRef("pk")).order_by("-due_at")
    rows = KnownSchedule.objects.filter(retired_at=None).annotate(
        newest=Subquery(newest.values("pk")[:1])
    )
    last = ScheduleRun.objects.select_related("by").in_bulk(
        [row.newest for row in rows if row.newest is not None]
    )
    pauses = {
        pause.schedule_id: pause
        for pause in SchedulePause.objects.filter(until_at=None).select_related("paused_by")
    }
    found = []
    for row in rows:
        declared = registry.schedules().get(row.name)
        if declared is None:
            continue
        pause = pauses.get(row.name)
        found.append(
            ScheduleState(
                name=row.name,
                title=row.title,
                description=declared.description,
                cron=row.cron,
                next_due_at=None if pause else due.next_due(row.cron, at),
                pause=pause,
                last=last.get(row.newest) if row.newest is not None else None,
            )
        )
    return sorted(found, key=lambda state: state.title)


@dataclass(frozen=True)
class MissedSchedule:
    """A span of due moments that a schedule should have run at, and did not."""

    name: str
    title: str
    span: due.Missed


def missed(at: datetime) -> list[MissedSchedule]:
    """Due moments of the last days without a row in the ledger, newest first.

    The ledger alone decides: whether the worker was down, stuck or never installed does not
    matter to the one who waited for the work.
    """
    ledger: dict[str, list[datetime]] = defaultdict(list)
    for name, moment in ScheduleRun.objects.filter(
        due_at__gte=at - MISSED_WITHIN, how__in=[ScheduleRun.How.TIMED, ScheduleRun.How.MADE_UP]
    ).values_list("schedule_id", "due_at"):
        ledger[name].append(moment)
    pauses: dict[str, list[tuple[datetime, datetime | None]]] = defaultdict(list)
    for pause in SchedulePause.objects.all():
        pauses[pause.schedule_id].append((pause.from_at, pause.until_at))
    found = []
    for row in KnownSchedule.objects.filter(retired_at=None):
        frequent = due.interval(row.cron, at) < timedelta(hours=1)
        within = MISSED_WITHIN_IF_FREQUENT if frequent else MISSED_WITHIN
        since = max(at - within, row.in_force_since)
        for span in due.missed(row.cron, since, at - GRACE, ledger[row.name], pauses[row.name]):
            found.append(MissedSchedule(row.name, row.title, span))
    return sorted(found, key=lambda one: one.span.last, reverse=True)


def schedule_runs(name: str | None = None) -> QuerySet[ScheduleRun]:
    """The ledger of schedules, newest first."""
    rows = ScheduleRun.objects.select_related("schedule", "by").order_by("-due_at", "-pk")
    return rows.filter(schedule=name) if name else rows


@dataclass(frozen=True)
class QueueHealth:
    """How the queue stands, for readiness and metrics."""

    waiting: int
    doing: int
    failed: int
    oldest_waiting_seconds: float
    workers: int


def queue_health() -> QueueHealth:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FILTER (WHERE status = 'todo'),
                   count(*) FILTER (WHERE status = 'doing'),
                   count(*) FILTER (WHERE status = 'failed')
              FROM procrastinate_jobs
             WHERE status IN ('todo', 'doing', 'failed')
            """
        )
        waiting, doing, failed = cursor.fetchone() or (0, 0, 0)
        cursor.execute(
            """
            SELECT coalesce(
                       extract(epoch FROM now() - min(coalesce(job.scheduled_at, event.at))), 0)
              FROM procrastinate_jobs job
              JOIN procrastinate_events event ON event.job_id = job.id AND event.type = 'deferred'
             WHERE job.status = 'todo' AND (job.scheduled_at IS NULL OR job.scheduled_at <= now())
            """
        )
        [oldest] = cursor.fetchone() or (0,)
        cursor.execute(
            "SELECT count(*) FROM procrastinate_workers"
            " WHERE last_heartbeat > now() - interval '30 seconds'"
        )
        [workers] = cursor.fetchone() or (0,)
    return QueueHealth(waiting, doing, failed, float(oldest), workers)


def open_runs(kinds: Sequence[str] = ()) -> QuerySet[Run]:
    """Runs that are waiting or running, of some kinds or of all."""
    rows = Run.objects.open()
    return rows.filter(kind__in=kinds) if kinds else rows
