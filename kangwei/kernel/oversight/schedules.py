"""What the journal, the keys and the calendar need done by the clock; they know no schedules."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.calendar import queries as calendar
from kangwei.kernel.crypto import rotation
from kangwei.kernel.crypto.services import sm3
from kangwei.kernel.jobs import queries as jobs
from kangwei.kernel.jobs.models import ScheduleRun
from kangwei.kernel.jobs.registry import schedule
from kangwei.kernel.notices import services as notices
from kangwei.kernel.notices.services import Template, Variable
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.oversight import upkeep

WATCH = "jobs.watch_schedules"
JOURNAL_BROKEN = Template(
    code="oversight.journal_broken",
    name="审计日志异常",
    title="审计日志校验发现 {{ faults }} 处异常",
    body="审计日志校验发现 **{{ faults }}** 处异常，首处：{{ first }}\n\n"
    "请立即在“日志完整性”中查看全部发现，保护现场并上报。",
    short="审计日志校验发现{{ faults }}处异常，请立即登录查看。",
    variables=(
        Variable("faults", "异常数", "2"),
        Variable("first", "首处异常", "第 77 号对应的日志 #77 内容与入链时不符。"),
    ),
)
YEAR_MISSING = Template(
    code="oversight.calendar_year_missing",
    name="节假日安排待导入",
    title="{{ years }} 年节假日安排尚未导入",
    body="系统中还没有 **{{ years }}** 年的节假日安排，涉及该年的期限只能按周末和固定假日暂定。\n\n"
    "请在国务院办公厅公布后，到“工作日历”导入安排。",
    short="{{ years }}年节假日安排尚未导入，请到“工作日历”导入。",
    variables=(Variable("years", "年份", "2027"),),
)
SCHEDULE_FAULTS = Template(
    code="oversight.schedule_faults",
    name="定时任务异常",
    title="{{ count }} 个定时任务错过或失败",
    body="以下定时任务错过或失败：\n\n{{ faults }}\n\n"
    "请到“定时任务”查看运行记录；原因排除后可以立即执行一次。",
    short="{{ count }}个定时任务错过或失败，请登录查看。",
    variables=(
        Variable("count", "任务数", "2"),
        Variable("faults", "异常", "审计日志夜间校验：错过 1 次，2026-11-21 02:30"),
    ),
)


def holders_anywhere(right: str, at: datetime) -> list[Account]:
    """Accounts whose roles give the right, for the whole platform's affairs."""
    rows = (
        Account.objects.active(at).filter(grants__role__rights__contains=[right]).distinct()[:200]
    )
    return [account for account in rows if account.has_perm(right)]


def _tell(key: str, template: Template, context: dict[str, object], right: str, link: str,
          at: datetime, priority: str) -> int:  # fmt: skip
    people = holders_anywhere(right, at)
    if people:
        with transaction.atomic():
            notices.notify(
                key=key,
                template=template.code,
                context=context,
                to=[notices.Target.account(account.pk) for account in people],
                at=at,
                priority=priority,
                link=link,
            )
    return len(people)


@schedule(name="audit.ensure_partitions", title="审计日志分区准备", cron="15 1 * * *")
def ensure_partitions(at: datetime) -> str:
    """提前建好今后三个月的审计日志分区，使每条日志都有去处。"""
    return f"新建 {audit.ensure_partitions(ahead=3)} 个分区。"


@schedule(name="audit.seal_segments", title="审计分段摘要", cron="12 * * * *")
def seal_segments(at: datetime) -> str:
    """为没有触发器的流水表按小时计算摘要，写入审计链。"""
    return f"写入 {audit.seal_segments(at)} 段摘要。"


@schedule(name="audit.verify_journal", title="审计日志夜间校验", cron="30 2 * * *")
def verify_journal(at: datetime) -> str:
    """每夜从头校验审计链、锚点和锚点文件；发现异常立即通知有校验权限的人员。"""
    result = audit.verify_journal(at=at)
    if result.sound:
        return f"完好，核对 {result.links} 条。"
    told = _tell(
        f"oversight.journal_broken:{result.pk}",
        JOURNAL_BROKEN,
        {"faults": len(result.findings), "first": result.findings[0]["message"]},
        "audit.verify_journal",
        "/oversight/integrity/",
        at,
        "urgent",
    )
    return f"发现 {len(result.findings)} 处异常，已通知 {told} 人。"


@schedule(name="crypto.rotate_when_due", title="字段密钥到量轮换", cron="40 3 * * *")
def rotate_when_due(at: datetime) -> str:
    """字段密钥用到上限的一半时自动换新，并把已有数据改用新密钥；中断后次日继续。"""
    if any(use.is_due for use in rotation.key_uses()):
        upkeep.new_field_key(by=None, at=at)
    done = upkeep.reencrypt(by=None, at=at)
    return f"重新加密 {done.values} 个值。"


@schedule(name="calendar.ask_next_year", title="下一年节假日安排提醒", cron="0 9 * * 1")
def ask_next_year(at: datetime) -> str:
    """每年 11 月起，下一年的节假日安排未导入时每周提醒有维护权限的人员。"""
    missing = calendar.missing_years(clock.local_day(at))
    if not missing:
        return "安排齐全。"
    years = "、".join(map(str, missing))
    told = _tell(
        f"oversight.calendar_year_missing:{years}:{clock.local_day(at):%G-W%V}",
        YEAR_MISSING,
        {"years": years},
        "calendar.manage_calendar",
        "/oversight/calendar/",
        at,
        "normal",
    )
    return f"缺少 {years} 年的安排，已提醒 {told} 人。"


@schedule(name=WATCH, title="定时任务监视", cron="*/10 * * * *")
def watch_schedules(at: datetime) -> str:
    """把上次监视以来错过和失败的定时任务通知给能执行和暂停定时任务的人员。"""
    looked = jobs.schedule_runs(WATCH).filter(outcome=ScheduleRun.Outcome.DONE, due_at__lt=at)
    since = looked.values_list("due_at", flat=True).first() or at - timedelta(minutes=10)
    # A moment is known to be missed only some minutes after it.
    faults = {
        one.title: f"{one.title}：错过 {one.span.count} 次，最近 {_minute(one.span.last)}"
        for one in jobs.missed(at)
        if one.span.last > since - jobs.GRACE
    }
    failed = jobs.schedule_runs().filter(
        outcome=ScheduleRun.Outcome.FAILED, finished_at__gt=since, finished_at__lte=at
    )
    for run in failed:
        title = run.schedule.title
        faults[title] = f"{title}：{_minute(run.due_at)} 执行失败，{run.error}"
    if not faults:
        return "没有新的异常。"
    # What fails every few minutes is told once a day.
    told = _tell(
        f"oversight.schedule_faults:{clock.local_day(at)}:{sm3('、'.join(sorted(faults)).encode())}",
        SCHEDULE_FAULTS,
        {"count": len(faults), "faults": "\n\n".join(faults.values())},
        "jobs.manage_schedule",
        "/oversight/schedules/",
        at,
        "high",
    )
    return f"{len(faults)} 个定时任务异常，已通知 {told} 人。"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M}"
