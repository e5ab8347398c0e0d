"""What a site adds to the shipped arrangements: loaded years, calendars of its own, single days.

Rows are written once. A correction is a new version; the latest one counts.
"""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

STATUTORY = "statutory"


class Arrangement(models.Model):
    """One loaded version of a year's holiday arrangement (节假日安排)."""

    year = models.PositiveSmallIntegerField("年份")
    version = models.PositiveSmallIntegerField("版本")
    title = models.CharField("名称", max_length=100)
    source = models.CharField("来源", max_length=200)
    published_on = models.DateField("发布日期")
    content = models.JSONField("安排")
    file_digest = models.CharField("文件摘要", max_length=64)
    loaded_at = models.DateTimeField("导入时间")
    loaded_by = models.CharField("导入人", max_length=200, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "节假日安排"
        ordering = ["-year", "-version"]
        default_permissions = ("view",)
        permissions = [("manage_calendar", "维护工作日历")]
        constraints = [
            models.UniqueConstraint(
                fields=["year", "version"], name="calendar_arrangement_version_once"
            ),
            models.CheckConstraint(
                name="calendar_arrangement_plausible_year",
                condition=Q(year__gte=2000, year__lte=2100, version__gte=1),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title}（第 {self.version} 版）"


class LocalCalendar(models.Model):
    """A calendar of a site's own, on top of the statutory one (本地日历)."""

    code = models.CharField(
        "代码",
        max_length=40,
        primary_key=True,
        validators=[
            RegexValidator(r"^[a-z][a-z0-9_-]*$", "代码只能用小写字母、数字、下划线和短横线。")
        ],
    )
    name = models.CharField("名称", max_length=100)

    class Meta:
        verbose_name = verbose_name_plural = "本地日历"
        ordering = ["code"]
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(
                name="calendar_local_is_not_statutory", condition=~Q(code=STATUTORY)
            )
        ]

    def __str__(self) -> str:
        return self.name


class Override(models.Model):
    """One word of a local calendar on one date; the latest word on a date counts (日期调整)."""

    calendar = models.ForeignKey(LocalCalendar, models.PROTECT, verbose_name="日历")
    day = models.DateField("日期")
    version = models.PositiveSmallIntegerField("版本")
    #: Nothing means: back to what the arrangement says.
    working = models.BooleanField("上班", null=True)
    note = models.CharField("说明", max_length=200)
    recorded_at = models.DateTimeField("登记时间")
    recorded_by = models.CharField("登记人", max_length=200, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "日期调整"
        ordering = ["-day", "-version"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["calendar", "day", "version"], name="calendar_override_version_once"
            ),
            models.CheckConstraint(
                name="calendar_override_says_why", condition=~Q(note="") & Q(version__gte=1)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.calendar} {self.day}"
