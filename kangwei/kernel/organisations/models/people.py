"""Staff (业务人员): the people who work at institutions, and what they are qualified for."""

from __future__ import annotations

from datetime import date
from typing import Self

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Q

from kangwei.kernel.crypto.fields import DigestField, EncryptedTextField
from kangwei.kernel.organisations.models.institutions import DateRange, Department, Institution
from kangwei.kernel.organisations.models.scope import ScopedQuerySet


class Sex(models.TextChoices):
    """GB/T 2261.1."""

    UNKNOWN = "0", "未知"
    MALE = "1", "男"
    FEMALE = "2", "女"


class StaffQuerySet(ScopedQuerySet["Staff"]):
    view_right = "organisations.view_staff"

    def employed_on(self, on: date) -> Self:
        return self.filter(Q(left_on=None) | Q(left_on__gt=on))


class Staff(models.Model):
    """A person who works at an institution. Number and phone are encrypted at rest."""

    institution = models.ForeignKey(
        Institution, models.PROTECT, related_name="staff", verbose_name="机构"
    )
    department = models.ForeignKey(
        Department, models.PROTECT, null=True, blank=True, related_name="staff", verbose_name="科室"
    )
    number = models.CharField("工号", max_length=30, blank=True)
    name = models.CharField("姓名", max_length=40)
    pinyin = models.CharField("拼音码", max_length=40, blank=True, db_index=True)
    sex = models.CharField("性别", max_length=1, choices=Sex.choices, default=Sex.UNKNOWN)
    id_number = EncryptedTextField(
        "身份证号", blank=True, digest_column="id_number_digest", purpose="id_number"
    )
    id_number_digest = DigestField("id_number")
    phone = EncryptedTextField("手机号", blank=True, digest_column="phone_digest", purpose="phone")
    phone_digest = DigestField("phone")
    email = models.EmailField("电子邮箱", blank=True)
    title = models.CharField("职称", max_length=40, blank=True)
    position = models.CharField("职务", max_length=40, blank=True)
    left_on = models.DateField("离职日期", null=True, blank=True)

    objects = StaffQuerySet.as_manager()

    class Meta:
        verbose_name = "业务人员"
        verbose_name_plural = "业务人员"
        default_permissions = ("view",)
        ordering = ("institution", "pinyin", "pk")
        permissions = [
            ("manage_staff", "维护业务人员"),
            ("unmask_staff", "查看业务人员完整证件号和手机号"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=("institution", "number"),
                condition=~Q(number=""),
                name="organisations_staff_number_once",
                violation_error_message="该机构已有相同工号的人员。",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Employment(models.Model):
    """Where a person worked, from a day until a day (任职经历)."""

    staff = models.ForeignKey(
        Staff, models.CASCADE, related_name="employments", verbose_name="人员"
    )
    institution = models.ForeignKey(
        Institution, models.PROTECT, related_name="employments", verbose_name="机构"
    )
    department = models.ForeignKey(
        Department, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="科室"
    )
    position = models.CharField("职务", max_length=40, blank=True)
    valid_from = models.DateField("入职日期")
    valid_to = models.DateField("离职日期", null=True, blank=True)

    class Meta:
        verbose_name = "任职经历"
        verbose_name_plural = "任职经历"
        default_permissions = ()
        ordering = ("staff", "valid_from")
        constraints = [
            ExclusionConstraint(
                name="organisations_one_employment_at_a_time",
                expressions=[
                    (
                        DateRange("valid_from", "valid_to", RangeBoundary(inclusive_lower=True)),
                        RangeOperators.OVERLAPS,
                    ),
                    ("staff", RangeOperators.EQUAL),
                ],
                violation_error_message="任职时间与已有经历重叠。",
            ),
            models.CheckConstraint(
                name="organisations_employment_dates",
                condition=Q(valid_to=None) | Q(valid_to__gt=F("valid_from")),
                violation_error_message="离职日期应晚于入职日期。",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.staff} · {self.institution}"


class QualificationQuerySet(ScopedQuerySet["Qualification"]):
    view_right = "organisations.view_staff"
    scope_path = "staff__institution"


class Qualification(models.Model):
    """A certificate of a person: what for, who issued it, until when (资格证书)."""

    staff = models.ForeignKey(
        Staff, models.CASCADE, related_name="qualifications", verbose_name="人员"
    )
    kind = models.CharField("证书名称", max_length=60)
    number = models.CharField("证书编号", max_length=60)
    issuer = models.CharField("发证机关", max_length=100, blank=True)
    issued_on = models.DateField("发证日期", null=True, blank=True)
    valid_until = models.DateField("有效期至", null=True, blank=True)

    objects = QualificationQuerySet.as_manager()

    class Meta:
        verbose_name = "资格证书"
        verbose_name_plural = "资格证书"
        default_permissions = ()
        ordering = ("staff", "kind")
        constraints = [
            models.UniqueConstraint(
                fields=("staff", "kind", "number"),
                name="organisations_qualification_once",
                violation_error_message="该人员已登记相同证书。",
            ),
            models.CheckConstraint(
                name="organisations_qualification_dates",
                condition=Q(issued_on=None)
                | Q(valid_until=None)
                | Q(valid_until__gte=F("issued_on")),
                violation_error_message="有效期应不早于发证日期。",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"
