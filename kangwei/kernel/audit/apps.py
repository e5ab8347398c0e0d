"""Start-up of audit (审计)."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "kangwei.kernel.audit"
    label = "audit"
    verbose_name = "审计"
