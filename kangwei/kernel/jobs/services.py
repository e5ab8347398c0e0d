"""Acts of background work: starting and cancelling runs, running and pausing schedules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.db import IntegrityError, connection, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Coalesce

from kangwei.kernel.audit import services as audit
from kangwei.kernel.refusals import Invalid, NotFound, NotPermitted, Refusal

from . import registry
from .models import KnownSchedule, Run, SchedulePause, ScheduleRun
from .rules import due

if TYPE_CHECKING:
    from kangwei.kernel.organisations.models import Account

#: A worker that has not written its heartbeat for this long is taken for dead.
DEAD_AFTER = timedelta(seconds=30)
#: A job that was found in the hands of a dead worker this often is what kills the workers.
MOST_RESCUES = 20
#: Finished jobs of the queue are looked at by nobody after this; failed ones stay longer.
KEEP_FINISHED_JOBS = timedelta(days=7)
KEEP_FAILED_JOBS = timedelta(days=30)
#: The ledger of schedules: what went well is kept for a quarter, the rest for over a year.
KEEP_DONE_RUNS = timedelta(days=92)
KEEP_OTHER_RUNS = timedelta(days=400)

BROKEN_OFF = "执行中多次被中断（进程退出），已停止重试；请查看运行日志后手工执行。"


class UnknownSchedule(NotFound):
    code: ClassVar[str] = "jobs.schedule_unknown"
    title: ClassVar[str] = "定时任务不存在"


class AlreadyPaused(Refusal):
    code: ClassVar[str] = "jobs.schedule_already_paused"
    title: ClassVar[str] = "定时任务已经暂停"


class NotPaused(Refusal):
    code: ClassVar[str] = "jobs.schedule_not_paused"
    title: ClassVar[str] = "定时任务没有暂停"


class StillWaiting(Refusal):
    code: ClassVar[str] = "jobs.schedule_still_waiting"
    title: ClassVar[str] = "上一次执行尚未结束"


class RunFinished(Refusal):
    code: ClassVar[str] = "jobs.run_finished"
    title: ClassVar[str] = "后台任务已经结束"


# --- schedules -------------------------------------------------------------------------------


def note_schedules(*, at: datetime) -> None:
    """Remember which schedules exist; a new or changed one is owed from now on only."""
    known = {row.name: row for row in KnownSchedule.objects.all()}
    for found in registry.schedules().values():
        row = known.pop(found.name, None)
        if row is None:
            KnownSchedule.objects.bulk_create(
                [
                    KnownSchedule(
                        name=found.name, title=found.title, cron=found.cron, in_force_since=at
                    )
                ],
                ignore_conflicts=True,  # several workers start at once
            )
        elif row.cron != found.cron or row.retired_at is not None:
            KnownSchedule.objects.filter(pk=row.pk).update(
                title=found.title, cron=found.cron, in_force_since=at, retired_at=None
            )
        elif row.title != found.title:
            KnownSchedule.objects.filter(pk=row.pk).update(title=found.title)
    KnownSchedule.objects.filter(pk__in=known, retired_at=None).update(retired_at=at)


@transaction.atomic
def queue_due(*, name: str, at: datetime) -> ScheduleRun | None:
    """Write the ledger row of the latest due moment and queue its job, both or neither.

    Answers None when the moment has its row already, was not owed, or is too old to be made
    up. While the run before still waits, the moment is written down as skipped: a slow worker
    must not gather a crowd of equal jobs.
    """
    declared = registry.schedules()[name]
    known = KnownSchedule.objects.filter(pk=name).first()
    if known is None or known.cron != declared.cron:
        return None
    moment = due.latest_due(declared.cron, at)
    if moment < known.in_force_since or at - moment > declared.catch_up:
        return None
    if SchedulePause.objects.filter(schedule=known, until_at=None).exists():
        return None
    # A pause that ended after the moment covered it.
    if known.pauses.filter(from_at__lte=moment, until_at__gt=moment).exists():
        return None
    if ScheduleRun.objects.filter(schedule=known, due_at=moment).exists():
        return None
    late = at - moment > timedelta(minutes=2)
    how = ScheduleRun.How.MADE_UP if late else ScheduleRun.How.TIMED
    try:
        with transaction.atomic():
            row = ScheduleRun.objects.create(schedule=known, due_at=moment, how=how, recorded_at=at)
    except IntegrityError:
        return None  # another worker was first
    _queue(row, at=at)
    return row


def _queue(row: ScheduleRun, *, at: datetime) -> None:
    from .tasks import run_schedule  # tasks call these services; the two files need each other

    lock = f"schedule:{row.schedule_id}"
    if not run_schedule.configure(lock=lock, queueing_lock=lock).defer(row_id=row.pk):
        row.outcome = ScheduleRun.Outcome.SKIPPED
        row.finished_at = at
        row.summary = "上一次仍在排队，本次跳过。"
        row.save(update_fields=["outcome", "finished_at", "summary"])


@transaction.atomic
def run_now(*, name: str, by: Account, at: datetime) -> ScheduleRun:
    """Run a schedule by hand, now, whether it is paused or not."""
    known = _known(name)
    row = ScheduleRun.objects.create(
        schedule=known, due_at=at, how=ScheduleRun.How.BY_HAND, by=by, recorded_at=at
    )
    _queue(row, at=at)
    if row.outcome == ScheduleRun.Outcome.SKIPPED:
        raise StillWaiting(f"“{known.title}”已有一次执行在排队，请等它结束后再试。")
    audit.record(act="jobs.schedule.run_by_hand", subject=known, by=by, at=at)
    return row


@transaction.atomic
def pause_schedule(*, name: str, by: Account, reason: str, at: datetime) -> SchedulePause:
    """Stop a schedule from falling due until somebody resumes it."""
    known = _known(name)
    if not reason.strip():
        raise Invalid("请填写暂停的原因，便于其他人判断何时恢复。", field="reason")
    if known.pauses.filter(until_at=None).exists():
        raise AlreadyPaused(f"“{known.title}”已经暂停，无需重复操作。")
    pause = SchedulePause.objects.create(
        schedule=known, from_at=at, reason=reason.strip()[:200], paused_by=by
    )
    audit.record(act="jobs.schedule.paused", subject=known, by=by, at=at, reason=pause.reason)
    return pause


@transaction.atomic
def resume_schedule(*, name: str, by: Account, at: datetime) -> SchedulePause:
    """Let a schedule fall due again; what fell into the pause is not made up."""
    known = _known(name)
    pause = known.pauses.filter(until_at=None).first()
    if pause is None:
        raise NotPaused(f"“{known.title}”没有暂停，无需恢复。")
    pause.until_at, pause.resumed_by = at, by
    pause.save(update_fields=["until_at", "resumed_by"])
    audit.record(act="jobs.schedule.resumed", subject=known, by=by, at=at)
    return pause


def _known(name: str) -> KnownSchedule:
    """The schedule, locked, so that two people pressing a button follow one another."""
    known = KnownSchedule.objects.select_for_update().filter(pk=name, retired_at=None).first()
    if known is None or name not in registry.schedules():
        raise UnknownSchedule(f"没有名为“{name}”的定时任务，请刷新页面后重试。", field="name")
    return known


# --- long runs -------------------------------------------------------------------------------


@transaction.atomic
def start_run(
    *,
    kind: str,
    title: str,
    by: Account | None,
    at: datetime,
    arguments: Mapping[str, Any] | None = None,
) -> Run:
    """Queue a long work in the caller's transaction; a worker takes it up after the commit."""
    from .tasks import perform_run

    if kind not in registry.run_kinds():
        raise ValueError(f"run kind {kind} is not registered")
    run = Run.objects.create(
        kind=kind, title=title[:200], owner=by, arguments=dict(arguments or {}), created_at=at
    )
    perform_run.defer(run_id=run.pk)
    audit.record(act="jobs.run.started", subject=run, by=by, at=at, detail={"kind": kind})
    return run


@transaction.atomic
def cancel_run(*, run: Run, by: Account, at: datetime) -> Run:
    """Ask a run to end; a waiting one ends at once, a running one at its next step."""
    run = Run.objects.select_for_update(of=("self",)).get(pk=run.pk)
    if run.owner_id != by.pk and not by.has_perm("jobs.cancel_any_run"):
        raise NotPermitted(f"“{run.title}”不是您发起的，请由发起人或系统管理员取消。")
    if not run.is_open:
        raise RunFinished(f"“{run.title}”已经{run.get_state_display()}，不能再取消。")
    if run.cancel_requested_at is None:
        run.cancel_requested_at, run.cancel_requested_by = at, by
        audit.record(act="jobs.run.cancelled", subject=run, by=by, at=at)
    if run.state == Run.State.WAITING:
        run.state, run.finished_at = Run.State.CANCELLED, at
    run.save(update_fields=["cancel_requested_at", "cancel_requested_by", "state", "finished_at"])
    return run


def claim_run(*, run_id: int, at: datetime) -> Run | None:
    """Take a run up in this worker; one left behind by a dead worker is taken over."""
    claimed = (
        Run.objects.filter(pk=run_id)
        .open()
        .update(
            state=Run.State.RUNNING,
            attempt=F("attempt") + 1,
            started_at=Coalesce("started_at", Value(at)),
            heartbeat_at=at,
        )
    )
    return Run.objects.get(pk=run_id) if claimed else None


def end_run(
    *,
    run: Run,
    state: Run.State,
    at: datetime,
    result: Mapping[str, Any] | None = None,
    error: str = "",
) -> bool:
    """Write how a run ended; answers False when another worker has taken it over meanwhile."""
    values: dict[str, Any] = {"state": state, "error": error[:500], "heartbeat_at": at}
    if state == Run.State.DONE:
        # Progress is told once a second at most; what is done is done in full.
        whole = Case(When(total__gt=0, then=F("total")), default=F("done"))
        values |= {"result": dict(result or {}), "note": "", "done": whole}
    if state != Run.State.WAITING:
        values["finished_at"] = at
    mine = Run.objects.filter(pk=run.pk, attempt=run.attempt, state=Run.State.RUNNING)
    return bool(mine.update(**values))


# --- the queue -------------------------------------------------------------------------------


def rescue_stalled(*, at: datetime) -> int:
    """Give the jobs of dead workers back to the queue; answers how many.

    Two workers may do this at once: each job is locked by one of them and judged again under
    that lock, so that a job which a living worker has just taken up is left alone.
    """
    rescued = 0
    for job_id in _stalled():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                STALLED + " AND job.id = %s FOR UPDATE OF job SKIP LOCKED",
                [DEAD_AFTER.total_seconds(), job_id],
            )
            found = cursor.fetchone()
            if found is None:
                continue
            _, name, arguments, attempts = found
            if attempts >= MOST_RESCUES or not _retried(job_id):
                cursor.execute("SELECT procrastinate_finish_job_v1(%s, 'failed', false)", [job_id])
                # Django hands jsonb over as text on a plain cursor.
                _give_up(name, json.loads(arguments), at=at)
            rescued += 1
    return rescued


#: "Dead" is measured with the database's clock, the one that wrote the heartbeat.
STALLED = """
    SELECT job.id, job.task_name, job.args, job.attempts
      FROM procrastinate_jobs job
      LEFT JOIN procrastinate_workers worker ON worker.id = job.worker_id
     WHERE job.status = 'doing'
       AND (worker.id IS NULL OR worker.last_heartbeat < now() - make_interval(secs => %s))
"""


def _stalled() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(STALLED + " ORDER BY job.id", [DEAD_AFTER.total_seconds()])
        return [row[0] for row in cursor.fetchall()]


def _retried(job_id: int) -> bool:
    """Put a job back; False when a younger one with its queueing lock waits already."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT procrastinate_retry_job_v2(%s, now(), NULL, NULL, NULL)", [job_id]
            )
    except IntegrityError:
        return False
    return True


def _give_up(name: str, arguments: Mapping[str, Any], *, at: datetime) -> None:
    """Close the ledger row of a job that will not be tried again."""
    if name == "jobs.run_schedule":
        row = ScheduleRun.objects.filter(
            Q(outcome=ScheduleRun.Outcome.RUNNING) | Q(outcome=ScheduleRun.Outcome.WAITING),
            pk=arguments["row_id"],
        )
        row.update(outcome=ScheduleRun.Outcome.FAILED, finished_at=at, error=BROKEN_OFF)
    elif name == "jobs.perform_run":
        run = Run.objects.filter(pk=arguments["run_id"], state=Run.State.RUNNING)
        run.update(state=Run.State.FAILED, finished_at=at, error=BROKEN_OFF)


@transaction.atomic
def delete_old(*, at: datetime) -> tuple[int, int]:
    """Delete finished jobs of the queue and old ledger rows; answers how many of each.

    A job counts as old by its last event. Runs are kept: they are results that people own.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM procrastinate_jobs job
             WHERE (job.status = 'succeeded' AND NOT EXISTS (
                       SELECT 1 FROM procrastinate_events e
                        WHERE e.job_id = job.id AND e.at >= %s))
                OR (job.status IN ('failed', 'cancelled', 'aborted') AND NOT EXISTS (
                       SELECT 1 FROM procrastinate_events e
                        WHERE e.job_id = job.id AND e.at >= %s))
            """,
            [at - KEEP_FINISHED_JOBS, at - KEEP_FAILED_JOBS],
        )
        jobs = cursor.rowcount
    rows, _ = ScheduleRun.objects.filter(
        Q(outcome=ScheduleRun.Outcome.DONE, due_at__lt=at - KEEP_DONE_RUNS)
        | Q(finished_at__isnull=False, due_at__lt=at - KEEP_OTHER_RUNS)
    ).delete()
    return jobs, rows
