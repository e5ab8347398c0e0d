"""Start-up of audit (审计)."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    name = "kangwei.kernel.audit"
    label = "audit"
    verbose_name = "审计"

    def ready(self) -> None:
        from kangwei.kernel.audit import install, services
        from kangwei.kernel.audit.models import Verification

        services.register_acts(
            {
                services.EXPORTED: "导出数据",
                services.UNMASKED: "查看明文",
            }
        )
        services.exempt(Verification, reason="校验的结果，本身不是业务数据；结论另记入审计日志")
        post_migrate.connect(install.after_migrate, sender=self)
