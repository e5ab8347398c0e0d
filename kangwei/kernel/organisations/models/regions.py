"""Regions (区划): the administrative tree of GB/T 2260, extended to 12 digits and dated."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Left, Right
from django.db.models.lookups import Exact

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from kangwei.kernel.organisations.models.accounts import Account


class RegionLevel(models.TextChoices):
    PROVINCE = "province", "省"
    CITY = "city", "市"
    COUNTY = "county", "县（区）"
    TOWNSHIP = "township", "乡镇（街道）"
    VILLAGE = "village", "村（社区）"


def _nests(level: str, digits: int, parent: Q) -> Q:
    """A region of this level ends in zeros after its digits and lies below its parent."""
    zeros = Q(code__endswith="0" * (12 - digits)) if digits < 12 else Q()
    return Q(level=level) & zeros & parent


def _below(digits: int) -> Q:
    """The parent is written with so many digits and they begin the child's code."""
    rest = 12 - digits
    return (
        Q(parent__isnull=False)
        & Q(Exact(Right("parent", rest), Value("0" * rest)))
        & Q(Exact(Left("parent", digits), Left("code", digits)))
    )


class RegionQuerySet(models.QuerySet["Region"]):
    def visible_to(self, user: Account | AnonymousUser | Any) -> Self:
        """Regions are public reference data: whoever may see regions sees all of them."""
        allowed = user.is_authenticated and user.has_perm("organisations.view_region")
        return self.all() if allowed else self.none()

    def in_force(self, on: date) -> Self:
        return self.filter(Q(valid_to=None) | Q(valid_to__gt=on), valid_from__lte=on)


class Region(models.Model):
    """A place of the administrative tree. A merged region stays, with the date it ended."""

    code = models.CharField("区划代码", max_length=12, primary_key=True)
    level = models.CharField("级别", max_length=10, choices=RegionLevel.choices)
    parent = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="children",
        verbose_name="上级区划",
    )
    name = models.CharField("名称", max_length=60)
    pinyin = models.CharField("拼音码", max_length=60, blank=True)
    valid_from = models.DateField("启用日期")
    valid_to = models.DateField("撤销日期", null=True, blank=True)
    merged_into = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="merged",
        verbose_name="并入区划",
    )

    objects = RegionQuerySet.as_manager()

    class Meta:
        verbose_name = "区划"
        verbose_name_plural = "区划"
        default_permissions = ("view",)
        ordering = ("code",)
        permissions = [("manage_region", "维护区划")]
        constraints = [
            models.CheckConstraint(
                name="organisations_region_code_digits",
                condition=Q(code__regex=r"^[1-9][0-9]{11}$"),
                violation_error_message="区划代码应为 12 位数字。",
            ),
            # Some counties stand directly below the province (省直辖县), so a county may nest
            # under two digits or four; everything else nests one level up.
            models.CheckConstraint(
                name="organisations_region_code_nests_under_parent",
                condition=_nests("province", 2, Q(parent__isnull=True))
                | _nests("city", 4, _below(2))
                | _nests("county", 6, _below(4) | _below(2))
                | _nests("township", 9, _below(6))
                | _nests("village", 12, _below(9)),
                violation_error_message="区划代码与上级区划不相符。",
            ),
            models.CheckConstraint(
                name="organisations_region_dates",
                condition=Q(valid_to=None) | Q(valid_to__gt=F("valid_from")),
                violation_error_message="撤销日期应晚于启用日期。",
            ),
            models.CheckConstraint(
                name="organisations_region_merged_has_date",
                condition=Q(merged_into=None)
                | Q(valid_to__isnull=False) & ~Q(merged_into=F("code")),
                violation_error_message="并入其他区划时应填写撤销日期。",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def prefix(self) -> str:
        """The significant digits: what every place inside this region begins with."""
        return self.code[: LEVEL_DIGITS[RegionLevel(self.level)]]


LEVEL_DIGITS = {
    RegionLevel.PROVINCE: 2,
    RegionLevel.CITY: 4,
    RegionLevel.COUNTY: 6,
    RegionLevel.TOWNSHIP: 9,
    RegionLevel.VILLAGE: 12,
}
