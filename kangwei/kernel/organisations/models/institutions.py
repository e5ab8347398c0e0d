"""Institutions (机构): what they are, what identifies them, and who stands above whom, when."""

from __future__ import annotations

from datetime import date
from typing import Self

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Func, Q

from kangwei.kernel.organisations.models.scope import ScopedQuerySet


class InstitutionKind(models.Model):
    """What an institution is: CDC, vaccination clinic, hospital … kept as data."""

    code = models.CharField("代码", max_length=30, primary_key=True)
    name = models.CharField("名称", max_length=40, unique=True)
    group = models.CharField("大类", max_length=20)
    order = models.PositiveSmallIntegerField("排序", default=0)

    class Meta:
        verbose_name = "机构类别"
        verbose_name_plural = "机构类别"
        default_permissions = ("view",)
        ordering = ("order", "code")

    def __str__(self) -> str:
        return self.name


class HospitalGrade(models.TextChoices):
    """Grades of the hospital review (医院评审): level 1 to 3, class A to C."""

    A3 = "3A", "三级甲等"
    B3 = "3B", "三级乙等"
    C3 = "3C", "三级丙等"
    N3 = "3", "三级（未定等）"
    A2 = "2A", "二级甲等"
    B2 = "2B", "二级乙等"
    C2 = "2C", "二级丙等"
    N2 = "2", "二级（未定等）"
    A1 = "1A", "一级甲等"
    B1 = "1B", "一级乙等"
    C1 = "1C", "一级丙等"
    N1 = "1", "一级（未定等）"
    NONE = "none", "未定级"


class InstitutionQuerySet(ScopedQuerySet["Institution"]):
    view_right = "organisations.view_institution"
    scope_path = "pk"

    def open_on(self, on: date) -> Self:
        return self.filter(Q(closed_on=None) | Q(closed_on__gt=on), opened_on__lte=on)


class Institution(models.Model):
    """An organisation with accounts and data of its own."""

    code = models.CharField("机构编码", max_length=30, unique=True)
    name = models.CharField("机构名称", max_length=100)
    short_name = models.CharField("简称", max_length=40)
    pinyin = models.CharField("拼音码", max_length=100, blank=True, db_index=True)
    kind = models.ForeignKey(InstitutionKind, models.PROTECT, verbose_name="机构类别")
    grade = models.CharField("医院等级", max_length=4, choices=HospitalGrade.choices, blank=True)
    region = models.ForeignKey(
        "organisations.Region", models.PROTECT, related_name="institutions", verbose_name="所在区划"
    )
    uscc = models.CharField("统一社会信用代码", max_length=18, null=True, blank=True, unique=True)
    address = models.CharField("地址", max_length=200, blank=True)
    telephone = models.CharField("联系电话", max_length=30, blank=True)
    opened_on = models.DateField("启用日期")
    closed_on = models.DateField("停用日期", null=True, blank=True)
    merged_into = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="merged",
        verbose_name="并入机构",
    )

    objects = InstitutionQuerySet.as_manager()

    class Meta:
        verbose_name = "机构"
        verbose_name_plural = "机构"
        default_permissions = ("view",)
        ordering = ("region_id", "code")
        permissions = [
            ("manage_institution", "维护机构"),
            ("move_institution", "调整机构隶属关系"),
            ("import_institution", "批量导入机构"),
        ]
        constraints = [
            models.CheckConstraint(
                name="organisations_institution_dates",
                condition=Q(closed_on=None) | Q(closed_on__gt=F("opened_on")),
                violation_error_message="停用日期应晚于启用日期。",
            ),
            models.CheckConstraint(
                name="organisations_institution_merged_is_closed",
                condition=Q(merged_into=None)
                | Q(closed_on__isnull=False) & ~Q(merged_into=F("pk")),
                violation_error_message="并入其他机构时应填写停用日期。",
            ),
            models.CheckConstraint(
                name="organisations_institution_uscc_form",
                condition=Q(uscc=None) | Q(uscc__regex=r"^[0-9A-HJ-NPQRTUWXY]{18}$"),
                violation_error_message="统一社会信用代码应为 18 位。",
            ),
        ]

    def __str__(self) -> str:
        return self.short_name or self.name

    def is_open(self, on: date) -> bool:
        return self.opened_on <= on and (self.closed_on is None or on < self.closed_on)


class IdentifierKind(models.TextChoices):
    ORGANISATION_CODE = "organisation_code", "组织机构代码"
    MEDICAL_LICENCE = "medical_licence", "医疗机构执业许可证登记号"
    VACCINATION_UNIT = "vaccination_unit", "接种单位编码"
    INSURANCE = "insurance", "医保定点机构编码"
    OTHER = "other", "其他编码"


class InstitutionIdentifier(models.Model):
    """A further number under which others know the institution."""

    institution = models.ForeignKey(
        Institution, models.CASCADE, related_name="identifiers", verbose_name="机构"
    )
    kind = models.CharField("编码类别", max_length=30, choices=IdentifierKind.choices)
    value = models.CharField("编码", max_length=40)

    class Meta:
        verbose_name = "机构其他编码"
        verbose_name_plural = "机构其他编码"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=("kind", "value"),
                name="organisations_identifier_once",
                violation_error_message="该编码已登记在其他机构。",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.value}"


class DateRange(Func):
    """PostgreSQL's daterange(from, to): a period includes its start and excludes its end."""

    function = "DATERANGE"
    output_field = DateRangeField()


class InstitutionParent(models.Model):
    """Who stood directly above an institution, from a day until a day (隶属关系)."""

    institution = models.ForeignKey(
        Institution, models.CASCADE, related_name="parents", verbose_name="机构"
    )
    parent = models.ForeignKey(
        Institution, models.PROTECT, related_name="children", verbose_name="上级机构"
    )
    valid_from = models.DateField("起始日期")
    valid_to = models.DateField("终止日期", null=True, blank=True)

    class Meta:
        verbose_name = "隶属关系"
        verbose_name_plural = "隶属关系"
        default_permissions = ()
        ordering = ("institution", "valid_from")
        constraints = [
            ExclusionConstraint(
                name="organisations_one_parent_at_a_time",
                expressions=[
                    (
                        DateRange("valid_from", "valid_to", RangeBoundary(inclusive_lower=True)),
                        RangeOperators.OVERLAPS,
                    ),
                    ("institution", RangeOperators.EQUAL),
                ],
                violation_error_message="同一时期只能有一个上级机构。",
            ),
            models.CheckConstraint(
                name="organisations_parent_dates",
                condition=Q(valid_to=None) | Q(valid_to__gt=F("valid_from")),
                violation_error_message="终止日期应晚于起始日期。",
            ),
            models.CheckConstraint(
                name="organisations_parent_is_another",
                condition=~Q(parent=F("institution")),
                violation_error_message="上级机构不能是机构自身。",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.institution} ← {self.parent}（{self.valid_from} 起）"


class InstitutionClosure(models.Model):
    """Who is above whom today, at any distance; each institution is above itself at 0.

    Kept by services for speed and rebuilt by `manage.py rebuild_closure` from the dated parents.
    """

    ancestor = models.ForeignKey(
        Institution, models.CASCADE, related_name="closure_below", verbose_name="上级机构"
    )
    descendant = models.ForeignKey(
        Institution, models.CASCADE, related_name="closure_above", verbose_name="下级机构"
    )
    depth = models.PositiveSmallIntegerField("层数")

    class Meta:
        verbose_name = "机构上下级"
        verbose_name_plural = "机构上下级"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=("ancestor", "descendant"), name="organisations_closure_once"
            ),
            models.CheckConstraint(
                name="organisations_closure_self_is_zero",
                condition=Q(depth=0, ancestor=F("descendant"))
                | Q(depth__gt=0) & ~Q(ancestor=F("descendant")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ancestor_id} > {self.descendant_id} ({self.depth})"


class DepartmentQuerySet(ScopedQuerySet["Department"]):
    view_right = "organisations.view_department"


class Department(models.Model):
    """A part of an institution (科室)."""

    institution = models.ForeignKey(
        Institution, models.CASCADE, related_name="departments", verbose_name="机构"
    )
    parent = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="children",
        verbose_name="上级科室",
    )
    code = models.CharField("科室编码", max_length=30)
    name = models.CharField("科室名称", max_length=60)
    pinyin = models.CharField("拼音码", max_length=60, blank=True)
    closed_on = models.DateField("停用日期", null=True, blank=True)

    objects = DepartmentQuerySet.as_manager()

    class Meta:
        verbose_name = "科室"
        verbose_name_plural = "科室"
        default_permissions = ("view",)
        ordering = ("institution", "code")
        permissions = [("manage_department", "维护科室")]
        constraints = [
            models.UniqueConstraint(
                fields=("institution", "code"),
                name="organisations_department_code_once",
                violation_error_message="该机构已有相同编码的科室。",
            ),
            models.CheckConstraint(
                name="organisations_department_parent_is_another",
                condition=Q(parent=None) | ~Q(parent=F("pk")),
                violation_error_message="上级科室不能是科室自身。",
            ),
        ]

    def __str__(self) -> str:
        return self.name
