"""What oversight counts (督查统计): reviews, sign-ins and acts, deliveries; the monthly report."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from kangwei.kernel.audit import queries as audit_queries
from kangwei.kernel.audit import services as audit
from kangwei.kernel.audit.display import local_text
from kangwei.kernel.audit.models import Entry, Verification
from kangwei.kernel.jobs import queries as jobs
from kangwei.kernel.jobs.models import ScheduleRun
from kangwei.kernel.notices import queries as notices
from kangwei.kernel.notices.models import ChannelKind
from kangwei.kernel.notices.registry import templates
from kangwei.kernel.organisations.models import Account, SignInEvent, SignInKind
from kangwei.kernel.oversight.models import VIEW_RIGHT, ReviewItem
from kangwei.kernel.oversight.rules.review import Decision
from kangwei.kernel.reporting.declarations import (
    Block,
    Column,
    Context,
    DetailTable,
    DocumentContext,
    DocumentKind,
    Figure,
    Heading,
    InstitutionParameter,
    ListBlock,
    Nothing,
    Paragraph,
    PeriodParameter,
    Rate,
    Recurrence,
    Report,
    SectionKind,
    bars,
    report_section,
)

GROUP = "督查"
PERIODS = PeriodParameter(
    kinds=("month", "quarter", "half_year", "year", "range"), default="current"
)
#: The month before is frozen in the night of the first, when nobody is waiting for the machine.
MONTH_END = Recurrence("monthly", 2, 1)
INSTITUTION = Column(key="institution", title="机构", definition="账号所属机构。")
#: A line of the journal or of a ledger that a drill-down shows at most.
MOST_BEHIND = 5_000


def _int(key: str, title: str, definition: str, *group: str, drill: bool = True) -> Column:
    return Column(
        key=key,
        title=title,
        definition=definition,
        kind="int",
        total="sum",
        drill=drill,
        group=group,
    )


def _id(title: str) -> Column:
    return Column(key="institution_id", title=title, definition="机构的内部编号。", hidden=True)


# Reviews (账号年审统计) -------------------------------------------------------------------------


def reviews_due(ctx: Context) -> QuerySet[ReviewItem]:
    """Accounts due in the period that were called up by the cut-off."""
    items = ReviewItem.objects.filter(
        withdrawn=False,
        due_on__gte=ctx.period.start,
        due_on__lt=ctx.period.end,
        called_at__lte=ctx.cutoff,
    )
    return ctx.limit(items)


def review_conditions(ctx: Context) -> dict[str, Q]:
    """What each column counts, as it was known at the cut-off."""
    decided = Q(decided_at__isnull=False, decided_at__lte=ctx.cutoff)
    today = timezone.localdate(ctx.cutoff)
    suspended = Q(suspended_at__isnull=False, suspended_at__lte=ctx.cutoff)
    return {
        "due": Q(),
        "kept": decided & Q(decision=Decision.KEEP),
        "bulk": decided & Q(in_bulk=True),
        "changed": decided & Q(decision=Decision.CHANGE),
        "disabled": decided & Q(decision=Decision.DISABLE),
        "decided": decided,
        "in_time": decided & Q(decided_at__date__lte=F("due_on")),
        "open": ~decided & Q(due_on__gte=today),
        "overdue": ~decided & Q(due_on__lt=today),
        "suspended": suspended,
    }


def count_reviews(ctx: Context) -> Iterable[Mapping[str, Any]]:
    counts = {key: Count("pk", filter=where) for key, where in review_conditions(ctx).items()}
    lines: Any = (
        reviews_due(ctx)
        .order_by()
        .values("institution_id", institution_name=F("institution__name"))
        .annotate(**counts)
        .order_by("institution__region_id", "institution__code")
    )
    for row in lines:
        name = row.pop("institution_name")
        yield {**row, "institution": name}


def reviews_behind(ctx: Context, row: Mapping[str, Any] | None, column: Column) -> DetailTable:
    items = reviews_due(ctx).filter(review_conditions(ctx)[column.key])
    if row is not None:
        items = items.filter(institution=row["institution_id"])
    rows = [
        {
            "name": item.snapshot["name"],
            "username": item.snapshot["username"],
            "institution": item.institution.name,
            "due_on": item.due_on,
            "decision": item.get_decision_display() if item.decision else "未作结论",
            "decided_at": item.decided_at,
            "decided_by": str(item.decided_by or ""),
            "reason": item.reason,
        }
        for item in items.select_related("institution", "decided_by").order_by("due_on", "pk")
    ]
    return DetailTable(
        columns=(
            Column(key="name", title="姓名", definition="账号姓名。", masked="name"),
            Column(key="username", title="用户名", definition="登录用户名。"),
            INSTITUTION,
            Column(key="due_on", title="到期日", definition="年审到期日。", kind="date"),
            Column(key="decision", title="结论", definition="保留、调整、停用或未作结论。"),
            Column(
                key="decided_at", title="审核时间", definition="作出结论的时间。", kind="datetime"
            ),
            Column(key="decided_by", title="审核人", definition="上级机构审核人。", masked="name"),
            Column(key="reason", title="理由", definition="审核理由。"),
        ),
        rows=rows,
    )


REVIEWS = Report(
    code="oversight.reviews",
    title="账号年审统计",
    group=GROUP,
    purpose="本期到期的账号有多少按时完成年审，结论如何，多少逾期或被暂停。",
    parameters=(PERIODS, InstitutionParameter()),
    columns=(
        INSTITUTION,
        _id("机构编号"),
        _int("due", "应审", "到期日在本期内、截止时已纳入年审且未撤出的账号数。"),
        _int("kept", "保留", "结论为保留的账号数。", "已作结论"),
        _int("bulk", "其中批量", "以批量确认方式保留的账号数。", "已作结论"),
        _int("changed", "调整", "结论为调整角色的账号数。", "已作结论"),
        _int("disabled", "停用", "结论为停用的账号数。", "已作结论"),
        _int("decided", "合计", "截止时已作出结论的账号数。", "已作结论"),
        _int("open", "未到期", "截止时未作结论、到期日未过的账号数。", "未作结论"),
        _int("overdue", "已逾期", "截止时未作结论、到期日已过的账号数。", "未作结论"),
        _int("suspended", "曾被暂停", "因到期后 30 天未年审而被暂停过的账号数。"),
        _int("in_time", "按时", "在到期日当天或之前作出结论的账号数。"),
        Column(
            key="rate",
            title="完成率",
            definition="已作结论 ÷ 应审。",
            kind="percent",
            total=Rate("decided", "due"),
        ),
        Column(
            key="in_time_rate",
            title="按时率",
            definition="按时 ÷ 应审。",
            kind="percent",
            total=Rate("in_time", "due"),
        ),
    ),
    key=("institution_id",),
    rows=count_reviews,
    drill=reviews_behind,
    chart=lambda result: bars(
        result, "institution", ["kept", "changed", "disabled", "open", "overdue"], stacked=True
    ),
    right=VIEW_RIGHT,
    freeze=MONTH_END,
    scope="institution",
    order=10,
    notes=("按到期日归入统计期间。", "机构按账号纳入年审时的所属机构计。"),
)


# Sign-ins and acts (登录与操作统计) -------------------------------------------------------------

SIGN_INS: dict[str, tuple[str, ...]] = {
    "successes": (SignInKind.SUCCESS,),
    "failures": (SignInKind.FAILURE, SignInKind.FACTOR_FAILURE),
    "locks": (SignInKind.LOCKED,),
}
ACTS: dict[str, Q] = {
    "acts": Q(result=Entry.Result.DONE),
    "unmasked": Q(act="audit.data.unmasked"),
    "exported": Q(act="audit.data.exported"),
    "refused": Q(result=Entry.Result.REFUSED),
}


def sign_ins_of(ctx: Context) -> QuerySet[SignInEvent]:
    start, end = ctx.period.bounds()
    events = SignInEvent.objects.filter(
        at__gte=start, at__lt=end, at__lte=ctx.cutoff, account__isnull=False
    )
    return ctx.limit(events, "account__institution")


def acts_of(ctx: Context) -> QuerySet[Entry]:
    """Acts of the period; whose they are is a snapshot in the journal, so scope is by account."""
    start, end = ctx.period.bounds()
    mine = ctx.limit(Account.objects.get_queryset(), "institution")
    rows: QuerySet[Entry] = Entry.objects.filter(
        kind=Entry.Kind.ACT,
        recorded_at__gte=start,
        recorded_at__lt=end,
        recorded_at__lte=ctx.cutoff,
        account_id__in=mine.values("pk"),
    )
    return rows


def count_activity(ctx: Context) -> Iterable[Mapping[str, Any]]:
    accounts = ctx.limit(Account.objects.get_queryset(), "institution").filter(
        created_at__lte=ctx.cutoff
    )
    lines: dict[int, Counter[str]] = defaultdict(Counter)
    names: dict[int, str] = {}
    homes: dict[int, int] = {}
    for pk, home, name in accounts.order_by(
        "institution__region_id", "institution__code"
    ).values_list("pk", "institution_id", "institution__name"):
        names[home], homes[pk] = name, home
        lines[home]["accounts"] += 1
    kinds = {key: Count("pk", filter=Q(kind__in=wanted)) for key, wanted in SIGN_INS.items()}
    people = Count("account", distinct=True, filter=Q(kind=SignInKind.SUCCESS))
    entered: Any = sign_ins_of(ctx).order_by().values(home=F("account__institution_id"))
    for row in entered.annotate(people=people, **kinds):
        lines[row.pop("home")].update(row)
    counted = {key: Count("pk", filter=where) for key, where in ACTS.items()}
    done: Any = acts_of(ctx).order_by().values("account_id")
    for row in done.annotate(**counted):
        lines[homes[row.pop("account_id")]].update(row)
    for home, name in names.items():
        yield {"institution_id": home, "institution": name, **_zeros(), **lines[home]}


def _zeros() -> dict[str, int]:
    return dict.fromkeys(("accounts", "people", *SIGN_INS, *ACTS), 0)


def activity_behind(ctx: Context, row: Mapping[str, Any] | None, column: Column) -> DetailTable:
    if column.key in SIGN_INS:
        events = sign_ins_of(ctx).filter(kind__in=SIGN_INS[column.key])
        if row is not None:
            events = events.filter(account__institution=row["institution_id"])
        return DetailTable(
            columns=(
                Column(key="at", title="时间", definition="事件时间。", kind="datetime"),
                Column(key="name", title="姓名", definition="账号姓名。", masked="name"),
                Column(key="username", title="用户名", definition="登录用户名。"),
                Column(key="event", title="事件", definition="登录成功、失败或锁定。"),
                Column(key="address", title="地址", definition="来源地址。"),
            ),
            rows=[
                {
                    "at": one.at,
                    "name": str(one.account),
                    "username": one.username,
                    "event": one.get_kind_display(),
                    "address": one.address or "",
                }
                for one in events.select_related("account").order_by("-at", "-pk")
            ],
        )
    entries = acts_of(ctx).filter(ACTS[column.key])
    if row is not None:
        home = Account.objects.get_queryset().filter(institution=row["institution_id"])
        entries = entries.filter(account_id__in=home.values("pk"))
    return DetailTable(
        columns=(
            Column(key="at", title="时间", definition="登记时间。", kind="datetime"),
            Column(key="by", title="操作人", definition="操作时的姓名和用户名。", masked="name"),
            Column(key="act", title="操作", definition="操作名称。"),
            Column(key="subject", title="对象", definition="操作的对象。"),
            Column(key="reason", title="原因", definition="操作时填写的原因。"),
        ),
        rows=[
            {
                "at": one.recorded_at,
                "by": one.account_label,
                "act": audit.act_title(one.act),
                "subject": one.object_label,
                "reason": one.reason,
            }
            for one in entries.order_by("-id")[:MOST_BEHIND]
        ],
    )


ACTIVITY = Report(
    code="oversight.activity",
    title="登录与操作统计",
    group=GROUP,
    purpose="各机构的账号本期登录、失败和锁定多少次，做了多少操作，其中查看明文、导出多少次。",
    parameters=(PERIODS, InstitutionParameter()),
    columns=(
        INSTITUTION,
        _id("机构编号"),
        _int("accounts", "账号数", "截止时该机构的账号数，含停用和暂停的。", drill=False),
        _int("people", "登录人数", "本期登录成功过的不同账号数。", "登录", drill=False),
        _int("successes", "成功", "登录成功次数。", "登录"),
        _int("failures", "失败", "密码或动态口令错误的次数。", "登录"),
        _int("locks", "锁定", "因连续失败被锁定的次数。", "登录"),
        _int("acts", "操作", "记入审计日志并完成的操作数。", "操作"),
        _int("unmasked", "查看明文", "查看完整身份证号或手机号的次数。", "操作"),
        _int("exported", "导出", "导出列表、报表或日志的次数。", "操作"),
        _int("refused", "被拒绝", "因没有权限或不符合条件被拒绝的操作数。", "操作"),
        Column(
            key="usage",
            title="使用率",
            definition="登录人数 ÷ 账号数。",
            kind="percent",
            total=Rate("people", "accounts"),
        ),
    ),
    key=("institution_id",),
    rows=count_activity,
    drill=activity_behind,
    chart=lambda result: bars(result, "institution", ["successes", "failures", "acts"], most=20),
    right="organisations.view_signinevent",
    freeze=MONTH_END,
    scope="institution",
    order=20,
    notes=("机构按账号现在的所属机构计。", "用户名不存在的登录尝试不计入机构，见登录日志。"),
)


# Deliveries (通知送达统计) ----------------------------------------------------------------------

DELIVERED = ("due", "sent", "merged", "suppressed", "failed", "waiting", "late", "no_address")
DELIVERY_WORDS = {
    "due": "本期应发送的投递数，每条通知、每个渠道、每个对象计一次。",
    "sent": "渠道已受理的投递数。",
    "merged": "并入摘要一起发送的投递数。",
    "suppressed": "因免打扰、重复等原因不发送的投递数。",
    "failed": "重试后仍未成功的投递数。",
    "waiting": "截止时仍在等待或发送中的投递数。",
    "late": "超过应发时间 2 分钟才发出，或仍未发出的投递数。",
    "no_address": "对象没有有效地址的投递数。",
}


def deliveries_of(ctx: Context) -> Any:
    start, end = ctx.period.bounds()
    return ctx.limit(notices.in_period(start, end).filter(due_at__lte=ctx.cutoff))


def count_deliveries(ctx: Context) -> Iterable[Mapping[str, Any]]:
    counts = {
        name: Count("pk", filter=notices.figure_condition(name, ctx.cutoff), distinct=True)
        for name in DELIVERED
    }
    rows = deliveries_of(ctx).order_by().values("notice__template", "kind").annotate(**counts)
    for row in sorted(rows, key=lambda one: (one["notice__template"], one["kind"])):
        template = row.pop("notice__template")
        told = row["sent"] + row["merged"]
        yield {
            **row,
            "template": template,
            "name": template_name(template),
            "way": way_name(row["kind"]),
            "told": told,
            "expected": row["due"] - row["suppressed"] - row["waiting"],
        }


def template_name(code: str) -> str:
    known = templates().get(code)
    return known.name if known else f"{code}（已停用）"


def way_name(kind: str) -> str:
    return str(dict(ChannelKind.choices).get(kind, kind))


def deliveries_behind(ctx: Context, row: Mapping[str, Any] | None, column: Column) -> DetailTable:
    rows = deliveries_of(ctx).filter(notices.figure_condition(column.key, ctx.cutoff)).distinct()
    if row is not None:
        rows = rows.filter(notice__template=row["template"], kind=row["kind"])
    return DetailTable(
        columns=(
            Column(key="due_at", title="应发时间", definition="应发送的时间。", kind="datetime"),
            Column(key="title", title="通知", definition="通知标题。"),
            Column(key="way", title="渠道", definition="发送方式。"),
            Column(key="account", title="对象", definition="接收人；群机器人为空。", masked="name"),
            Column(key="state", title="状态", definition="投递状态。"),
        ),
        rows=[
            {
                "due_at": one.due_at,
                "title": one.notice.title,
                "way": way_name(one.kind),
                "account": str(one.account or ""),
                "state": one.get_state_display(),
            }
            for one in rows.select_related("notice", "account").order_by("-due_at", "-pk")
        ],
    )


DELIVERIES = Report(
    code="oversight.deliveries",
    title="通知送达统计",
    group=GROUP,
    purpose="本期应发的通知有多少送达，多少合并、抑制、失败或迟到。",
    parameters=(PERIODS, InstitutionParameter()),
    columns=(
        Column(key="name", title="通知种类", definition="通知模板的名称。"),
        Column(key="template", title="模板", definition="模板代码。", hidden=True),
        Column(key="way", title="渠道", definition="站内、邮件、短信、群机器人等。"),
        Column(key="kind", title="渠道代码", definition="渠道类别代码。", hidden=True),
        *(
            _int(name, notices.FIGURE_TITLES[name].split("（")[0], DELIVERY_WORDS[name])
            for name in DELIVERED
        ),
        Column(
            key="told",
            title="送达",
            definition="已发送 + 合并。",
            kind="int",
            total="sum",
            hidden=True,
        ),
        Column(
            key="expected",
            title="应送达",
            definition="应发 − 抑制 − 待发送。",
            kind="int",
            total="sum",
            hidden=True,
        ),
        Column(
            key="rate",
            title="送达率",
            definition="（已发送 + 合并）÷（应发 − 抑制 − 待发送）。",
            kind="percent",
            total=Rate("told", "expected"),
        ),
    ),
    key=("template", "kind"),
    rows=count_deliveries,
    drill=deliveries_behind,
    chart=lambda result: bars(
        result, "name", ["sent", "merged", "suppressed", "failed"], stacked=True
    ),
    right="notices.view_delivery",
    freeze=MONTH_END,
    scope="institution",
    order=30,
    notes=("“已发送”指渠道受理，不代表对方已读。",),
)


# The monthly report of the platform (平台运行月报) -----------------------------------------------


def summary(ctx: DocumentContext) -> Iterable[Block]:
    activity, reviews = ctx.result("oversight.activity"), ctx.result("oversight.reviews")
    yield Paragraph(
        "本期账号共 ", Figure.total(activity, "accounts"), " 个，登录 ",
        Figure.total(activity, "successes"), " 次，失败 ", Figure.total(activity, "failures"),
        " 次，锁定 ", Figure.total(activity, "locks"), " 次；完成操作 ",
        Figure.total(activity, "acts"), " 项，查看明文 ", Figure.total(activity, "unmasked"),
        " 次，导出 ", Figure.total(activity, "exported"), " 次。",
    )  # fmt: skip
    yield Paragraph(
        "本期到期应年审账号 ", Figure.total(reviews, "due"), " 个，已作结论 ",
        Figure.total(reviews, "decided"), " 个，完成率 ", Figure.total(reviews, "rate"),
        "，逾期未审 ", Figure.total(reviews, "overdue"), " 个。",
    )  # fmt: skip


def journal_section(ctx: DocumentContext) -> Iterable[Block]:
    """How the journal was kept: chained lines, and what verifications found in the month."""
    start, end = ctx.period.bounds()
    checks = Verification.objects.filter(
        started_at__gte=start, started_at__lt=end, started_at__lte=ctx.cutoff
    ).order_by("started_at")
    state = audit_queries.chain_state()
    yield Paragraph(
        f"截至 {local_text(ctx.cutoff)}，审计日志已入链 {state.seq} 条，"
        f"待入链 {state.unchained} 条；"
        + ("数据库账号只能追加日志。" if state.append_only else "数据库账号的修改权限尚未限制。")
    )
    if not checks:
        yield Nothing("日志完整性校验", "次")
        return
    yield ListBlock(
        tuple(
            (
                f"{local_text(one.started_at)} 核对 {one.links} 条，"
                + ("完好。" if one.sound else f"发现 {len(one.findings)} 处异常。"),
            )
            for one in checks
        )
    )


def schedules_section(ctx: DocumentContext) -> Iterable[Block]:
    """How the scheduled work ran: by outcome, failures and missed spans by name."""
    start, end = ctx.period.bounds()
    runs = jobs.schedule_runs().filter(due_at__gte=start, due_at__lt=end, due_at__lte=ctx.cutoff)
    counts = Counter(runs.values_list("outcome", flat=True))
    if not counts:
        yield Nothing("定时任务运行", "次")
        return
    said = "，".join(
        f"{label} {counts[value]} 次"
        for value, label in ScheduleRun.Outcome.choices
        if counts[value]
    )
    yield Paragraph(f"本期定时任务共运行 {sum(counts.values())} 次：{said}。")
    failed = runs.filter(outcome=ScheduleRun.Outcome.FAILED)
    if failed:
        yield Heading("失败的运行")
        yield ListBlock(
            tuple(
                (f"{local_text(run.due_at)}　{run.schedule}：{run.error}",) for run in failed[:20]
            )
        )


MONTHLY = DocumentKind(
    code="oversight.monthly",
    title="平台运行月报",
    prefix="PTYB",
    right=VIEW_RIGHT,
    purpose="平台一个月的使用、年审、通知、审计和定时任务情况。",
    group=GROUP,
    sections=(
        SectionKind(key="summary", title="本期概况", build=summary, typed="补充说明"),
        SectionKind(
            key="activity",
            title="登录与操作",
            build=report_section("oversight.activity", nothing="登录与操作", unit="次", most=30),
        ),
        SectionKind(
            key="reviews",
            title="用户年审",
            build=report_section("oversight.reviews", nothing="到期年审账号", unit="个", most=30),
        ),
        SectionKind(
            key="deliveries",
            title="通知送达",
            build=report_section("oversight.deliveries", nothing="应发通知", most=30),
        ),
        SectionKind(key="journal", title="审计日志", build=journal_section),
        SectionKind(key="schedules", title="定时任务", build=schedules_section),
        SectionKind(
            key="monitoring",
            title="系统监测与可用性",
            source="monitoring.monthly",
            source_title="监测",
        ),
        SectionKind(key="plan", title="下月计划", typed="下月计划与建议"),
    ),
    signatures=("编制", "审核"),
)
REPORTS = (REVIEWS, ACTIVITY, DELIVERIES)
