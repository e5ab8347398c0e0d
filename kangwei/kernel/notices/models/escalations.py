"""Escalation policies (升级策略), and escalations with their ledger of events."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from kangwei.kernel import clock
from kangwei.kernel.notices.models.channels import Channel, Priority
from kangwei.kernel.notices.models.duty import DutyRoster
from kangwei.kernel.notices.models.ledger import Notice
from kangwei.kernel.notices.rules import escalation as rule
from kangwei.kernel.notices.rules.targets import TARGET_TITLES, Target
from kangwei.kernel.organisations.models import Account, Institution, Role, ScopedQuerySet


class PolicyQuerySet(ScopedQuerySet["EscalationPolicy"]):
    view_right = "notices.view_escalationpolicy"


class EscalationPolicy(models.Model):
    """A ladder of levels: whom to tell, over what, after how many minutes."""

    code = models.CharField("策略代码", max_length=40, unique=True)
    name = models.CharField("策略名称", max_length=60)
    institution = models.ForeignKey(
        Institution,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="所属机构",
        help_text="留空表示全平台共用。",
    )
    priority = models.PositiveSmallIntegerField(
        "通知级别", choices=Priority.choices, default=Priority.URGENT
    )
    acknowledged_for = models.PositiveSmallIntegerField("认领时限（分钟）", default=120)
    repeat_every = models.PositiveSmallIntegerField(
        "重复提醒间隔（分钟）", default=30, help_text="0 表示不重复。"
    )
    tell_end = models.BooleanField("结束时通知已告知的人", default=True)
    enabled = models.BooleanField("启用", default=True)
    version = models.PositiveIntegerField("版本", default=1, editable=False)

    objects: ClassVar[models.Manager[EscalationPolicy]] = models.Manager.from_queryset(
        PolicyQuerySet
    )()

    class Meta:
        verbose_name = "升级策略"
        verbose_name_plural = "升级策略"
        ordering = ("name",)
        default_permissions = ("view",)
        permissions = [("manage_escalationpolicy", "维护升级策略")]
        constraints = [
            models.CheckConstraint(
                name="notices_policy_code",
                condition=Q(code__regex=r"^[a-z0-9][a-z0-9._-]*$"),
                violation_error_message="策略代码由小写字母、数字和 . _ - 组成。",
            ),
            models.CheckConstraint(
                name="notices_policy_acknowledged_for",
                condition=Q(acknowledged_for__range=(1, 1440)),
                violation_error_message="认领时限应在 1 到 1440 分钟之间。",
            ),
            models.CheckConstraint(
                name="notices_policy_repeat",
                condition=Q(repeat_every=0) | Q(repeat_every__gte=5),
                violation_error_message="重复提醒间隔至少 5 分钟，0 表示不重复。",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class EscalationLevel(models.Model):
    """One rung of the ladder."""

    policy = models.ForeignKey(
        EscalationPolicy, models.CASCADE, related_name="levels", verbose_name="策略"
    )
    number = models.PositiveSmallIntegerField("级别")
    after_minutes = models.PositiveSmallIntegerField("开始后（分钟）")
    kinds = ArrayField(
        models.CharField(max_length=10), verbose_name="渠道类型", default=list, blank=True
    )

    objects: ClassVar[models.Manager[EscalationLevel]] = models.Manager()

    class Meta:
        verbose_name = "升级级别"
        verbose_name_plural = "升级级别"
        ordering = ("policy", "number")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="notices_level_once", fields=["policy", "number"]),
            models.CheckConstraint(name="notices_level_number", condition=Q(number__range=(1, 9))),
            models.CheckConstraint(
                name="notices_level_minutes", condition=Q(after_minutes__lte=10080)
            ),
        ]

    def __str__(self) -> str:
        return f"第 {self.number} 级（{self.after_minutes} 分钟）"


class EscalationTarget(models.Model):
    """Whom one level tells; exactly what its kind needs is filled."""

    level = models.ForeignKey(
        EscalationLevel, models.CASCADE, related_name="targets", verbose_name="级别"
    )
    kind = models.CharField(
        "对象类型",
        max_length=10,
        choices=[(kind, title) for kind, title in TARGET_TITLES.items() if kind != "address"],
    )
    account = models.ForeignKey(
        Account, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="账号"
    )
    role = models.ForeignKey(
        Role, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="角色"
    )
    #: Empty: the institution of the matter itself.
    institution = models.ForeignKey(
        Institution, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="机构"
    )
    roster = models.ForeignKey(
        DutyRoster, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="值班表"
    )
    channel = models.ForeignKey(
        Channel, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="渠道"
    )

    objects: ClassVar[models.Manager[EscalationTarget]] = models.Manager()

    class Meta:
        verbose_name = "升级对象"
        verbose_name_plural = "升级对象"
        ordering = ("level", "pk")
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                name="notices_escalation_target_is_one_thing",
                condition=Q(
                    kind="account",
                    account__isnull=False,
                    role=None,
                    institution=None,
                    roster=None,
                    channel=None,
                )
                | Q(kind="role", role__isnull=False, account=None, roster=None, channel=None)
                | Q(
                    kind="duty",
                    roster__isnull=False,
                    account=None,
                    role=None,
                    institution=None,
                    channel=None,
                )
                | Q(
                    kind="robot",
                    channel__isnull=False,
                    account=None,
                    role=None,
                    institution=None,
                    roster=None,
                ),
            )
        ]

    def __str__(self) -> str:
        thing = self.account or self.role or self.roster or self.channel
        place = f"（{self.institution}）" if self.institution else ""
        return f"{self.get_kind_display()}：{thing}{place}"

    def target(self, kinds: list[str]) -> Target:
        via = tuple(kinds)
        if self.account_id:
            return Target.account(self.account_id, via=via)
        if self.roster:
            return Target.duty(self.roster.code, via=via)
        if self.channel_id:
            return Target.robot(self.channel_id)
        assert self.role is not None
        return Target("role", role=self.role.code, institution_id=self.institution_id, via=via)


class EscalationQuerySet(ScopedQuerySet["Escalation"]):
    view_right = "notices.view_escalation"

    def running(self) -> EscalationQuerySet:
        return self.filter(stopped_at=None)


class Escalation(models.Model):
    """One matter that climbs a ladder until somebody takes it and it ends.

    The policy's levels are copied at the start: whoever edits a policy changes no running
    escalation. `level`, `acknowledged_*` and `next_at` are kept for speed; the events say it all.
    """

    policy = models.ForeignKey(
        EscalationPolicy, models.PROTECT, related_name="+", verbose_name="策略"
    )
    policy_version = models.PositiveIntegerField("策略版本")
    ladder = models.JSONField("级别（开始时的副本）")
    subject_type = models.CharField("对象类型", max_length=80)
    subject_id = models.CharField("对象编号", max_length=64)
    subject_label = models.CharField("对象", max_length=200)
    institution = models.ForeignKey(
        Institution,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="所属机构",
    )
    template = models.CharField("模板", max_length=80)
    context = models.JSONField("取值", default=dict)
    link = models.CharField("链接", max_length=300, blank=True)
    priority = models.PositiveSmallIntegerField("通知级别", choices=Priority.choices)
    started_at = models.DateTimeField("开始时间")
    level = models.PositiveSmallIntegerField("已通知到的级别", default=0)
    acknowledged_at = models.DateTimeField("认领时间", null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        Account, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="认领人"
    )
    acknowledged_until = models.DateTimeField("认领有效至", null=True, blank=True)
    stopped_at = models.DateTimeField("停止时间", null=True, blank=True)
    stop_reason = models.CharField("停止原因", max_length=200, blank=True)
    next_at = models.DateTimeField("下一步时间", null=True, blank=True)

    objects: ClassVar[models.Manager[Escalation]] = models.Manager.from_queryset(
        EscalationQuerySet
    )()

    class Meta:
        verbose_name = "升级"
        verbose_name_plural = "升级"
        ordering = ("-started_at", "-pk")
        default_permissions = ("view",)
        permissions = [
            ("acknowledge_escalation", "认领升级"),
            ("stop_escalation", "停止升级"),
        ]
        indexes = [
            models.Index(
                fields=["next_at"], condition=Q(stopped_at=None), name="notices_escalation_next"
            ),
            models.Index(fields=["subject_type", "subject_id"], name="notices_escalation_about"),
        ]
        constraints = [
            models.UniqueConstraint(
                name="notices_escalation_one_running",
                fields=["policy", "subject_type", "subject_id"],
                condition=Q(stopped_at=None),
            ),
            models.CheckConstraint(
                name="notices_escalation_stop_has_reason",
                condition=Q(stopped_at=None, stop_reason="")
                | (Q(stopped_at__isnull=False, next_at=None) & ~Q(stop_reason="")),
            ),
            models.CheckConstraint(
                name="notices_escalation_acknowledged_whole",
                condition=Q(acknowledged_at=None, acknowledged_by=None, acknowledged_until=None)
                | Q(
                    acknowledged_at__isnull=False,
                    acknowledged_by__isnull=False,
                    acknowledged_until__gt=models.F("acknowledged_at"),
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject_label}（{self.policy}）"

    @property
    def state(self) -> str:
        if self.stopped_at:
            return "stopped"
        return "acknowledged" if self.acknowledged_at else "running"

    @property
    def state_title(self) -> str:
        return {"stopped": "已停止", "acknowledged": "已认领", "running": "升级中"}[self.state]

    @property
    def thread(self) -> str:
        return f"escalation-{self.pk}"

    def rule(self) -> rule.Policy:
        return rule.Policy(
            after=tuple(timedelta(minutes=step["after_minutes"]) for step in self.ladder["levels"]),
            repeat_every=timedelta(minutes=self.ladder["repeat_every"]),
        )

    def targets(self, number: int) -> list[Target]:
        """Whom a level tells; a role without institution means the matter's own institution."""
        found = [Target.from_json(raw) for raw in self.ladder["levels"][number - 1]["targets"]]
        return [
            Target.role_at(target.role, self.institution_id, via=target.via)
            if target.kind == "role" and target.institution_id is None and self.institution_id
            else target
            for target in found
        ]


class EscalationEvent(models.Model):
    """What happened to an escalation; written once, never changed (升级记录)."""

    KINDS = [
        (rule.Kind.STARTED.value, "开始"),
        (rule.Kind.TOLD.value, "通知"),
        (rule.Kind.REPEATED.value, "重复提醒"),
        (rule.Kind.LAPSED.value, "认领到期"),
        (rule.Kind.UNREACHED.value, "本级无人可达"),
        (rule.Kind.ACKNOWLEDGED.value, "认领"),
        (rule.Kind.STOPPED.value, "停止"),
    ]

    escalation = models.ForeignKey(
        Escalation, models.PROTECT, related_name="events", verbose_name="升级"
    )
    kind = models.CharField("事件", max_length=12, choices=KINDS)
    at = models.DateTimeField("时间")
    level = models.PositiveSmallIntegerField("级别", default=0)
    by = models.ForeignKey(
        Account, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="操作人"
    )
    until = models.DateTimeField("有效至", null=True, blank=True)
    notice = models.ForeignKey(
        Notice, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="通知"
    )
    note = models.CharField("说明", max_length=300, blank=True)
    recorded_at = models.DateTimeField("登记时间", db_default=Now(), editable=False)

    objects: ClassVar[models.Manager[EscalationEvent]] = models.Manager()

    class Meta:
        verbose_name = "升级记录"
        verbose_name_plural = "升级记录"
        ordering = ("escalation", "pk")
        default_permissions = ()
        constraints = [
            # A level is told once, whatever two workers do at the same moment.
            models.UniqueConstraint(
                name="notices_event_level_told_once",
                fields=["escalation", "level"],
                condition=Q(kind="told"),
            ),
            models.UniqueConstraint(
                name="notices_event_stopped_once",
                fields=["escalation"],
                condition=Q(kind="stopped"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {clock.local(self.at):%Y-%m-%d %H:%M}"

    def event(self) -> rule.Event:
        return rule.Event(rule.Kind(self.kind), self.at, self.level, self.until)
