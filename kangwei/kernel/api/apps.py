"""Start-up of api (开放接口)."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "kangwei.kernel.api"
    label = "api"
    verbose_name = "开放接口"

    def ready(self) -> None:
        from kangwei.kernel.audit import services as audit

        from .models import ApiKey, CallWindow, IdempotentAnswer, Traffic

        audit.register_acts(
            {
                "api.key.created": "创建接口密钥",
                "api.key.rotated": "轮换接口密钥",
                "api.key.revoked": "作废接口密钥",
                "api.access.refused": "越权访问被拒绝",
                "api.act.refused": "接口操作被拒绝",
            }
        )
        audit.journal(ApiKey, hidden=["digest"])
        audit.exempt(IdempotentAnswer, reason="操作应答的 48 小时副本，操作本身已入日志")
        audit.exempt(CallWindow, reason="限流计数，每次调用都变，不含业务数据")
        audit.exempt(Traffic, reason="请求次数统计，不含业务数据")
