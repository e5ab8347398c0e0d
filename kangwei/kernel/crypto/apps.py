"""Start-up of crypto (密码服务)."""

from django.apps import AppConfig


class CryptoConfig(AppConfig):
    name = "kangwei.kernel.crypto"
    label = "crypto"
    verbose_name = "密码服务"
