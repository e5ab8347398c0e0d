"""Start-up of notices (通知)."""

from django.apps import AppConfig


class NoticesConfig(AppConfig):
    name = "kangwei.kernel.notices"
    label = "notices"
    verbose_name = "通知"
