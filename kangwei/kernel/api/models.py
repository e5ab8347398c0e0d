"""Tables of the API: keys, answers kept for repeated requests, and two counters.

The counters are unlogged: they are written at every call, and losing them in a crash of the
database loses nothing that anybody is owed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from kangwei.kernel.crypto.fields import EncryptedTextField

if TYPE_CHECKING:
    from datetime import datetime

    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """One's own keys only; an administrator of accounts reaches keys through the account."""
        return self.filter(account=user.pk) if user.is_authenticated else self.none()

    def usable(self, at: datetime) -> Self:
        return self.filter(revoked_at=None, expires_at__gt=at)


class ApiKey(models.Model):
    """A key with which a program acts for an account (接口密钥).

    The key is shown once; the table keeps its keyed digest. A scope is a list of rights: the key
    may do what both it and its account may.
    """

    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="api_keys", verbose_name="账号"
    )
    name = models.CharField("用途", max_length=60)
    prefix = models.CharField("前缀", max_length=12, unique=True)
    digest = models.CharField("摘要", max_length=64)
    scopes = ArrayField(models.CharField(max_length=120), verbose_name="权限范围")
    addresses = ArrayField(
        models.CharField(max_length=50), default=list, blank=True, verbose_name="允许的地址"
    )
    calls_per_minute = models.PositiveIntegerField("每分钟调用上限", default=600)
    created_at = models.DateTimeField("创建时间")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="创建人"
    )
    expires_at = models.DateTimeField("到期时间")
    rotated_from = models.OneToOneField(
        "self", models.PROTECT, null=True, related_name="successor", verbose_name="轮换自"
    )
    last_used_at = models.DateTimeField("最近使用时间", null=True)
    revoked_at = models.DateTimeField("作废时间", null=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name="作废人"
    )

    objects: ClassVar[models.Manager[ApiKey]] = models.Manager.from_queryset(ApiKeyQuerySet)()

    class Meta:
        verbose_name = verbose_name_plural = "接口密钥"
        default_permissions = ()
        permissions = [
            ("use_api_keys", "使用接口密钥"),
            ("manage_api_keys", "管理他人的接口密钥"),
            ("view_metrics", "读取运行指标"),
        ]
        constraints = [
            models.CheckConstraint(
                name="api_key_expires_after_creation",
                condition=Q(expires_at__gt=F("created_at")),
            ),
            models.CheckConstraint(
                name="api_key_revoked_by_someone",
                condition=Q(revoked_at=None, revoked_by=None)
                | Q(revoked_at__isnull=False, revoked_by__isnull=False),
            ),
            models.CheckConstraint(name="api_key_some_calls", condition=Q(calls_per_minute__gt=0)),
            models.CheckConstraint(name="api_key_some_scope", condition=~Q(scopes=[])),
        ]

    def __str__(self) -> str:
        return f"{self.name}（kw_{self.prefix}）"


class IdempotentAnswer(models.Model):
    """What an act answered, kept so that the same request is answered the same (幂等应答).

    Written in the act's own transaction: either the act and its answer exist, or neither.
    """

    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name="账号"
    )
    key = models.CharField("幂等键", max_length=200)
    operation = models.CharField("操作", max_length=300)
    digest = models.CharField("内容摘要", max_length=64)
    status = models.PositiveSmallIntegerField("状态码")
    #: The JSON body of the API, or the address a page form led to. Sealed: an answer may hold a
    #: one-time password, a new key, or a phone number that was unmasked.
    body = EncryptedTextField("应答")
    created_at = models.DateTimeField("时间", db_index=True)

    class Meta:
        verbose_name = verbose_name_plural = "幂等应答"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="api_answer_once", fields=["account", "key"]),
            models.CheckConstraint(
                name="api_answer_final", condition=Q(status__gte=200, status__lt=500)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.status}"


class CallWindow(models.Model):
    """How often a key was used in the present minute; shared by all processes. Unlogged."""

    key = models.OneToOneField(
        ApiKey, models.CASCADE, primary_key=True, related_name="+", verbose_name="密钥"
    )
    minute = models.BigIntegerField("分钟")
    calls = models.IntegerField("次数")

    class Meta:
        verbose_name = verbose_name_plural = "调用计数"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.key_id} {self.calls}"


class Traffic(models.Model):
    """Requests answered, by operation and status, since the database started. Unlogged."""

    operation = models.CharField("操作", max_length=300)
    status = models.PositiveSmallIntegerField("状态码")
    requests = models.BigIntegerField("次数")
    seconds = models.FloatField("耗时")

    class Meta:
        verbose_name = verbose_name_plural = "请求统计"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="api_traffic_once", fields=["operation", "status"])
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.status}"
