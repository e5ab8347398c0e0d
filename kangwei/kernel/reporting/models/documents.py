"""Documents (文档): numbered, versioned, sealed; their texts, files and style templates."""

from __future__ import annotations

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from kangwei.kernel.organisations.models import Institution

from .. import registry


class StyleTemplateQuerySet(models.QuerySet["StyleTemplate"]):
    def visible_to(self, user: Any) -> Self:
        """Templates of the site, and those of institutions in scope."""
        if not getattr(user, "is_authenticated", False):
            return self.none()
        scope = user.scope("reporting.manage_template")
        condition = scope.condition("institution") if scope else Q(institution=user.institution_id)
        if condition is None:
            return self.all()
        return self.filter(condition | Q(institution=None) | Q(institution=user.institution_id))


class StyleTemplate(models.Model):
    """A customer's Word template (样式模板), checked when it was uploaded."""

    name = models.CharField("名称", max_length=80)
    institution = models.ForeignKey(
        Institution,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="所属机构",
    )
    content = models.BinaryField("文件")
    digest = models.CharField("摘要（SM3）", max_length=64)
    #: Role of a style → its name in this template, where it differs from ours.
    styles = models.JSONField("样式对应", default=dict)
    active = models.BooleanField("启用", default=True)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="上传人"
    )
    uploaded_at = models.DateTimeField("上传时间")

    objects = StyleTemplateQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "文档样式模板"
        ordering = ("name", "-uploaded_at")
        default_permissions = ()
        permissions = [("manage_template", "维护文档样式模板")]

    def __str__(self) -> str:
        return self.name


class DocumentSeries(models.Model):
    """The last serial number given out for a kind and year; locked while a number is taken."""

    kind = models.CharField("文档种类", max_length=80)
    year = models.PositiveSmallIntegerField("年度")
    last = models.PositiveIntegerField("最后流水号", default=0)

    class Meta:
        verbose_name = verbose_name_plural = "文档编号"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="reporting_series_once", fields=["kind", "year"]),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.year}: {self.last}"


def of_visible_kinds(user: Any, prefix: str = "") -> Q:
    """Documents of kinds the account may see, of institutions in its scope for that kind."""
    reached = Q(pk__in=[])
    by_right: dict[str, list[str]] = {}
    for kind in registry.document_kinds():
        if user.has_perm(kind.right):
            by_right.setdefault(kind.right, []).append(kind.code)
    for right, codes in by_right.items():
        condition = user.scope(right).condition(f"{prefix}institution")
        mine = Q(**{f"{prefix}kind__in": codes})
        reached |= mine if condition is None else mine & condition
    return reached


class DocumentQuerySet(models.QuerySet["Document"]):
    def visible_to(self, user: Any) -> Self:
        if not getattr(user, "is_authenticated", False):
            return self.none()
        return self.filter(of_visible_kinds(user))


class Document(models.Model):
    """One document of a kind, an institution and a period. Its number comes with the first seal."""

    kind = models.CharField("文档种类", max_length=80)
    title = models.CharField("标题", max_length=120)
    institution = models.ForeignKey(
        Institution, models.PROTECT, related_name="+", verbose_name="机构"
    )
    period = models.CharField("期间", max_length=30)
    period_label = models.CharField("期间名称", max_length=40)
    year = models.PositiveSmallIntegerField("年度")
    serial = models.PositiveIntegerField("流水号", null=True, blank=True)
    number = models.CharField("编号", max_length=40, null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="建立人"
    )
    created_at = models.DateTimeField("建立时间")

    objects = DocumentQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "文档"
        ordering = ("-created_at", "-id")
        default_permissions = ()
        permissions = [
            ("write_document", "编制文档"),
            ("seal_document", "封存文档"),
            ("release_document", "导出对外副本"),
        ]
        constraints = [
            models.UniqueConstraint(name="reporting_document_number", fields=["number"]),
            models.UniqueConstraint(
                name="reporting_document_serial", fields=["kind", "year", "serial"]
            ),
            models.CheckConstraint(
                name="reporting_document_numbered_whole",
                condition=Q(number=None, serial=None)
                | Q(number__isnull=False, serial__isnull=False, serial__gte=1),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number or '草稿'} {self.title} {self.period_label}"


class VersionState(models.TextChoices):
    DRAFT = "draft", "草稿"
    SEALED = "sealed", "已封存"
    DISCARDED = "discarded", "已作废"


class DocumentVersionQuerySet(models.QuerySet["DocumentVersion"]):
    def visible_to(self, user: Any) -> Self:
        if not getattr(user, "is_authenticated", False):
            return self.none()
        return self.filter(of_visible_kinds(user, "document__"))


class DocumentVersion(models.Model):
    """One version: a draft until it is sealed, then unchangeable (a trigger holds it)."""

    State = VersionState

    document = models.ForeignKey(
        Document, models.PROTECT, related_name="versions", verbose_name="文档"
    )
    version = models.PositiveIntegerField("版本")
    state = models.CharField(
        "状态", max_length=10, choices=VersionState.choices, default=VersionState.DRAFT
    )
    kind_version = models.PositiveIntegerField("种类版本")
    cutoff = models.DateTimeField("数据截止")
    #: The block tree; typed texts of a draft stand in their own rows until the seal.
    tree = models.JSONField("内容")
    reason = models.CharField("更正原因", max_length=300, blank=True)
    template = models.ForeignKey(
        StyleTemplate,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="样式模板",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="编制人"
    )
    created_at = models.DateTimeField("编制时间")
    sealed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="封存人",
    )
    sealed_at = models.DateTimeField("封存时间", null=True, blank=True)
    tree_digest = models.CharField("正文摘要（SM3）", max_length=64, blank=True)
    digest = models.CharField("封存摘要（SM3）", max_length=64, blank=True)
    signature = models.CharField("签名", max_length=256, blank=True)
    signature_algorithm = models.CharField("签名算法", max_length=16, blank=True)
    signature_key = models.CharField("签名密钥", max_length=64, blank=True)

    objects = DocumentVersionQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "文档版本"
        ordering = ("document", "-version")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="reporting_version_once", fields=["document", "version"]),
            models.UniqueConstraint(
                name="reporting_version_one_draft",
                fields=["document"],
                condition=Q(state="draft"),
            ),
            models.CheckConstraint(
                name="reporting_version_sealed_whole",
                condition=Q(
                    state="sealed",
                    sealed_by__isnull=False,
                    sealed_at__isnull=False,
                    digest__regex=r"^[0-9a-f]{64}$",
                    tree_digest__regex=r"^[0-9a-f]{64}$",
                )
                & ~Q(signature="")
                | ~Q(state="sealed") & Q(sealed_by=None, sealed_at=None, digest="", signature=""),
            ),
            models.CheckConstraint(
                name="reporting_version_correction_has_reason",
                condition=Q(version=1) | ~Q(reason=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.document} 第 {self.version} 版"

    @property
    def is_draft(self) -> bool:
        return self.state == VersionState.DRAFT

    @property
    def is_sealed(self) -> bool:
        return self.state == VersionState.SEALED


class TypedText(models.Model):
    """The text of one typed section of a draft. `revision` tells two editors apart."""

    version = models.ForeignKey(
        DocumentVersion, models.PROTECT, related_name="texts", verbose_name="文档版本"
    )
    section = models.CharField("章节", max_length=60)
    text = models.TextField("内容", blank=True)
    revision = models.PositiveIntegerField("修订号", default=1)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="填写人"
    )
    at = models.DateTimeField("填写时间")

    class Meta:
        verbose_name = verbose_name_plural = "文档填写内容"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="reporting_text_once", fields=["version", "section"]),
        ]

    def __str__(self) -> str:
        return f"{self.version_id} {self.section}"


class DocumentFile(models.Model):
    """A sealed file, byte for byte."""

    class Format(models.TextChoices):
        WORD = "docx", "Word"
        PDF = "pdf", "PDF"

    version = models.ForeignKey(
        DocumentVersion, models.PROTECT, related_name="files", verbose_name="文档版本"
    )
    format = models.CharField("格式", max_length=5, choices=Format.choices)
    content = models.BinaryField("文件")
    digest = models.CharField("摘要（SM3）", max_length=64)

    class Meta:
        verbose_name = verbose_name_plural = "文档文件"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="reporting_file_once", fields=["version", "format"]),
        ]

    def __str__(self) -> str:
        return f"{self.version_id}.{self.format}"
