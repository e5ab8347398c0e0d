"""Duty rosters (值班表): who takes turns, and who stands in for whom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q

from kangwei.kernel.notices.rules import roster as duty_rule
from kangwei.kernel.organisations.models import Account, Institution, ScopedQuerySet


class RosterQuerySet(ScopedQuerySet["DutyRoster"]):
    view_right = "notices.view_dutyroster"


class DutyRoster(models.Model):
    """A list of people who take turns by the day or by the week."""

    class Rotation(models.TextChoices):
        DAILY = "daily", "按日轮换"
        WEEKLY = "weekly", "按周轮换"

    code = models.CharField("值班表代码", max_length=40, unique=True)
    name = models.CharField("值班表名称", max_length=60)
    institution = models.ForeignKey(
        Institution, models.PROTECT, related_name="+", verbose_name="所属机构"
    )
    rotation = models.CharField(
        "轮换方式", max_length=10, choices=Rotation.choices, default=Rotation.WEEKLY
    )
    handover = models.TimeField("交接班时间")
    starts_on = models.DateField("起始日期")
    enabled = models.BooleanField("启用", default=True)

    objects: ClassVar[models.Manager[DutyRoster]] = models.Manager.from_queryset(RosterQuerySet)()

    class Meta:
        verbose_name = "值班表"
        verbose_name_plural = "值班表"
        ordering = ("institution", "name")
        default_permissions = ("view",)
        permissions = [("manage_dutyroster", "维护值班表与替班")]
        constraints = [
            models.CheckConstraint(
                name="notices_roster_code",
                condition=Q(code__regex=r"^[a-z0-9][a-z0-9._-]*$"),
                violation_error_message="值班表代码由小写字母、数字和 . _ - 组成。",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def rule(self, turns: Iterable[RosterTurn]) -> duty_rule.Roster:
        ordered = sorted(turns, key=lambda turn: turn.order)
        return duty_rule.Roster(
            rotation="weekly" if self.rotation == self.Rotation.WEEKLY else "daily",
            starts_on=self.starts_on,
            handover=self.handover,
            members=tuple(turn.account_id for turn in ordered if not turn.rest_days),
            rest_day_members=tuple(turn.account_id for turn in ordered if turn.rest_days),
        )


class RosterTurn(models.Model):
    """A person's place in the order of turns, on working days or on rest days."""

    roster = models.ForeignKey(
        DutyRoster, models.CASCADE, related_name="turns", verbose_name="值班表"
    )
    account = models.ForeignKey(Account, models.PROTECT, related_name="+", verbose_name="人员")
    rest_days = models.BooleanField("休息日名单", default=False)
    order = models.PositiveSmallIntegerField("顺序")

    objects: ClassVar[models.Manager[RosterTurn]] = models.Manager()

    class Meta:
        verbose_name = "值班顺序"
        verbose_name_plural = "值班顺序"
        ordering = ("roster", "rest_days", "order")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                name="notices_turn_order_once",
                fields=["roster", "rest_days", "order"],
                violation_error_message="同一名单内顺序不能重复。",
            )
        ]

    def __str__(self) -> str:
        return f"{self.order} {self.account}"


class TimeRange(Func):
    """From start until before end, as PostgreSQL's range."""

    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class SubstitutionQuerySet(ScopedQuerySet["Substitution"]):
    view_right = "notices.view_dutyroster"
    scope_path = "roster__institution"


class Substitution(models.Model):
    """One person takes another's place between two moments (替班)."""

    roster = models.ForeignKey(
        DutyRoster, models.CASCADE, related_name="substitutions", verbose_name="值班表"
    )
    absent = models.ForeignKey(Account, models.PROTECT, related_name="+", verbose_name="原值班人")
    stands_in = models.ForeignKey(Account, models.PROTECT, related_name="+", verbose_name="替班人")
    start = models.DateTimeField("开始")
    end = models.DateTimeField("结束")
    reason = models.CharField("原因", max_length=200)
    created_at = models.DateTimeField("登记时间")
    created_by = models.ForeignKey(Account, models.PROTECT, related_name="+", verbose_name="登记人")
    cancelled_at = models.DateTimeField("撤销时间", null=True, blank=True)

    objects = SubstitutionQuerySet.as_manager()

    class Meta:
        verbose_name = "替班"
        verbose_name_plural = "替班"
        ordering = ("start", "pk")
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                name="notices_substitution_dates",
                condition=Q(end__gt=F("start")),
                violation_error_message="结束时间应晚于开始时间。",
            ),
            models.CheckConstraint(
                name="notices_substitution_two_people",
                condition=~Q(absent=F("stands_in")),
                violation_error_message="替班人不能是原值班人。",
            ),
            models.CheckConstraint(name="notices_substitution_has_reason", condition=~Q(reason="")),
            # Two people cannot both stand in for one: who would be called?
            ExclusionConstraint(
                name="notices_substitution_no_overlap",
                expressions=[
                    ("roster", RangeOperators.EQUAL),
                    ("absent", RangeOperators.EQUAL),
                    (TimeRange("start", "end"), RangeOperators.OVERLAPS),
                ],
                condition=Q(cancelled_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stands_in} 替 {self.absent}"

    def rule(self) -> duty_rule.Substitution:
        return duty_rule.Substitution(self.absent_id, self.stands_in_id, self.start, self.end)
