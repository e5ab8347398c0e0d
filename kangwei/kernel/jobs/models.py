"""Tables of background work: known schedules, their pauses, their ledger, and long runs."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from kangwei.kernel import clock

from . import stopping
from .registry import Interrupted

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from kangwei.kernel.organisations.models import Account

#: A run tells its progress at most this often, in seconds: a bar needs no more.
PROGRESS_EVERY = 1.0


class Cancelled(Exception):
    """Somebody asked for this run to be cancelled; its work ends here."""


class Superseded(Exception):
    """Another worker has taken this run over, because this one seemed dead."""


class KnownSchedule(models.Model):
    """A schedule that a worker has met, and since when its present cron line is in force.

    Nothing was owed before that moment, so a new schedule or a changed cron line does not
    fill the page with moments that were never missed.
    """

    name = models.CharField("名称", max_length=100, primary_key=True)
    title = models.CharField("标题", max_length=100)
    cron = models.CharField("周期", max_length=60)
    in_force_since = models.DateTimeField("生效时间")
    retired_at = models.DateTimeField("停用时间", null=True)

    class Meta:
        verbose_name = verbose_name_plural = "定时任务"
        default_permissions = ()
        permissions = [
            ("view_schedule", "查看定时任务"),
            ("manage_schedule", "执行和暂停定时任务"),
        ]

    def __str__(self) -> str:
        return self.title


class SchedulePause(models.Model):
    """Somebody paused a schedule, with a reason; moments inside a pause were not owed."""

    schedule = models.ForeignKey(
        KnownSchedule, models.PROTECT, related_name="pauses", verbose_name="定时任务"
    )
    from_at = models.DateTimeField("暂停时间")
    reason = models.CharField("原因", max_length=200)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="暂停人"
    )
    until_at = models.DateTimeField("恢复时间", null=True)
    resumed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name="恢复人"
    )

    class Meta:
        verbose_name = verbose_name_plural = "定时任务暂停"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                name="jobs_pause_one_open", fields=["schedule"], condition=Q(until_at=None)
            ),
            models.CheckConstraint(
                name="jobs_pause_resumed_by_someone",
                condition=Q(until_at=None, resumed_by=None)
                | Q(until_at__gt=models.F("from_at"), resumed_by__isnull=False),
            ),
            models.CheckConstraint(name="jobs_pause_has_reason", condition=~Q(reason="")),
        ]

    def __str__(self) -> str:
        return f"{self.schedule_id} {clock.local(self.from_at):%Y-%m-%d %H:%M}"


class ScheduleRun(models.Model):
    """The ledger of schedules (运行记录): one row per due moment, written once."""

    class How(models.TextChoices):
        TIMED = "timed", "定时"
        MADE_UP = "made_up", "补做"
        BY_HAND = "by_hand", "手工"

    class Outcome(models.TextChoices):
        WAITING = "waiting", "等待"
        RUNNING = "running", "运行中"
        DONE = "done", "完成"
        FAILED = "failed", "失败"
        SKIPPED = "skipped", "跳过"

    schedule = models.ForeignKey(
        KnownSchedule, models.PROTECT, related_name="runs", verbose_name="定时任务"
    )
    due_at = models.DateTimeField("应执行时间")
    how = models.CharField("方式", max_length=10, choices=How.choices)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name="执行人"
    )
    recorded_at = models.DateTimeField("登记时间")
    outcome = models.CharField(
        "结果", max_length=10, choices=Outcome.choices, default=Outcome.WAITING
    )
    started_at = models.DateTimeField("开始时间", null=True)
    finished_at = models.DateTimeField("结束时间", null=True)
    summary = models.CharField("摘要", max_length=500, blank=True)
    error = models.CharField("错误", max_length=500, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "定时任务运行记录"
        default_permissions = ()
        indexes = [models.Index(fields=["-due_at"], name="jobs_schedulerun_recent")]
        constraints = [
            models.UniqueConstraint(name="jobs_schedulerun_once", fields=["schedule", "due_at"]),
            models.CheckConstraint(
                name="jobs_schedulerun_by_hand_by_whom",
                condition=Q(how="by_hand", by__isnull=False)
                | (~Q(how="by_hand") & Q(by__isnull=True)),
            ),
            models.CheckConstraint(
                name="jobs_schedulerun_outcome_times",
                condition=Q(outcome="waiting", started_at=None, finished_at=None)
                | Q(outcome="running", started_at__isnull=False, finished_at=None)
                | Q(outcome="done", started_at__isnull=False, finished_at__isnull=False)
                | Q(outcome__in=["failed", "skipped"], finished_at__isnull=False),
            ),
            models.CheckConstraint(
                name="jobs_schedulerun_failed_with_error",
                condition=Q(outcome="failed") & ~Q(error="") | ~Q(outcome="failed") & Q(error=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.schedule_id} {clock.local(self.due_at):%Y-%m-%d %H:%M}"


class RunQuerySet(models.QuerySet["Run"]):
    def visible_to(self, user: Account | AnonymousUser) -> Self:
        """One's own runs; all of them with the right to watch over background work."""
        if not user.is_authenticated:
            return self.none()
        if user.has_perm("jobs.view_all_runs"):
            return self
        return self.filter(owner=user.pk)

    def open(self) -> Self:
        return self.filter(state__in=[Run.State.WAITING, Run.State.RUNNING])


class Run(models.Model):
    """One time a long work happened (长任务): who wanted it, how far it is, how it ended."""

    class State(models.TextChoices):
        WAITING = "waiting", "等待"
        RUNNING = "running", "运行中"
        DONE = "done", "完成"
        FAILED = "failed", "失败"
        CANCELLED = "cancelled", "已取消"

    kind = models.CharField("类型", max_length=80)
    title = models.CharField("标题", max_length=200)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name="发起人"
    )
    arguments = models.JSONField("参数", default=dict)
    state = models.CharField("状态", max_length=10, choices=State.choices, default=State.WAITING)
    done = models.PositiveBigIntegerField("已完成", default=0)
    total = models.PositiveBigIntegerField("总数", default=0)
    note = models.CharField("进度说明", max_length=200, blank=True)
    result = models.JSONField("结果", null=True)
    error = models.CharField("错误", max_length=500, blank=True)
    #: Counts the workers that took this run up; a worker that was given up for dead writes no more.
    attempt = models.PositiveIntegerField("第几次执行", default=0)
    created_at = models.DateTimeField("创建时间")
    started_at = models.DateTimeField("开始时间", null=True)
    heartbeat_at = models.DateTimeField("最近进展", null=True)
    finished_at = models.DateTimeField("结束时间", null=True)
    cancel_requested_at = models.DateTimeField("请求取消时间", null=True)
    cancel_requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name="取消人"
    )

    objects: ClassVar[models.Manager[Run]] = models.Manager.from_queryset(RunQuerySet)()

    class Meta:
        verbose_name = verbose_name_plural = "长任务"
        default_permissions = ()
        permissions = [
            ("view_all_runs", "查看全部后台任务"),
            ("cancel_any_run", "取消他人的后台任务"),
        ]
        indexes = [
            models.Index(fields=["owner", "-created_at"], name="jobs_run_owner_recent"),
            models.Index(
                fields=["created_at"],
                condition=Q(state__in=["waiting", "running"]),
                name="jobs_run_open",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="jobs_run_state_times",
                condition=Q(state="waiting", finished_at=None)
                | Q(state="running", started_at__isnull=False, finished_at=None)
                | Q(
                    state__in=["done", "failed"],
                    started_at__isnull=False,
                    finished_at__isnull=False,
                )
                | Q(state="cancelled", finished_at__isnull=False),
            ),
            models.CheckConstraint(
                name="jobs_run_failed_with_error",
                condition=Q(state="failed") & ~Q(error="") | ~Q(state="failed") & Q(error=""),
            ),
            models.CheckConstraint(
                name="jobs_run_result_when_done",
                condition=Q(state="done") | Q(result__isnull=True),
            ),
            models.CheckConstraint(
                name="jobs_run_cancelled_by_someone",
                condition=Q(cancel_requested_at=None, cancel_requested_by=None)
                | Q(cancel_requested_at__isnull=False, cancel_requested_by__isnull=False),
            ),
            models.CheckConstraint(
                name="jobs_run_cancelled_on_request",
                condition=~Q(state="cancelled") | Q(cancel_requested_at__isnull=False),
            ),
            models.CheckConstraint(
                name="jobs_run_not_beyond_total",
                condition=Q(total=0) | Q(done__lte=models.F("total")),
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_open(self) -> bool:
        return self.state in {self.State.WAITING, self.State.RUNNING}

    @property
    def percent(self) -> int | None:
        """How far it is, where the total is known."""
        return self.done * 100 // self.total if self.total else None

    _told_at: float = 0.0

    def progress(self, done: int, total: int = 0, note: str = "") -> None:
        """Tell how far the work is; to be called outside transactions, between two steps.

        Written at most once a second. Raises Cancelled when somebody asked for it, Superseded
        when another worker has taken the run over, Interrupted when this worker is to stop.
        """
        if stopping.requested():
            raise Interrupted
        last = total and done >= total
        if time.monotonic() - self._told_at < PROGRESS_EVERY and not last:
            return
        self._told_at = time.monotonic()
        self.done, self.total, self.note = done, max(total, done) if total else 0, note[:200]
        mine = Run.objects.filter(pk=self.pk, attempt=self.attempt, state=self.State.RUNNING)
        if not mine.update(
            done=self.done, total=self.total, note=self.note, heartbeat_at=clock.now()
        ):
            raise Superseded
        asked: datetime | None = mine.values_list("cancel_requested_at", flat=True).first()
        if asked is not None:
            raise Cancelled
