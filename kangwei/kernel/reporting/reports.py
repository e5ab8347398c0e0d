"""The report on reports (报表使用统计): who ran, exported, printed and froze what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Count, Max, Q, QuerySet, Sum

from . import registry
from .models import ReportUse
from .models.results import UseAct
from .rules.charts import bars
from .rules.declarations import (
    Column,
    Context,
    DetailTable,
    InstitutionParameter,
    PeriodParameter,
    Report,
)
from .rules.recurrence import Recurrence
from .rules.results import Result

#: Column → the acts it counts.
COUNTED: dict[str, tuple[UseAct, ...]] = {
    "runs": (UseAct.RUN,),
    "drills": (UseAct.DRILL,),
    "exports": (UseAct.EXPORT,),
    "prints": (UseAct.PRINT,),
    "freezes": (UseAct.FREEZE,),
    "compares": (UseAct.COMPARE,),
    "deliveries": (UseAct.DELIVER,),
}


def uses(ctx: Context) -> QuerySet[ReportUse]:
    """The lines of the period that were written by the cut-off, within the scope."""
    start, end = ctx.period.bounds()
    within = ReportUse.objects.filter(at__gte=start, at__lt=end, at__lte=ctx.cutoff)
    return ctx.limit(within)


def title_of(code: str) -> str:
    report = registry.find_report(code)
    return report.title if report else f"{code}（已停用）"


def count_uses(ctx: Context) -> Iterable[Mapping[str, Any]]:
    counts = {key: Count("pk", filter=Q(act__in=acts)) for key, acts in COUNTED.items()}
    grouped = (
        uses(ctx)
        .values("report")
        .annotate(
            **counts,
            all=Count("pk"),
            people=Count("account", distinct=True),
            exported_rows=Sum("rows", filter=Q(act=UseAct.EXPORT), default=0),
            latest=Max("at"),
        )
        .order_by("-all", "report")
    )
    for line in grouped:
        yield {**line, "title": title_of(line["report"])}


def uses_behind(ctx: Context, row: Mapping[str, Any] | None, column: Column) -> DetailTable:
    found = uses(ctx)
    if row is not None:
        found = found.filter(report=row["report"])
    if column.key in COUNTED:
        found = found.filter(act__in=COUNTED[column.key])
    rows = [
        {
            "at": use.at,
            "report": title_of(use.report),
            "act": use.get_act_display(),
            "account": str(use.account),
            "institution": str(use.institution),
            "format": use.format.upper(),
            "rows": use.rows,
        }
        for use in found.select_related("account", "institution").order_by("-at", "-pk")
    ]
    return DetailTable(
        columns=(
            Column(key="at", title="时间", definition="操作时间。", kind="datetime"),
            Column(key="report", title="报表", definition="报表名称。"),
            Column(key="act", title="操作", definition="查询、导出、打印、固化等。"),
            Column(key="account", title="操作人", definition="账号姓名。", masked="name"),
            Column(key="institution", title="机构", definition="操作人所在机构。"),
            Column(key="format", title="格式", definition="导出的格式。", align="center"),
            Column(key="rows", title="行数", definition="结果的行数。", kind="int"),
        ),
        rows=rows,
    )


def draw(result: Result) -> dict[str, Any] | None:
    return bars(result, "title", ["runs", "exports", "freezes"], stacked=True, most=12)


def _count(key: str, title: str, definition: str, *group: str) -> Column:
    return Column(
        key=key,
        title=title,
        definition=definition,
        kind="int",
        total="sum",
        drill=key in COUNTED or key == "all",
        group=group,
    )


USAGE = Report(
    code="reporting.usage",
    title="报表使用统计",
    group="报表",
    purpose="本期内各报表被谁使用：查询、看明细、导出、打印、固化、比较和订阅送达的次数。",
    parameters=(
        PeriodParameter(kinds=("month", "quarter", "year", "range"), default="current"),
        InstitutionParameter(),
    ),
    columns=(
        Column(key="title", title="报表", definition="报表名称；已停用的报表写明代码。"),
        Column(key="report", title="代码", definition="报表代码。", hidden=True),
        _count("all", "合计", "本期内使用该报表的全部次数。", "使用次数"),
        _count("runs", "查询", "打开报表页面或通过接口得到结果的次数。", "使用次数"),
        _count("drills", "看明细", "点击数字查看明细的次数。", "使用次数"),
        _count("exports", "导出", "导出 CSV 或 Excel 的次数。", "使用次数"),
        _count("prints", "打印", "打开打印页面的次数。", "使用次数"),
        _count("freezes", "固化", "手工和按计划固化的份数。", "使用次数"),
        _count("compares", "比较", "与现在逐格比较的次数。", "使用次数"),
        _count("deliveries", "订阅送达", "按订阅统计并通知的次数。", "使用次数"),
        Column(
            key="people",
            title="使用人数",
            definition="本期内使用过该报表的不同账号数；一人用多张报表在每张中各计一次，因此不合计。",
            kind="int",
            unit="人",
        ),
        _count("exported_rows", "导出行数", "导出结果的行数之和。"),
        Column(
            key="latest", title="最近使用", definition="本期内最后一次使用的时间。", kind="datetime"
        ),
    ),
    key=("report",),
    rows=count_uses,
    drill=uses_behind,
    chart=draw,
    right="reporting.view_usage",
    scope="institution",
    order=900,
    freeze=Recurrence("monthly", 2, 1),
    notes=("统计以使用记录为准，记录只增不改。", "机构按操作人所在机构计。"),
)
