"""Sign-in (登录): the policy, the sessions that are open, and the ledger of what happened."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from kangwei.kernel import clock
from kangwei.kernel.organisations.models.accounts import Account
from kangwei.kernel.organisations.models.scope import ScopedQuerySet
from kangwei.kernel.organisations.rules.browsers import browser_of


class SecurityPolicy(models.Model):
    """Figures of sign-in protection. One row; the floors are those of 等保三级."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    password_min_length = models.PositiveSmallIntegerField("密码最短长度", default=10)
    password_history = models.PositiveSmallIntegerField("不得重复最近几次密码", default=5)
    password_max_age_days = models.PositiveSmallIntegerField("密码有效天数", default=90)
    password_min_age_hours = models.PositiveSmallIntegerField("两次修改最短间隔（小时）", default=1)
    failures_before_lock = models.PositiveSmallIntegerField("账号连续失败几次锁定", default=5)
    address_failures_before_lock = models.PositiveSmallIntegerField(
        "同一地址失败几次锁定", default=30
    )
    failure_window_minutes = models.PositiveSmallIntegerField("失败计数时长（分钟）", default=15)
    lock_minutes = models.PositiveSmallIntegerField("锁定时长（分钟）", default=30)
    idle_minutes = models.PositiveSmallIntegerField("空闲退出（分钟）", default=30)
    lifetime_hours = models.PositiveSmallIntegerField("最长登录时长（小时）", default=12)
    session_limit = models.PositiveSmallIntegerField("默认同时登录数上限", default=3)

    class Meta:
        verbose_name = "登录安全策略"
        verbose_name_plural = "登录安全策略"
        default_permissions = ("view", "change")
        constraints = [
            models.CheckConstraint(name="organisations_one_policy", condition=Q(id=1)),
            models.CheckConstraint(
                name="organisations_policy_password_floor",
                condition=Q(
                    password_min_length__range=(8, 64),
                    password_history__range=(3, 24),
                    password_max_age_days__range=(1, 180),
                    password_min_age_hours__range=(0, 72),
                ),
                violation_error_message=(
                    "密码策略超出允许范围：长度 8–64，历史 3–24 次，有效 1–180 天，间隔 0–72 小时。"
                ),
            ),
            models.CheckConstraint(
                name="organisations_policy_lock_floor",
                condition=Q(
                    failures_before_lock__range=(3, 10),
                    address_failures_before_lock__range=(5, 500),
                    failure_window_minutes__range=(5, 120),
                    lock_minutes__range=(10, 1440),
                ),
                violation_error_message=(
                    "锁定策略超出允许范围：账号 3–10 次，地址 5–500 次，"
                    "计数 5–120 分钟，锁定 10–1440 分钟。"
                ),
            ),
            models.CheckConstraint(
                name="organisations_policy_session_floor",
                condition=Q(
                    idle_minutes__range=(1, 60),
                    lifetime_hours__range=(1, 24),
                    session_limit__range=(1, 20),
                ),
                violation_error_message=(
                    "会话策略超出允许范围：空闲 1–60 分钟，最长 1–24 小时，同时登录 1–20 个。"
                ),
            ),
        ]

    def __str__(self) -> str:
        return "登录安全策略"


class SessionEnd(models.TextChoices):
    """Why a session ended; the sign-in page tells the person."""

    SIGNED_OUT = "signed_out", "本人退出"
    IDLE = "idle", "空闲超时"
    LIFETIME = "lifetime", "达到最长登录时长"
    FORCED = "forced", "管理员强制下线"
    DISPLACED = "displaced", "在其他地方登录，超过同时登录数"
    PASSWORD = "password", "密码已修改"  # a reason, not a password
    ACCOUNT = "account", "账号已停用或过期"


class AccountSessionQuerySet(ScopedQuerySet["AccountSession"]):
    view_right = "organisations.view_account"
    scope_path = "account__institution"

    def open(self) -> Self:
        return self.filter(ended_at=None)


class AccountSession(models.Model):
    """One signed-in browser. The key itself is in the browser; here is its digest."""

    account = models.ForeignKey(
        Account, models.CASCADE, related_name="sessions", verbose_name="账号"
    )
    key_digest = models.CharField("会话摘要", max_length=64, unique=True)
    started_at = models.DateTimeField("登录时间")
    seen_at = models.DateTimeField("最近活动")
    address = models.GenericIPAddressField("地址", null=True, blank=True)
    agent = models.CharField("浏览器", max_length=200, blank=True)
    second_factor = models.BooleanField("已验证第二因素", default=False)
    ended_at = models.DateTimeField("结束时间", null=True, blank=True)
    end_reason = models.CharField("结束原因", max_length=12, choices=SessionEnd.choices, blank=True)

    objects = AccountSessionQuerySet.as_manager()

    class Meta:
        verbose_name = "登录会话"
        verbose_name_plural = "登录会话"
        default_permissions = ()
        ordering = ("-started_at",)
        indexes = [
            models.Index(
                fields=("account",),
                condition=Q(ended_at=None),
                name="organisations_session_open",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="organisations_session_end_has_reason",
                condition=Q(ended_at=None, end_reason="")
                | Q(ended_at__isnull=False) & ~Q(end_reason=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {clock.local(self.started_at):%Y-%m-%d %H:%M}"

    @property
    def browser(self) -> str:
        return browser_of(self.agent)


class SignInKind(models.TextChoices):
    SUCCESS = "success", "登录成功"
    FAILURE = "failure", "登录失败"
    LOCKED = "locked", "账号锁定"
    ADDRESS_LOCKED = "address_locked", "地址锁定"
    REFUSED_LOCKED = "refused_locked", "锁定期间尝试登录"
    UNLOCKED = "unlocked", "解除锁定"
    FACTOR_FAILURE = "factor_failure", "第二因素验证失败"
    RECOVERY_CODE = "recovery_code", "使用恢复码"
    ENDED = "ended", "会话结束"


class SignInEventQuerySet(ScopedQuerySet["SignInEvent"]):
    view_right = "organisations.view_signinevent"
    scope_path = "account__institution"

    def failures_since(self, since: datetime) -> Self:
        return self.filter(at__gt=since, kind__in=[SignInKind.FAILURE, SignInKind.FACTOR_FAILURE])


class SignInEvent(models.Model):
    """The sign-in journal (登录日志): append-only, also for names that do not exist."""

    at = models.DateTimeField("时间")
    recorded_at = models.DateTimeField("登记时间", db_default=Now())
    kind = models.CharField("事件", max_length=16, choices=SignInKind.choices)
    username = models.CharField("用户名", max_length=40)
    account = models.ForeignKey(
        Account, models.PROTECT, null=True, blank=True, related_name="sign_ins", verbose_name="账号"
    )
    address = models.GenericIPAddressField("地址", null=True, blank=True)
    agent = models.CharField("浏览器", max_length=200, blank=True)
    reason = models.CharField("说明", max_length=100, blank=True)

    objects = SignInEventQuerySet.as_manager()

    class Meta:
        verbose_name = "登录日志"
        verbose_name_plural = "登录日志"
        default_permissions = ("view",)
        ordering = ("-at", "-pk")
        indexes = [
            models.Index(fields=("username", "at"), name="organisations_signin_username"),
            models.Index(fields=("address", "at"), name="organisations_signin_address"),
            models.Index(fields=("account", "at"), name="organisations_signin_account"),
        ]

    def __str__(self) -> str:
        return f"{clock.local(self.at):%Y-%m-%d %H:%M} {self.username} {self.get_kind_display()}"

    @property
    def browser(self) -> str:
        return browser_of(self.agent)
