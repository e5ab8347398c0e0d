"""Account review (用户年审) and saved journal searches: what is kept.

The ledger is `ReviewEvent`: who was called up, decided, suspended, brought back, and when. What an
item's own columns say is the sum of its events and can be rebuilt from them
(`manage.py rebuild_reviews`).
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Cast

from kangwei.kernel.oversight.rules import review

REVIEW_RIGHT = "oversight.review_accounts"
VIEW_RIGHT = "oversight.view_reviewcampaign"


class CampaignQuerySet(models.QuerySet["ReviewCampaign"]):
    def visible_to(self, user: Any) -> CampaignQuerySet:
        """Campaigns of institutions in scope, and those that call up an account in scope."""
        scope = user.scope(VIEW_RIGHT)
        own = scope.limit(ReviewCampaign.objects.all(), "institution").values("pk")
        reached = scope.limit(ReviewItem.objects.all(), "institution").values("campaign_id")
        return self.filter(Q(pk__in=own) | Q(pk__in=reached))

    def open(self) -> CampaignQuerySet:
        return self.filter(state=ReviewCampaign.State.OPEN)


class ReviewCampaign(models.Model):
    """One round of review (年审批次) over an institution and all below it."""

    class State(models.TextChoices):
        OPEN = "open", "进行中"
        CLOSED = "closed", "已结束"
        CANCELLED = "cancelled", "已撤销"

    title = models.CharField("批次名称", max_length=80)
    year = models.PositiveSmallIntegerField("年度")
    institution = models.ForeignKey(
        "organisations.Institution", models.PROTECT, related_name="+", verbose_name="范围机构"
    )
    standing = models.BooleanField(
        "日常年审", default=False, help_text="系统按账号各自的到期日自动纳入，没有统一截止日"
    )
    opens_on = models.DateField("开始日期")
    due_on = models.DateField("截止日期", null=True, blank=True)
    state = models.CharField("状态", max_length=10, choices=State, default=State.OPEN)
    note = models.CharField("说明", max_length=500, blank=True)
    created_at = models.DateTimeField("发起时间")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="发起人",
    )
    ended_at = models.DateTimeField("结束时间", null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="结束人",
    )
    end_reason = models.CharField("结束原因", max_length=200, blank=True)

    objects = CampaignQuerySet.as_manager()

    class Meta:
        verbose_name = "年审批次"
        verbose_name_plural = "年审批次"
        default_permissions = ()
        permissions = [
            ("view_reviewcampaign", "查看用户年审"),
            ("manage_campaign", "发起和结束年审批次"),
            ("review_accounts", "年审下级机构账号"),
            ("reactivate_accounts", "恢复被年审暂停的账号"),
        ]
        ordering = ["-opens_on", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["institution", "year", "standing"],
                condition=Q(state="open"),
                name="oversight_campaign_one_open",
                violation_error_message="该机构本年度已有进行中的年审批次。",
            ),
            models.CheckConstraint(
                name="oversight_campaign_due_unless_standing",
                condition=Q(standing=True, due_on__isnull=True)
                | Q(standing=False, due_on__isnull=False),
            ),
            models.CheckConstraint(
                # Nobody is called up with less than the notice.
                name="oversight_campaign_leaves_notice",
                condition=Q(due_on__isnull=True)
                | Q(due_on__gte=Cast(F("opens_on") + review.NOTICE, models.DateField())),
            ),
            models.CheckConstraint(
                name="oversight_campaign_end_is_dated",
                condition=Q(state="open", ended_at__isnull=True)
                | (~Q(state="open") & Q(ended_at__isnull=False)),
            ),
        ]

    def __str__(self) -> str:
        return self.title


class ItemQuerySet(models.QuerySet["ReviewItem"]):
    def visible_to(self, user: Any) -> ItemQuerySet:
        scope = user.scope(VIEW_RIGHT)
        limited: ItemQuerySet = scope.limit(self, "institution")
        return limited

    def open(self) -> ItemQuerySet:
        """Not yet decided, and still asked for."""
        return self.filter(decision="", withdrawn=False)

    def in_state(self, state: review.State, today: Any) -> ItemQuerySet:
        """The same states as `rules.review.state`, for the database."""
        if state is review.State.DISABLED:
            return self.filter(decision=review.Decision.DISABLE)
        if state is review.State.CONFIRMED:
            return self.filter(decision__in=[review.Decision.KEEP, review.Decision.CHANGE])
        rows = self.filter(decision="")
        if state is review.State.SUSPENDED:
            return rows.filter(suspended_at__isnull=False)
        rows = rows.filter(suspended_at__isnull=True)
        if state is review.State.OVERDUE:
            return rows.filter(due_on__lt=today)
        rows = rows.filter(due_on__gte=today)
        if state is review.State.DUE:
            return rows.filter(due_on__lte=today + review.NOTICE)
        return rows.filter(due_on__gt=today + review.NOTICE)


class ReviewItem(models.Model):
    """One account in one campaign: how it stood when called up, and what was decided."""

    class Method(models.TextChoices):
        PASSWORD = "password", "重新输入密码"
        SECOND_FACTOR = "second_factor", "动态口令"

    campaign = models.ForeignKey(
        ReviewCampaign, models.PROTECT, related_name="items", verbose_name="批次"
    )
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="账号"
    )
    institution = models.ForeignKey(
        "organisations.Institution", models.PROTECT, related_name="+", verbose_name="所属机构"
    )
    reviewing_institution = models.ForeignKey(
        "organisations.Institution", models.PROTECT, related_name="+", verbose_name="年审机构"
    )
    due_on = models.DateField("到期日")
    called_at = models.DateTimeField("纳入时间")
    #: The account as it stood when called up (see `snapshots.take`).
    snapshot = models.JSONField("账号快照")
    withdrawn = models.BooleanField("已撤出", default=False)

    decision = models.CharField(
        "结论",
        max_length=10,
        blank=True,
        choices=[(item.value, word) for item, word in review.DECISION_WORDS.items()],
    )
    reason = models.CharField("理由", max_length=500, blank=True)
    decided_at = models.DateTimeField("审核时间", null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="审核人",
    )
    in_bulk = models.BooleanField("批量确认", default=False)
    #: What the account may do from the decision on; the next review compares with it.
    decided_snapshot = models.JSONField("审核后快照", null=True, blank=True)
    signed_with = models.CharField("签名方式", max_length=16, choices=Method, blank=True)
    signed_text = models.TextField("签名原文", blank=True)
    signature = models.TextField("电子签名", blank=True)

    suspended_at = models.DateTimeField("暂停时间", null=True, blank=True)

    objects = ItemQuerySet.as_manager()

    class Meta:
        verbose_name = "年审账号"
        verbose_name_plural = "年审账号"
        default_permissions = ()
        ordering = ["due_on", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "account"], name="oversight_item_once_per_campaign"
            ),
            models.UniqueConstraint(
                fields=["account"],
                condition=Q(decision="", withdrawn=False),
                name="oversight_item_one_open_per_account",
            ),
            models.CheckConstraint(
                name="oversight_item_decision_is_signed",
                condition=Q(
                    decision="",
                    decided_at__isnull=True,
                    decided_by__isnull=True,
                    decided_snapshot__isnull=True,
                    signature="",
                    signed_with="",
                )
                | (
                    ~Q(decision="")
                    & ~Q(signature="")
                    & ~Q(signed_with="")
                    & Q(
                        decided_at__isnull=False,
                        decided_by__isnull=False,
                        decided_snapshot__isnull=False,
                        withdrawn=False,
                    )
                ),
            ),
            models.CheckConstraint(
                name="oversight_item_nobody_reviews_himself",
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("account")),
            ),
            models.CheckConstraint(
                name="oversight_item_bulk_only_keeps",
                condition=Q(in_bulk=False) | Q(decision="keep"),
            ),
            models.CheckConstraint(
                name="oversight_item_change_has_reason",
                condition=~Q(decision__in=["change", "disable"]) | ~Q(reason=""),
            ),
        ]
        indexes = [
            models.Index(fields=["reviewing_institution", "decision", "due_on"]),
            models.Index(fields=["account", "-decided_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.snapshot.get('name') or self.snapshot.get('username')} · {self.campaign}"

    def state_on(self, today: Any) -> review.State:
        return review.state(
            due=self.due_on,
            today=today,
            decision=review.Decision(self.decision) if self.decision else None,
            suspended=self.suspended_at is not None,
        )


class EventQuerySet(models.QuerySet["ReviewEvent"]):
    def visible_to(self, user: Any) -> EventQuerySet:
        scope = user.scope(VIEW_RIGHT)
        limited: EventQuerySet = scope.limit(self, "item__institution")
        return limited


class ReviewEvent(models.Model):
    """One fact in the review of one account (年审记录); the database refuses to change it."""

    class Kind(models.TextChoices):
        CALLED = "called", "纳入年审"
        DECIDED = "decided", "作出结论"
        SUSPENDED = "suspended", "逾期暂停"
        REACTIVATED = "reactivated", "恢复使用"
        WITHDRAWN = "withdrawn", "撤出批次"

    item = models.ForeignKey(
        ReviewItem, models.PROTECT, related_name="events", verbose_name="年审账号"
    )
    kind = models.CharField("事项", max_length=12, choices=Kind)
    occurred_at = models.DateTimeField("发生时间")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="操作人",
    )
    reason = models.CharField("理由", max_length=500, blank=True)
    #: The columns of the item that this event set, for the rebuild.
    detail = models.JSONField("内容", default=dict)

    objects = EventQuerySet.as_manager()

    class Meta:
        verbose_name = "年审记录"
        verbose_name_plural = "年审记录"
        default_permissions = ()
        ordering = ["occurred_at", "pk"]
        indexes = [models.Index(fields=["item", "occurred_at"])]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.item_id}"


class SavedSearchQuerySet(models.QuerySet["SavedSearch"]):
    def visible_to(self, user: Any) -> SavedSearchQuerySet:
        return self.filter(account_id=user.pk)


class SavedSearch(models.Model):
    """A journal search an auditor uses again (常用查询); each account has its own."""

    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name="账号"
    )
    name = models.CharField("名称", max_length=40)
    query = models.JSONField("条件")
    created_at = models.DateTimeField("保存时间")

    objects: ClassVar[Any] = SavedSearchQuerySet.as_manager()

    class Meta:
        verbose_name = "常用日志查询"
        verbose_name_plural = "常用日志查询"
        default_permissions = ()
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "name"], name="oversight_saved_search_name_once"
            )
        ]

    def __str__(self) -> str:
        return self.name
