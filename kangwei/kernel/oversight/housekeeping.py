"""What the API frame needs done now and then; the frame itself knows no schedules."""

from __future__ import annotations

from datetime import datetime

from kangwei.kernel.api import services as api
from kangwei.kernel.jobs.registry import schedule


@schedule(
    name="api.forget_answers",
    title="清理过期的幂等应答",
    cron="40 * * * *",
    description="接口操作的应答保存 48 小时，供重试时原样返回；过期后删除。",
)
def forget_answers(at: datetime) -> str:
    """Answers of acts are kept 48 hours for those who ask again."""
    return f"删除 {api.delete_old_answers(at=at)} 条。"
