"""Texts of notices (通知模板): registered by apps, editable by version."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from kangwei.kernel.organisations.models import Account


class TemplateVersion(models.Model):
    """One edited text of a registered template; the newest counts, older ones stay readable.

    Version 0 is the registered text itself and lives in the code.
    """

    template = models.CharField("模板", max_length=80)
    number = models.PositiveIntegerField("版本")
    title = models.CharField("标题", max_length=200)
    body = models.TextField("正文（Markdown）", max_length=8000)
    short = models.CharField("短文本（短信、语音）", max_length=500)
    note = models.CharField("修改说明", max_length=200)
    created_at = models.DateTimeField("修改时间")
    created_by = models.ForeignKey(Account, models.PROTECT, related_name="+", verbose_name="修改人")

    objects: ClassVar[models.Manager[TemplateVersion]] = models.Manager()

    class Meta:
        verbose_name = "通知模板版本"
        verbose_name_plural = "通知模板版本"
        ordering = ("template", "-number")
        default_permissions = ()
        permissions = [
            ("view_template", "查看通知模板"),
            ("manage_template", "修改通知模板"),
        ]
        constraints = [
            models.UniqueConstraint(
                name="notices_template_version_once", fields=["template", "number"]
            ),
            models.CheckConstraint(
                name="notices_template_version_from_one", condition=models.Q(number__gte=1)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.template} v{self.number}"
