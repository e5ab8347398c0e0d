"""Start-up of audit (审计)."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    name = "kangwei.kernel.audit"
    label = "audit"
    verbose_name = "审计"

    def ready(self) -> None:
        from kangwei.kernel.audit import install, services, verify
        from kangwei.kernel.audit.models import Verification
        from kangwei.kernel.calendar.models import Arrangement, LocalCalendar, Override
        from kangwei.kernel.crypto.models import Key

        services.register_acts(
            {
                services.EXPORTED: "导出数据",
                services.UNMASKED: "查看明文",
                services.VERIFIED: "校验审计日志",
                services.MONTH_SEALED: "封存审计月份",
                services.MONTH_PURGED: "清理审计月份",
                verify.ANCHOR_FILE_RESTARTED: "重新开始锚点文件",
            }
        )
        services.exempt(Verification, reason="校验的结果，本身不是业务数据；结论另记入审计日志")
        # The two rooms below this one cannot name it themselves.
        services.journal(Key, hidden=["wrapped"])
        for model in (Arrangement, LocalCalendar, Override):
            services.journal(model)
        post_migrate.connect(install.after_migrate, sender=self)
