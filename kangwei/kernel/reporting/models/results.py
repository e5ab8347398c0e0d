"""Results: kept for a while, frozen for good; who used which report; what a reader prefers."""

from __future__ import annotations

import uuid
from typing import Any, Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from kangwei.kernel import clock
from kangwei.kernel.organisations.models import Institution

from .. import registry


class OwnQuerySet(models.QuerySet[Any]):
    """Rows that belong to one account and to nobody else."""

    def visible_to(self, user: Any) -> Self:
        if not getattr(user, "is_authenticated", False):
            return self.none()
        return self.filter(account=user)


class KeptResult(models.Model):
    """A result kept for a day, so that sorting, paging and exporting speak of the same rows.

    Belongs to the account that ran it; encrypted when its report shows personal data.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name="账号"
    )
    report = models.CharField("报表", max_length=80)
    parameters = models.JSONField("条件", default=dict)
    made_at = models.DateTimeField("生成时间")
    expires_at = models.DateTimeField("保留至", db_index=True)
    content = models.BinaryField("内容")

    objects = OwnQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "报表结果"
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                name="reporting_kept_expires_later", condition=Q(expires_at__gt=models.F("made_at"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.report} {clock.local(self.made_at):%Y-%m-%d %H:%M}"


class UseAct(models.TextChoices):
    RUN = "run", "查询"
    DRILL = "drill", "查看明细"
    EXPORT = "export", "导出"
    PRINT = "print", "打印"
    FREEZE = "freeze", "固化"
    COMPARE = "compare", "比较"
    DELIVER = "deliver", "订阅送达"


class ReportUseQuerySet(models.QuerySet["ReportUse"]):
    def visible_to(self, user: Any) -> Self:
        if not getattr(user, "is_authenticated", False):
            return self.none()
        return user.scope("reporting.view_usage").limit(self, "institution")  # type: ignore[no-any-return]


class ReportUse(models.Model):
    """The ledger of use (报表使用记录): who ran, exported, froze or printed what. Written once."""

    report = models.CharField("报表", max_length=80)
    act = models.CharField("操作", max_length=10, choices=UseAct.choices)
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="账号"
    )
    institution = models.ForeignKey(
        Institution, models.PROTECT, related_name="+", verbose_name="机构"
    )
    format = models.CharField("格式", max_length=10, blank=True)
    rows = models.PositiveIntegerField("行数", default=0)
    milliseconds = models.PositiveIntegerField("耗时（毫秒）", default=0)
    at = models.DateTimeField("时间")

    objects = ReportUseQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "报表使用记录"
        default_permissions = ()
        permissions = [("view_usage", "查看报表使用统计")]
        indexes = [
            models.Index(fields=["at", "report"], name="reporting_use_at"),
            models.Index(fields=["account", "-at"], name="reporting_use_account"),
        ]

    def __str__(self) -> str:
        return f"{self.get_act_display()} {self.report}"


class SnapshotQuerySet(models.QuerySet["Snapshot"]):
    def visible_to(self, user: Any) -> Self:
        """Snapshots of reports the account may see, whose institutions its scope covers whole.

        One condition per scope: reports that share a right share it too.
        """
        if not getattr(user, "is_authenticated", False):
            return self.none()
        reached = Q(pk__in=[])
        by_right: dict[str, list[str]] = {}
        for report in registry.reports():
            if user.has_perm(report.right):
                by_right.setdefault(report.right, []).append(report.code)
        for right, codes in by_right.items():
            scope = user.scope(right)
            mine = Q(report__in=codes)
            if not scope.everything:
                held = scope.limit(Institution.objects.all(), "pk").values_list("pk", flat=True)
                mine &= Q(everything=False, covers__contained_by=list(held))
            reached |= mine
        return self.filter(reached)


class Snapshot(models.Model):
    """A frozen report (固化报表): a result with its cut-off, definition and digest, for good.

    Rows live in chunks. A trigger refuses every change; nothing here is ever computed again.
    """

    report = models.CharField("报表代码", max_length=80)
    title = models.CharField("报表", max_length=100)
    name = models.CharField("固化名称", max_length=120)
    version = models.PositiveIntegerField("定义版本")
    definition_digest = models.CharField("定义摘要", max_length=64)
    parameters = models.JSONField("条件", default=dict)
    parameter_words = models.CharField("条件说明", max_length=500, blank=True)
    cutoff = models.DateTimeField("数据截止")
    rows = models.PositiveIntegerField("行数")
    #: Columns, totals, subtotals and chart, in the reader's words of that day.
    frame = models.BinaryField("表头与合计")
    #: The institutions whose rows it holds; `everything`: not limited to institutions by name.
    covers = ArrayField(models.BigIntegerField(), verbose_name="覆盖机构", default=list)
    everything = models.BooleanField("覆盖全部机构", default=False)
    personal = models.BooleanField("含个人信息", default=False)
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="固化人"
    )
    institution = models.ForeignKey(
        Institution, models.PROTECT, related_name="+", verbose_name="固化机构"
    )
    frozen_at = models.DateTimeField("固化时间")
    plan = models.ForeignKey(
        "reporting.SnapshotPlan",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="snapshots",
        verbose_name="固化计划",
    )
    slot = models.DateTimeField("计划时点", null=True, blank=True)
    digest = models.CharField("摘要（SM3）", max_length=64)
    signature = models.CharField("签名", max_length=256)
    signature_algorithm = models.CharField("签名算法", max_length=16)
    signature_key = models.CharField("签名密钥", max_length=64)

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "固化报表"
        ordering = ("-frozen_at", "-id")
        default_permissions = ()
        permissions = [
            ("freeze_report", "固化报表"),
            ("export_report", "导出报表"),
        ]
        indexes = [models.Index(fields=["report", "-frozen_at"], name="reporting_snapshot_recent")]
        constraints = [
            models.UniqueConstraint(
                name="reporting_snapshot_once_per_slot",
                fields=["plan", "slot"],
                condition=Q(plan__isnull=False),
            ),
            models.CheckConstraint(
                name="reporting_snapshot_plan_has_slot",
                condition=Q(plan=None, slot=None) | Q(plan__isnull=False, slot__isnull=False),
            ),
            models.CheckConstraint(
                name="reporting_snapshot_digest_form",
                condition=Q(
                    digest__regex=r"^[0-9a-f]{64}$", definition_digest__regex=r"^[0-9a-f]{64}$"
                ),
            ),
            models.CheckConstraint(
                name="reporting_snapshot_cutoff_not_later",
                condition=Q(cutoff__lte=models.F("frozen_at")),
            ),
            models.CheckConstraint(
                name="reporting_snapshot_everything_or_listed",
                condition=Q(everything=False) | Q(covers=[]),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class SnapshotChunk(models.Model):
    """Some thousand rows of a snapshot, compressed by column; encrypted when personal."""

    snapshot = models.ForeignKey(
        Snapshot, models.PROTECT, related_name="chunks", verbose_name="固化报表"
    )
    number = models.PositiveIntegerField("序号")
    content = models.BinaryField("内容")

    class Meta:
        verbose_name = verbose_name_plural = "固化报表内容"
        default_permissions = ()
        ordering = ("number",)
        constraints = [
            models.UniqueConstraint(name="reporting_chunk_once", fields=["snapshot", "number"]),
        ]

    def __str__(self) -> str:
        return f"{self.snapshot_id} #{self.number}"


class Favourite(models.Model):
    """A report somebody keeps at the top of the index (收藏)."""

    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name="账号"
    )
    report = models.CharField("报表", max_length=80)

    objects = OwnQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "收藏的报表"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="reporting_favourite_once", fields=["account", "report"]),
        ]

    def __str__(self) -> str:
        return self.report


class ColumnChoice(models.Model):
    """The columns a reader wants to see in one report (列设置)."""

    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name="账号"
    )
    report = models.CharField("报表", max_length=80)
    columns = ArrayField(models.CharField(max_length=60), verbose_name="显示的列")

    objects = OwnQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "报表列设置"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="reporting_columns_once", fields=["account", "report"]),
        ]

    def __str__(self) -> str:
        return self.report
