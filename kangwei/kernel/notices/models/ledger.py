"""The ledger of notices: what was to be told, over which ways, with which attempts (送达台账)."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from kangwei.kernel.crypto.fields import DigestField, EncryptedTextField
from kangwei.kernel.notices.models.channels import Channel, ChannelKind, Priority
from kangwei.kernel.notices.rules.delivery import LATE_AFTER, VERDICT_TITLES, Verdict
from kangwei.kernel.organisations.models import Account, Institution, ScopedQuerySet


class NoticeQuerySet(ScopedQuerySet["Notice"]):
    view_right = "notices.view_delivery"


class Notice(models.Model):
    """One thing told to people. Its texts are filled once and never change afterwards."""

    key = models.CharField("唯一键", max_length=200, unique=True)
    template = models.CharField("模板", max_length=80)
    template_version = models.PositiveIntegerField("模板版本")
    context = models.JSONField("取值", default=dict)
    title = models.CharField("标题", max_length=300)
    body = models.TextField("正文")
    short = models.CharField("短文本", max_length=1000)
    priority = models.PositiveSmallIntegerField("优先级", choices=Priority.choices)
    at = models.DateTimeField("通知时间")
    institution = models.ForeignKey(
        Institution,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="所属机构",
    )
    #: What it is about, e.g. `desk.ticket` and its number: the object's page lists its notices.
    about_type = models.CharField("对象类型", max_length=80, blank=True)
    about_id = models.CharField("对象编号", max_length=64, blank=True)
    about_label = models.CharField("对象", max_length=200, blank=True)
    link = models.CharField("链接", max_length=300, blank=True)
    #: Notices about one matter share a thread: mail programs show them as one conversation.
    thread = models.CharField("会话", max_length=100, blank=True)
    targets = models.JSONField("通知对象", default=list)
    recorded_at = models.DateTimeField("登记时间", db_default=Now(), editable=False)

    objects: ClassVar[models.Manager[Notice]] = models.Manager.from_queryset(NoticeQuerySet)()

    class Meta:
        verbose_name = "通知"
        verbose_name_plural = "通知"
        ordering = ("-at", "-pk")
        default_permissions = ()
        indexes = [
            models.Index(fields=["about_type", "about_id"], name="notices_notice_about"),
            models.Index(fields=["at"], name="notices_notice_at"),
        ]
        constraints = [
            models.CheckConstraint(
                name="notices_notice_priority", condition=Q(priority__range=(0, 3))
            )
        ]

    def __str__(self) -> str:
        return self.title


class DeliveryState(models.TextChoices):
    DUE = "due", "待发送"
    SENDING = "sending", "发送中"
    SENT = "sent", "已发送"
    FAILED = "failed", "失败"
    MERGED = "merged", "已合并"
    SUPPRESSED = "suppressed", "已抑制"


class Why(models.TextChoices):
    """Why a delivery is not simply sent."""

    NONE = "", "—"
    NO_ADDRESS = "no_address", "接收人没有有效地址"
    DISABLED = "disabled", "账号已停用"
    NO_CHANNEL = "no_channel", "没有可用的渠道"
    NOBODY = "nobody", "通知对象中没有可通知的人"
    QUIET = "quiet", "免打扰时段"
    REFUSED = "refused", "对方拒绝"
    EXHAUSTED = "exhausted", "多次重试仍失败"
    DIVERTED = "diverted", "改走备用渠道"
    OVERFLOW = "overflow", "超出发送配额，合并为一条"
    ENDED = "ended", "升级已停止，无需再发"


class DeliveryQuerySet(ScopedQuerySet["Delivery"]):
    view_right = "notices.view_delivery"

    def inbox_of(self, account: Account) -> Self:
        """The messages in this account's own in-app inbox."""
        return self.filter(
            account=account, kind=ChannelKind.INAPP, state=DeliveryState.SENT
        ).select_related("notice")

    def late(self, at: datetime) -> Self:
        """Left more than two minutes after they were due, or still waiting longer than that."""
        waiting = Q(state__in=OPEN_STATES, due_at__lt=at - LATE_AFTER)
        return self.filter(Q(late=True) | waiting)


OPEN_STATES = (DeliveryState.DUE, DeliveryState.SENDING)


class Delivery(models.Model):
    """One notice on one channel to one target. Its id stays the same however often it is sent."""

    id = models.UUIDField("投递号", primary_key=True, default=uuid.uuid4, editable=False)
    notice = models.ForeignKey(
        Notice, models.PROTECT, related_name="deliveries", verbose_name="通知"
    )
    kind = models.CharField("渠道类型", max_length=10, choices=ChannelKind.choices)
    channel = models.ForeignKey(
        Channel, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="渠道"
    )
    account = models.ForeignKey(
        Account,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="deliveries",
        verbose_name="接收人",
    )
    institution = models.ForeignKey(
        Institution,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="所属机构",
    )
    recipient = EncryptedTextField(
        "接收地址", blank=True, default="", digest_column="recipient_digest"
    )
    recipient_digest = DigestField("recipient", db_index=False)
    shown = models.CharField("接收方", max_length=120)
    #: Accounts to call by name in a group.
    mention = models.JSONField("提醒的人", default=list)
    priority = models.PositiveSmallIntegerField("优先级", choices=Priority.choices)
    state = models.CharField(
        "状态", max_length=10, choices=DeliveryState.choices, default=DeliveryState.DUE
    )
    why = models.CharField(
        "原因类别", max_length=10, choices=Why.choices, default=Why.NONE, blank=True
    )
    reason = models.CharField("原因", max_length=500, blank=True)
    created_at = models.DateTimeField("生成时间")
    #: When it should leave: at once, or after quiet hours. Lateness is counted from here.
    due_at = models.DateTimeField("应发时间")
    #: When the queue looks at it next.
    next_at = models.DateTimeField("下次尝试")
    #: A worker that is silent past this moment has lost the delivery to the next one.
    leased_until = models.DateTimeField("占用至", null=True, blank=True)
    sent_at = models.DateTimeField("发送时间", null=True, blank=True)
    attempts_made = models.PositiveSmallIntegerField("尝试次数", default=0)
    latency_ms = models.PositiveIntegerField("应答耗时（毫秒）", null=True, blank=True)
    late = models.BooleanField("迟到", default=False)
    merged_into = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="parts", verbose_name="并入"
    )
    #: The delivery this one replaces, on a fallback channel or sent again by hand.
    instead_of = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="replacements",
        verbose_name="代替",
    )
    round = models.PositiveSmallIntegerField("第几次重发", default=0)
    #: Somebody waits for what this very channel answers (a test, a verification code): tried once,
    #: never merged with others, never told another way.
    only_here = models.BooleanField("只走本渠道", default=False)
    #: What only the receiver may read; it stands as ****** in the kept texts, is filled in when the
    #: message leaves, and is wiped when the delivery has ended.
    secret = EncryptedTextField("仅接收人可见", blank=True, default="")
    read_at = models.DateTimeField("阅读时间", null=True, blank=True)

    objects: ClassVar[models.Manager[Delivery]] = models.Manager.from_queryset(DeliveryQuerySet)()

    class Meta:
        verbose_name = "投递"
        verbose_name_plural = "投递"
        ordering = ("-created_at", "pk")
        default_permissions = ("view",)
        permissions = [("resend_delivery", "重新发送通知")]
        indexes = [
            models.Index(
                fields=["channel", "next_at"],
                condition=Q(state__in=["due", "sending"]),
                name="notices_delivery_queue",
            ),
            models.Index(
                fields=["account", "-created_at"],
                condition=Q(kind="inapp"),
                name="notices_delivery_inbox",
            ),
            models.Index(fields=["created_at", "state"], name="notices_delivery_day"),
            models.Index(fields=["institution", "-created_at"], name="notices_delivery_place"),
        ]
        constraints = [
            # One notice reaches one target on one channel once: a second worker, a second call
            # of the same act or a second target that names the same person adds nothing.
            models.UniqueConstraint(
                name="notices_delivery_once",
                fields=["notice", "kind", "channel", "account", "recipient_digest", "round"],
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                name="notices_delivery_sent_has_moment",
                condition=Q(state="sent", sent_at__isnull=False)
                | (~Q(state="sent") & Q(sent_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="notices_delivery_merged_has_whole",
                condition=Q(state="merged", merged_into__isnull=False)
                | (~Q(state="merged") & Q(merged_into=None)),
            ),
            models.CheckConstraint(
                name="notices_delivery_end_has_reason",
                condition=~Q(state__in=["failed", "suppressed", "merged"])
                | (~Q(why="") & ~Q(reason="")),
            ),
            models.CheckConstraint(
                name="notices_delivery_lease",
                condition=Q(state="sending", leased_until__isnull=False)
                | (~Q(state="sending") & Q(leased_until=None)),
            ),
            models.CheckConstraint(
                name="notices_delivery_way",
                condition=Q(kind="inapp", channel=None, account__isnull=False)
                | (~Q(kind="inapp") & Q(channel__isnull=False))
                | Q(state="suppressed"),
            ),
            models.CheckConstraint(
                name="notices_delivery_read_in_app",
                condition=Q(read_at=None) | Q(kind="inapp"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} → {self.shown}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES


class AttemptQuerySet(ScopedQuerySet["Attempt"]):
    view_right = "notices.view_delivery"
    scope_path = "delivery__institution"


class Attempt(models.Model):
    """One call to a service and its answer, secrets hidden. Written once, never changed."""

    delivery = models.ForeignKey(
        Delivery, models.PROTECT, related_name="attempts", verbose_name="投递"
    )
    number = models.PositiveSmallIntegerField("第几次")
    channel = models.ForeignKey(Channel, models.PROTECT, related_name="+", verbose_name="渠道")
    at = models.DateTimeField("时间")
    verdict = models.CharField(
        "结果",
        max_length=12,
        choices=[(verdict.value, VERDICT_TITLES[verdict]) for verdict in Verdict],
    )
    reason = models.CharField("说明", max_length=500)
    request = models.TextField("请求（已隐去密钥）", blank=True)
    response_code = models.CharField("应答码", max_length=20, blank=True)
    response_body = models.TextField("应答内容", blank=True)
    latency_ms = models.PositiveIntegerField("耗时（毫秒）")
    recorded_at = models.DateTimeField("登记时间", db_default=Now(), editable=False)

    objects: ClassVar[models.Manager[Attempt]] = models.Manager.from_queryset(AttemptQuerySet)()

    class Meta:
        verbose_name = "发送尝试"
        verbose_name_plural = "发送尝试"
        ordering = ("delivery", "number", "pk")
        default_permissions = ()
        indexes = [
            models.Index(fields=["channel", "-at"], name="notices_attempt_channel"),
            models.Index(fields=["at"], name="notices_attempt_at"),
        ]
        constraints = [
            models.UniqueConstraint(name="notices_attempt_once", fields=["delivery", "number"])
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id} #{self.number}"


def about_of(about: models.Model | None) -> dict[str, Any]:
    """How a notice remembers its object, of whatever app."""
    if about is None:
        return {"about_type": "", "about_id": "", "about_label": ""}
    label = about._meta.label_lower
    return {"about_type": label, "about_id": str(about.pk), "about_label": str(about)[:200]}
