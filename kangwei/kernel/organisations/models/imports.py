"""Bulk import (批量导入): an uploaded sheet, judged row by row, written only when confirmed."""

from __future__ import annotations

from typing import Any, Self

from django.db import models

from kangwei.kernel.crypto.fields import EncryptedTextField
from kangwei.kernel.organisations.models.accounts import Account


class ImportKind(models.TextChoices):
    INSTITUTIONS = "institutions", "机构"
    ACCOUNTS = "accounts", "账号"


class ImportState(models.TextChoices):
    PREVIEW = "preview", "待确认"
    CONFIRMED = "confirmed", "已导入"
    DISCARDED = "discarded", "已放弃"


class ImportBatchQuerySet(models.QuerySet["ImportBatch"]):
    def visible_to(self, user: Any) -> Self:
        """An upload is seen by the person who brought it."""
        return self.filter(uploaded_by=user) if user.is_authenticated else self.none()


class ImportBatch(models.Model):
    """One uploaded sheet and what became of it."""

    kind = models.CharField("内容", max_length=12, choices=ImportKind.choices)
    file_name = models.CharField("文件名", max_length=200)
    file_digest = models.CharField("文件摘要", max_length=64)
    uploaded_by = models.ForeignKey(
        Account, models.PROTECT, related_name="imports", verbose_name="上传人"
    )
    uploaded_at = models.DateTimeField("上传时间")
    state = models.CharField(
        "状态", max_length=10, choices=ImportState.choices, default=ImportState.PREVIEW
    )
    confirmed_at = models.DateTimeField("确认时间", null=True, blank=True)
    written = models.PositiveIntegerField("已写入行数", default=0)

    objects = ImportBatchQuerySet.as_manager()

    class Meta:
        verbose_name = "批量导入"
        verbose_name_plural = "批量导入"
        default_permissions = ()
        ordering = ("-uploaded_at",)

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.file_name}"


class ImportRow(models.Model):
    """One row of the sheet. The values are encrypted: they may hold phone and ID numbers."""

    batch = models.ForeignKey(ImportBatch, models.CASCADE, related_name="rows", verbose_name="批次")
    number = models.PositiveIntegerField("行号")
    content = EncryptedTextField("内容")
    problems = models.JSONField("问题", default=list, blank=True)
    result_id = models.BigIntegerField("写入对象", null=True, blank=True)

    class Meta:
        verbose_name = "导入行"
        verbose_name_plural = "导入行"
        default_permissions = ()
        ordering = ("batch", "number")
        constraints = [
            models.UniqueConstraint(
                fields=("batch", "number"), name="organisations_import_row_once"
            ),
        ]

    def __str__(self) -> str:
        return f"第 {self.number} 行"
