"""What reporting does by the clock: planned snapshots, subscriptions, tidying; and long reports."""

from __future__ import annotations

from datetime import datetime

from kangwei.kernel.jobs.registry import register_run_kind, schedule

from .services.plans import carry_out_plans, carry_out_subscriptions
from .services.running import LONG_REPORT, forget_expired, work_long_report


@schedule(name="reporting.freeze_plans", title="按计划固化报表", cron="*/10 * * * *")
def freeze_plans(at: datetime) -> str:
    """到时点的固化计划，按建立人的权限和数据范围生成固化报表；错过的时点补做一次。"""
    frozen, refused = carry_out_plans(at=at)
    return f"固化 {frozen} 份，未成功 {refused} 份。"


@schedule(name="reporting.deliver_subscriptions", title="发送报表订阅", cron="*/10 * * * *")
def deliver_subscriptions(at: datetime) -> str:
    """到时点的订阅，按接收人的权限和数据范围统计并通知。"""
    sent, refused = carry_out_subscriptions(at=at)
    return f"送达 {sent} 份，未成功 {refused} 份。"


@schedule(name="reporting.forget_results", title="清理过期的报表结果", cron="40 3 * * *")
def forget_results(at: datetime) -> str:
    """删除保留期已过的查询结果；固化报表不受影响。"""
    return f"删除 {forget_expired(at=at)} 份过期结果。"


register_run_kind(kind=LONG_REPORT, title="统计报表", work=work_long_report)
