"""What repeats: freezing a report (固化计划) and sending it to somebody (订阅)."""

from __future__ import annotations

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from kangwei.kernel.organisations.models import Institution

from ..rules.recurrence import FREQUENCY_TITLES, Recurrence


class Repeating(models.Model):
    """A report, its parameters (periods relative to the day), and when it is due."""

    report = models.CharField("报表", max_length=80)
    parameters = models.JSONField("条件", default=dict)
    frequency = models.CharField("周期", max_length=10, choices=list(FREQUENCY_TITLES.items()))
    hour = models.PositiveSmallIntegerField("时")
    day = models.PositiveSmallIntegerField("第几天", default=1)
    active = models.BooleanField("启用", default=True)
    created_at = models.DateTimeField("建立时间")
    #: The last slot that was carried out, or tried and refused.
    last_slot = models.DateTimeField("最近时点", null=True, blank=True)
    last_error = models.CharField("最近一次未成功的原因", max_length=300, blank=True)

    class Meta:
        abstract = True

    @property
    def recurrence(self) -> Recurrence:
        return Recurrence(self.frequency, self.hour, self.day)  # type: ignore[arg-type]


def possible_moments(prefix: str) -> list[models.BaseConstraint]:
    longest = {"daily": 1, "weekly": 7, "monthly": 31, "quarterly": 92, "yearly": 366}
    day = Q(pk__in=[])
    for frequency, days in longest.items():
        day |= Q(frequency=frequency, day__range=(1, days))
    return [
        models.CheckConstraint(name=f"reporting_{prefix}_hour", condition=Q(hour__lte=23)),
        models.CheckConstraint(name=f"reporting_{prefix}_day", condition=day),
    ]


class SnapshotPlanQuerySet(models.QuerySet["SnapshotPlan"]):
    def visible_to(self, user: Any) -> Self:
        if not getattr(user, "is_authenticated", False):
            return self.none()
        return user.scope("reporting.manage_plan").limit(self, "institution")  # type: ignore[no-any-return]


class SnapshotPlan(Repeating):
    """Freeze a report again and again, in the scope of the account that made the plan."""

    name = models.CharField("名称", max_length=100)
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="建立人"
    )
    institution = models.ForeignKey(
        Institution, models.PROTECT, related_name="+", verbose_name="机构"
    )

    objects = SnapshotPlanQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "固化计划"
        ordering = ("report", "id")
        default_permissions = ()
        permissions = [("manage_plan", "维护固化计划")]
        constraints = possible_moments("plan")

    def __str__(self) -> str:
        return self.name


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    def visible_to(self, user: Any) -> Self:
        """What one receives, and what one ordered for others."""
        if not getattr(user, "is_authenticated", False):
            return self.none()
        return self.filter(Q(account=user) | Q(ordered_by=user))


class Subscription(Repeating):
    """Send somebody a link to a fresh result, computed in the receiver's own scope."""

    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="接收人"
    )
    ordered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="订阅人"
    )

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "报表订阅"
        ordering = ("report", "id")
        default_permissions = ()
        permissions = [("subscribe_others", "为他人订阅报表")]
        constraints = possible_moments("subscription")

    def __str__(self) -> str:
        return f"{self.report} → {self.account_id}"
