"""What notices does by the clock (定时任务)."""

from __future__ import annotations

from datetime import datetime, timedelta

from kangwei.kernel import clock
from kangwei.kernel.jobs.registry import schedule
from kangwei.kernel.notices.services import working


@schedule(name="notices.minute", title="通知巡查", cron="* * * * *", catch_up=timedelta(minutes=1))
def minute(at: datetime) -> str:
    """发送到期的通知、推进升级、探测故障渠道，并向外部守望地址发送心跳。"""
    return working.minute(now=clock.now)


@schedule(
    name="notices.all_quiet",
    title="每日平安消息",
    cron="30 8 * * *",
    catch_up=timedelta(hours=3),
)
def all_quiet(at: datetime) -> str:
    """每天 08:30 发送前一日的送达情况；没有收到这条消息，就应检查通知渠道。"""
    return working.all_quiet(at=at)
