"""What notices does by the clock (定时任务)."""

from __future__ import annotations

from datetime import datetime, timedelta

from kangwei.kernel import clock
from kangwei.kernel.jobs.registry import schedule
from kangwei.kernel.notices.services import keeping, working


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


@schedule(name="notices.purge", title="清理过期通知", cron="40 3 * * *")
def purge(at: datetime) -> str:
    """删除超过保留期（KW_NOTICES_KEPT_DAYS，至少 180 天）且已入链封存的通知、投递和升级记录。"""
    gone = keeping.purge(at=at)
    told = "、".join(f"{title} {count} 条" for title, count in gone.items() if count)
    return f"已清理{told}。" if told else "没有超过保留期的通知。"
