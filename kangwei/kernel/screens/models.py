"""What one account has set up for itself (个人设置): columns, page size, order of home cards."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models


class PreferenceManager(models.Manager["Preference"]):
    def read(self, account: Any, key: str, default: Any = None) -> Any:
        if not getattr(account, "pk", None):
            return default
        row = self.filter(account_id=account.pk, key=key).values_list("value", flat=True).first()
        return default if row is None else row

    def write(self, account: Any, key: str, value: Any) -> None:
        self.update_or_create(account_id=account.pk, key=key, defaults={"value": value})


class Preference(models.Model):
    """One setting of one account. Losing the table loses nobody's data, only their habits."""

    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name="账号"
    )
    key = models.CharField("设置项", max_length=120)
    value = models.JSONField("内容")

    objects: ClassVar[PreferenceManager] = PreferenceManager()

    class Meta:
        verbose_name = "个人设置"
        verbose_name_plural = "个人设置"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "key"], name="screens_preference_once_per_account"
            )
        ]

    def __str__(self) -> str:
        return self.key
