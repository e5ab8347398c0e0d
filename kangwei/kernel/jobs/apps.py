"""Start-up of jobs (后台任务)."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "kangwei.kernel.jobs"
    label = "jobs"
    verbose_name = "后台任务"

    def ready(self) -> None:
        from kangwei.kernel.audit import services as audit

        from . import services, tasks  # noqa: F401  # tasks register themselves
        from .models import KnownSchedule, Run, SchedulePause, ScheduleRun

        audit.register_acts(
            {
                "jobs.run.started": "发起后台任务",
                "jobs.run.cancelled": "取消后台任务",
                "jobs.schedule.run_by_hand": "手工执行定时任务",
                "jobs.schedule.paused": "暂停定时任务",
                "jobs.schedule.resumed": "恢复定时任务",
            }
        )
        audit.journal(SchedulePause)
        audit.exempt(KnownSchedule, reason="由程序登记的定时任务清单，不由人修改")
        audit.segment(
            ScheduleRun._meta.db_table,
            "recorded_at",
            ["id", "schedule_id", "due_at", "how", "by_id", "recorded_at"],
            kept_for=services.KEEP_DONE_RUNS,
        )
        audit.segment(
            Run._meta.db_table,
            "created_at",
            ["id", "kind", "title", "owner_id", "arguments", "created_at"],
        )
