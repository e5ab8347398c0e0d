"""Start-up of screens (界面)."""

from django.apps import AppConfig


class ScreensConfig(AppConfig):
    name = "kangwei.kernel.screens"
    label = "screens"
    verbose_name = "界面"
