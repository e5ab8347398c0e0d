"""Channels (渠道) and what leads over them to a person: addresses, preferences, quiet hours."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from kangwei.kernel.crypto.fields import DigestField, EncryptedTextField
from kangwei.kernel.notices.rules import budget, quiet
from kangwei.kernel.notices.senders import Line
from kangwei.kernel.organisations.models import Account, Institution, ScopedQuerySet


class Priority(models.IntegerChoices):
    """How much a notice matters; urgent ones go first, alone, and through quiet hours."""

    LOW = 0, "提示"
    NORMAL = 1, "一般"
    HIGH = 2, "重要"
    URGENT = 3, "紧急"


class ChannelKind(models.TextChoices):
    INAPP = "inapp", "站内消息"
    DINGTALK = "dingtalk", "钉钉群机器人"
    WECOM = "wecom", "企业微信群机器人"
    FEISHU = "feishu", "飞书群机器人"
    EMAIL = "email", "邮件"
    SMS = "sms", "短信"
    VOICE = "voice", "语音电话"
    WEBHOOK = "webhook", "接口推送"


#: Channels to one place for many readers; the others go to one person each.
GROUP_KINDS = (
    ChannelKind.DINGTALK,
    ChannelKind.WECOM,
    ChannelKind.FEISHU,
    ChannelKind.WEBHOOK,
)
ROBOT_KINDS = GROUP_KINDS[:3]
#: What a person may have addresses for.
PERSONAL_KINDS = (ChannelKind.EMAIL, ChannelKind.SMS, ChannelKind.VOICE)
#: Spoken to stand-ins only so far; a site's own test message is the proof there.
UNPROVEN = "未经实机验证"
UNPROVEN_KINDS = (*ROBOT_KINDS, ChannelKind.SMS, ChannelKind.VOICE)


class ChannelQuerySet(ScopedQuerySet["Channel"]):
    view_right = "notices.view_channel"

    def usable(self) -> ChannelQuerySet:
        return self.filter(enabled=True).select_related("health")


class Channel(models.Model):
    """One way out of the house: a robot, a mail server, an SMS provider, a webhook.

    The address is shown; tokens, signing secrets and passwords are encrypted, and neither shown
    nor logged. In-app messages need no channel: they are rows.
    """

    name = models.CharField("渠道名称", max_length=60)
    kind = models.CharField(
        "类型",
        max_length=10,
        choices=[choice for choice in ChannelKind.choices if choice[0] != "inapp"],
    )
    institution = models.ForeignKey(
        Institution,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="所属机构",
        help_text="留空表示全平台共用。",
    )
    address = models.CharField(
        "服务地址",
        max_length=300,
        help_text="基础地址，不含令牌，例如 https://oapi.dingtalk.com；内网转发请填转发地址。",
    )
    secrets = EncryptedTextField("密钥", blank=True, default="{}")
    options = models.JSONField("参数", default=dict, blank=True)
    per_minute = models.PositiveSmallIntegerField("每分钟上限", default=15)
    fallback = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="备用渠道",
        help_text="本渠道失败、限流或故障时改走的渠道。",
    )
    #: Told when the channel fails, and reached in person when a group cannot be.
    keepers = models.ManyToManyField(
        Account, blank=True, related_name="+", verbose_name="渠道负责人"
    )
    enabled = models.BooleanField("启用", default=True)
    order = models.PositiveSmallIntegerField("优先顺序", default=100)

    objects: ClassVar[models.Manager[Channel]] = models.Manager.from_queryset(ChannelQuerySet)()

    class Meta:
        verbose_name = "通知渠道"
        verbose_name_plural = "通知渠道"
        ordering = ("order", "name", "pk")
        default_permissions = ("view",)
        permissions = [("manage_channel", "维护通知渠道")]
        constraints = [
            models.UniqueConstraint(
                name="notices_channel_name",
                fields=["institution", "name"],
                nulls_distinct=False,
                violation_error_message="同一机构内已有同名渠道。",
            ),
            models.CheckConstraint(
                name="notices_channel_rate",
                condition=Q(per_minute__range=(1, 6000)),
                violation_error_message="每分钟上限应在 1 到 6000 之间。",
            ),
            # Above 20 a minute a robot is muted for ten minutes; one always stays below.
            models.CheckConstraint(
                name="notices_robot_rate",
                condition=~Q(kind__in=["dingtalk", "wecom", "feishu"]) | Q(per_minute__lte=19),
                violation_error_message="群机器人每分钟超过 20 条会被限流，上限不得大于 19。",
            ),
            models.CheckConstraint(
                name="notices_channel_not_own_fallback",
                condition=Q(fallback=None) | ~Q(fallback=models.F("pk")),
                violation_error_message="备用渠道不能是自己。",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_group(self) -> bool:
        return self.kind in GROUP_KINDS

    @property
    def is_robot(self) -> bool:
        return self.kind in ROBOT_KINDS

    @property
    def proof(self) -> str:
        return UNPROVEN if self.kind in UNPROVEN_KINDS else ""

    def line(self) -> Line:
        """What its sender needs, secrets in clear; it never leaves the process."""
        stored: dict[str, str] = json.loads(self.secrets or "{}")
        return Line(self.address, stored, self.options)

    def secret_names(self) -> list[str]:
        return sorted(self.line().secrets)


class ChannelHealth(models.Model):
    """How a channel is doing: its calls of the last minute, mutes and failures in a row."""

    channel = models.OneToOneField(
        Channel, models.CASCADE, related_name="health", primary_key=True, verbose_name="渠道"
    )
    calls = ArrayField(models.DateTimeField(), verbose_name="最近一分钟的调用", default=list)
    muted_until = models.DateTimeField("限流至", null=True, blank=True)
    failures = models.PositiveIntegerField("连续失败次数", default=0)
    failing_since = models.DateTimeField("故障开始", null=True, blank=True)
    last_error = models.CharField("最近错误", max_length=500, blank=True)
    probed_at = models.DateTimeField("最近探测", null=True, blank=True)
    tested_at = models.DateTimeField("最近测试成功", null=True, blank=True)

    class Meta:
        verbose_name = "渠道状态"
        verbose_name_plural = "渠道状态"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.channel}：{self.title}"

    @property
    def title(self) -> str:
        return "故障" if self.failing_since else "正常"

    def window(self) -> budget.Window:
        return budget.Window(tuple(self.calls), self.muted_until)

    def keep(self, window: budget.Window) -> None:
        self.calls, self.muted_until = list(window.calls), window.muted_until


class AddressQuerySet(ScopedQuerySet["Address"]):
    view_right = "notices.view_address"
    scope_path = "account__institution"

    def valid(self) -> AddressQuerySet:
        return self.filter(enabled=True, verified_at__isnull=False)


class Address(models.Model):
    """Where a person can be reached on one kind of channel; only verified ones are used."""

    account = models.ForeignKey(
        Account, models.CASCADE, related_name="notice_addresses", verbose_name="账号"
    )
    kind = models.CharField(
        "类型", max_length=10, choices=[(kind.value, kind.label) for kind in PERSONAL_KINDS]
    )
    value = EncryptedTextField("地址", digest_column="value_digest")
    value_digest = DigestField("value")
    shown = models.CharField("地址（脱敏）", max_length=100)
    verified_at = models.DateTimeField("验证时间", null=True, blank=True)
    #: Set while somebody is proving that the address is his.
    code_digest = models.CharField("验证码摘要", max_length=64, blank=True, editable=False)
    code_until = models.DateTimeField("验证码有效至", null=True, blank=True, editable=False)
    code_tries = models.PositiveSmallIntegerField("验证码试错次数", default=0, editable=False)
    enabled = models.BooleanField("启用", default=True)

    objects: ClassVar[models.Manager[Address]] = models.Manager.from_queryset(AddressQuerySet)()

    class Meta:
        verbose_name = "通知地址"
        verbose_name_plural = "通知地址"
        ordering = ("account", "kind", "pk")
        default_permissions = ("view",)
        permissions = [("manage_address", "维护他人的通知地址")]
        constraints = [
            models.UniqueConstraint(
                name="notices_address_once",
                fields=["account", "kind", "value_digest"],
                violation_error_message="该地址已经登记。",
            ),
            models.CheckConstraint(
                name="notices_address_kind", condition=Q(kind__in=["email", "sms", "voice"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.shown}"


class OwnQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> OwnQuerySet:
        """One's own only."""
        return self.filter(account=user.pk) if user.is_authenticated else self.none()


class ChannelPreference(models.Model):
    """Which kinds of channel a person wants for a priority, beside the in-app message."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="+", verbose_name="账号")
    priority = models.PositiveSmallIntegerField("优先级", choices=Priority.choices)
    kinds = ArrayField(models.CharField(max_length=10), verbose_name="渠道类型", default=list)

    objects: ClassVar[models.Manager[ChannelPreference]] = models.Manager.from_queryset(
        OwnQuerySet
    )()

    class Meta:
        verbose_name = "接收偏好"
        verbose_name_plural = "接收偏好"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="notices_preference_once", fields=["account", "priority"])
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.get_priority_display()}"


class QuietAction(models.TextChoices):
    HOLD = "hold", "延后到时段结束"
    SUPPRESS = "suppress", "不发送"


class QuietHours(models.Model):
    """A person's quiet hours; in-app messages still come, they wake nobody."""

    account = models.OneToOneField(
        Account, models.CASCADE, related_name="quiet_hours", verbose_name="账号"
    )
    start = models.TimeField("开始")
    end = models.TimeField("结束")
    rest_days = models.BooleanField("休息日全天免打扰", default=False)
    break_from = models.PositiveSmallIntegerField(
        "照常发送的级别",
        choices=[choice for choice in Priority.choices if choice[0] >= Priority.HIGH],
        default=Priority.URGENT,
        help_text="达到该级别的通知不受免打扰限制。",
    )
    action = models.CharField(
        "处理方式", max_length=10, choices=QuietAction.choices, default=QuietAction.HOLD
    )

    objects: ClassVar[models.Manager[QuietHours]] = models.Manager.from_queryset(OwnQuerySet)()

    class Meta:
        verbose_name = "免打扰时段"
        verbose_name_plural = "免打扰时段"
        default_permissions = ()
        constraints = [
            # Urgent notices always come through: nobody can switch off an emergency.
            models.CheckConstraint(
                name="notices_quiet_break_from", condition=Q(break_from__in=[2, 3])
            ),
            models.CheckConstraint(
                name="notices_quiet_has_length",
                condition=~Q(start=models.F("end")),
                violation_error_message="开始与结束时间不能相同。",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.start:%H:%M}–{self.end:%H:%M}"

    def rule(self) -> quiet.Quiet:
        return quiet.Quiet(self.start, self.end, self.rest_days, self.break_from)
