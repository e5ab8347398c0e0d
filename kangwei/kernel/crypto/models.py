"""Keys (密钥), each wrapped by the master key; nothing here opens without the key file."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Key(models.Model):
    """One data key, digest key or signing pair. The key itself is stored wrapped only."""

    class Purpose(models.TextChoices):
        FIELD = "field", "字段加密"
        DIGEST = "digest", "检索摘要"
        SIGNING = "signing", "签名"

    class State(models.TextChoices):
        ACTIVE = "active", "使用中"
        RETIRED = "retired", "已停用（仅解密、验签）"

    kid = models.CharField("密钥号", max_length=32, primary_key=True)
    purpose = models.CharField("用途", max_length=10, choices=Purpose)
    algorithm = models.CharField("算法", max_length=20)
    state = models.CharField("状态", max_length=10, choices=State, default=State.ACTIVE)
    wrapped = models.TextField("密钥密文")
    public = models.TextField("公钥", blank=True)
    created_at = models.DateTimeField("启用时间")
    retired_at = models.DateTimeField("停用时间", null=True, blank=True)
    #: Encryptions are counted in blocks of a sequence that no rollback turns back.
    first_block = models.BigIntegerField("起始计数块", default=0)
    last_block = models.BigIntegerField("截止计数块", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "密钥"
        default_permissions = ("view",)
        permissions = [("rotate_key", "轮换密钥")]
        constraints = [
            models.UniqueConstraint(
                fields=["purpose"],
                condition=Q(state="active"),
                name="crypto_key_one_active_per_purpose",
            ),
            models.CheckConstraint(
                name="crypto_key_retired_has_a_moment",
                condition=Q(state="active", retired_at=None)
                | Q(state="retired", retired_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_purpose_display()} {self.kid}"
