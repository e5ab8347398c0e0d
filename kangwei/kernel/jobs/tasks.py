"""The two tasks by which the queue carries schedules and long runs, and the daily tidying."""

from __future__ import annotations

import logging
from datetime import datetime

from kangwei.kernel import clock
from kangwei.kernel.refusals import Refusal

from . import registry, services
from .models import Cancelled, Run, ScheduleRun, Superseded
from .registry import DATABASE_LOST, Interrupted, Retry, schedule, task

logger = logging.getLogger("kangwei.jobs")


@task(name="jobs.run_schedule", queue="schedules")
def run_schedule(*, row_id: int) -> None:
    """Run one due moment of a schedule and write how it went into its ledger row."""
    row = ScheduleRun.objects.get(pk=row_id)
    if row.finished_at is not None:
        return  # the worker was killed after the work and before the queue learned of it
    started = clock.now()
    mine = ScheduleRun.objects.filter(pk=row.pk)
    mine.update(outcome=ScheduleRun.Outcome.RUNNING, started_at=started)
    found = registry.schedules().get(row.schedule_id)
    summary, error = "", ""
    try:
        if found is None:
            error = "该定时任务已不存在。"
        else:
            summary = found.work(started) or "完成。"
    except (*DATABASE_LOST, Interrupted):
        raise
    except Refusal as refusal:
        error = refusal.message
    except Exception as failure:
        logger.exception("jobs.schedule.failed", extra={"schedule": row.schedule_id})
        error = f"程序出错（{type(failure).__name__}），详情见编号 {row.pk} 的运行日志。"
    outcome = ScheduleRun.Outcome.FAILED if error else ScheduleRun.Outcome.DONE
    mine.update(outcome=outcome, finished_at=clock.now(), summary=summary[:500], error=error[:500])


@task(name="jobs.perform_run", queue="runs", retry=Retry())
def perform_run(*, run_id: int) -> None:
    """Take a long run up and write how it ended."""
    run = services.claim_run(run_id=run_id, at=clock.now())
    if run is None:
        return
    kind = registry.run_kinds().get(run.kind)
    try:
        if kind is None:
            state, error, result = Run.State.FAILED, "该类后台任务已不存在。", None
        else:
            result = kind.work(run)
            state, error = Run.State.DONE, ""
    except Superseded:
        return
    except DATABASE_LOST:
        raise
    except Interrupted:
        services.end_run(run=run, state=Run.State.WAITING, at=clock.now())
        raise
    except Cancelled:
        state, error, result = Run.State.CANCELLED, "", None
    except Refusal as refusal:
        state, error, result = Run.State.FAILED, refusal.message, None
    except Exception as failure:
        logger.exception("jobs.run.failed", extra={"run": run.pk, "kind": run.kind})
        error = f"程序出错（{type(failure).__name__}），请把任务编号 {run.pk} 告诉系统管理员。"
        state, result = Run.State.FAILED, None
    services.end_run(run=run, state=state, at=clock.now(), result=result, error=error)


@schedule(
    name="jobs.tidy",
    title="清理已结束的后台任务",
    cron="20 3 * * *",
    description="删除一周前完成的队列任务和过期的定时运行记录，失败的保留更久。",
)
def tidy(at: datetime) -> str:
    """Daily tidying of the queue and of the ledger of schedules."""
    jobs, rows = services.delete_old(at=at)
    return f"删除队列任务 {jobs} 条、运行记录 {rows} 条。"
