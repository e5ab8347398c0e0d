"""Start-up of reporting (报表)."""

from django.apps import AppConfig


class ReportingConfig(AppConfig):
    name = "kangwei.kernel.reporting"
    label = "reporting"
    verbose_name = "报表"
