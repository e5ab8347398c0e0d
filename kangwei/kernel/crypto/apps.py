"""Start-up of crypto (密码服务)."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


def _ensure_keys(**_: Any) -> None:
    from kangwei.kernel import clock
    from kangwei.kernel.crypto import keys

    keys.ensure_keys(clock.now())


class CryptoConfig(AppConfig):
    name = "kangwei.kernel.crypto"
    label = "crypto"
    verbose_name = "密码服务"

    def ready(self) -> None:
        post_migrate.connect(_ensure_keys, sender=self)
