"""Running a report (查询): bind, check the scope, count, keep for a day, note who did it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import transaction

from kangwei.kernel import clock
from kangwei.kernel.crypto import services as crypto
from kangwei.kernel.jobs import services as jobs
from kangwei.kernel.jobs.models import Run
from kangwei.kernel.organisations.models import Account, Institution, Region, Scope

from .. import registry, storage
from ..models import KeptResult, ReportUse
from ..models.results import UseAct
from ..refusals import (
    NotDrillable,
    ReportNotPermitted,
    ResultGone,
    TooManyRowsAsked,
    UnknownInstitution,
    UnknownReport,
    WrongColumn,
)
from ..rules.binding import bind
from ..rules.declarations import (
    ChoiceParameter,
    Column,
    Context,
    DetailTable,
    InstitutionParameter,
    Parameter,
    RegionParameter,
    Report,
)
from ..rules.periods import Period
from ..rules.results import Heading, Line, Result, TooManyRows, collect

KEPT_FOR = timedelta(hours=24)
LONG_REPORT = "reporting.report"


@dataclass(frozen=True)
class Bound:
    """A report with everything known that its query may need."""

    report: Report
    context: Context
    heading: Heading


def require(code: str, by: Account) -> Report:
    """The report of this code, if the account may see it."""
    report = registry.find_report(code)
    if report is None:
        raise UnknownReport(f"没有代码为“{code[:80]}”的报表；请从报表目录重新进入。")
    if not by.has_perm(report.right):
        raise ReportNotPermitted(f"您的角色不能查看报表“{report.title}”；请联系本单位管理员授权。")
    return report


def definition_digest(report: Report) -> str:
    """SM3 over the declaration: two results with the same digest were counted by the same words."""
    return crypto.sm3(storage.canonical(report.plain()))


def prepare(
    *,
    report: Report,
    parameters: Mapping[str, str],
    by: Account,
    at: datetime,
    cutoff: datetime | None = None,
) -> Bound:
    """Read the parameters, hold them to the scope, and say them in words."""
    values = bind(report, parameters, today=clock.local_day(at))
    scope = by.scope(report.right)
    words: list[tuple[str, str]] = []
    texts: dict[str, str] = {}
    narrowed: list[Scope] = []
    for parameter in report.parameters:
        value = values[parameter.key]
        if value is None:
            if isinstance(parameter, InstitutionParameter):
                words.append((parameter.title, "数据范围内全部"))
            continue
        text, shown, narrow = _said(parameter, value, scope)
        texts[parameter.key] = text
        words.append((parameter.title, shown))
        if narrow is not None:
            narrowed.append(narrow)
    moment = cutoff or at
    heading = Heading(
        code=report.code,
        title=report.title,
        version=report.version,
        definition_digest=definition_digest(report),
        parameters=texts,
        parameter_words=tuple(words),
        cutoff=moment,
        key=report.key,
        notes=report.notes,
    )
    context = Context(values, moment, by, scope, report.scope, tuple(narrowed))
    return Bound(report, context, heading)


def _said(parameter: Parameter, value: Any, scope: Scope) -> tuple[str, str, Scope | None]:
    """A value as stored text, as words, and as the scope it narrows the report to."""
    if isinstance(value, Period):
        return value.text, value.label, None
    if isinstance(parameter, InstitutionParameter):
        institution = scope.limit(Institution.objects.filter(pk=value), "pk").first()
        if institution is None:
            raise UnknownInstitution(
                f"没有编号为 {value} 的机构，或它不在您的数据范围内；请重新选择机构。",
                field=parameter.key,
            )
        return str(value), institution.name, Scope(roots=frozenset({institution.pk}))
    if isinstance(parameter, RegionParameter):
        region = Region.objects.filter(code=value).first()
        if region is None:
            raise UnknownInstitution(
                f"没有代码为 {value} 的区划；请重新选择。", field=parameter.key
            )
        return str(value), region.name, Scope(regions=frozenset({region.prefix}))
    if isinstance(parameter, ChoiceParameter):
        return value, dict(parameter.options())[value], None
    return str(value), str(value), None


def run_report(
    *,
    report: Report,
    parameters: Mapping[str, str],
    by: Account,
    at: datetime,
    cutoff: datetime | None = None,
    progress: Callable[[int], None] | None = None,
) -> Result:
    """Count a report for an account, at a cut-off. Nothing is stored."""
    bound = prepare(report=report, parameters=parameters, by=by, at=at, cutoff=cutoff)
    return _count(bound, progress)


def _count(bound: Bound, progress: Callable[[int], None] | None = None) -> Result:
    report = bound.report
    try:
        result = collect(report, bound.heading, _counted(report.rows(bound.context), progress))
    except TooManyRows as many:
        raise TooManyRowsAsked(
            f"报表“{report.title}”的结果超过 {many.limit:,} 行，没有生成；"
            "请缩短期间或选择机构后重试。"
        ) from None
    if report.chart is not None:
        return Result(
            result.heading,
            result.columns,
            result.rows,
            result.totals,
            result.subtotals,
            report.chart(result),
        )
    return result


def _counted(
    rows: Iterable[Mapping[str, Any]], progress: Callable[[int], None] | None
) -> Iterator[Mapping[str, Any]]:
    for number, row in enumerate(rows, start=1):
        if progress is not None and number % 500 == 0:
            progress(number)
        yield row


def note_use(
    *,
    report: str,
    act: UseAct,
    by: Account,
    at: datetime,
    rows: int = 0,
    form: str = "",
    milliseconds: int = 0,
) -> None:
    """Write one line of the ledger of use."""
    ReportUse.objects.create(
        report=report,
        act=act,
        account=by,
        institution_id=by.institution_id,
        format=form,
        rows=rows,
        milliseconds=milliseconds,
        at=at,
    )


# ── Kept results ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Kept:
    """A kept result with the institutions it covers, as they were when it was counted."""

    result_id: uuid.UUID
    result: Result
    covers: tuple[int, ...]
    everything: bool


def run_and_keep(
    *,
    report: Report,
    parameters: Mapping[str, str],
    by: Account,
    at: datetime,
    act: UseAct = UseAct.RUN,
    result_id: uuid.UUID | None = None,
    progress: Callable[[int], None] | None = None,
) -> Kept:
    """Run a report and keep what it answered for a day."""
    started = time.perf_counter()
    bound = prepare(report=report, parameters=parameters, by=by, at=at)
    result = _count(bound, progress)
    spent = int((time.perf_counter() - started) * 1000)
    with transaction.atomic():
        kept = keep_result(bound=bound, result=result, by=by, at=at, result_id=result_id)
        note_use(
            report=report.code, act=act, by=by, at=at, rows=len(result.rows), milliseconds=spent
        )
    return kept


def keep_result(
    *, bound: Bound, result: Result, by: Account, at: datetime, result_id: uuid.UUID | None = None
) -> Kept:
    covers, everything = covered(bound)
    content = storage.canonical(
        {
            "covers": list(covers),
            "everything": everything,
            "frame": storage.frame_text(result).decode(),
            "chunks": [text.decode() for text in storage.chunk_texts(result)],
        }
    )
    row = KeptResult.objects.create(
        id=result_id or uuid.uuid4(),
        account=by,
        report=bound.report.code,
        parameters=dict(bound.heading.parameters),
        made_at=at,
        expires_at=at + KEPT_FOR,
        content=storage.pack(content, personal=bound.report.personal, column="kept"),
    )
    return Kept(row.pk, result, covers, everything)


def covered(bound: Bound) -> tuple[tuple[int, ...], bool]:
    """The institutions whose rows a result may hold, and whether nothing limited it."""
    context = bound.context
    if context.scope_path is None:
        return (), False
    scope = context.scope
    assert isinstance(scope, Scope)
    if scope.everything and not context.narrowed:
        return (), True
    reached = context.limit(Institution.objects.all(), "pk")
    return tuple(sorted(reached.values_list("pk", flat=True))), False


def open_kept(*, result_id: uuid.UUID | str, report: Report, by: Account, at: datetime) -> Kept:
    """A result kept earlier, if it is still there and one's own."""
    try:
        key = uuid.UUID(str(result_id))
    except ValueError:
        key = uuid.UUID(int=0)
    row = KeptResult.objects.filter(
        pk=key, account=by, report=report.code, expires_at__gt=at
    ).first()
    if row is None:
        raise ResultGone("这次查询的结果已过保留时间；请按同样条件重新查询。")
    content = msgspec.json.decode(storage.unpack(row.content, column="kept"))
    if not _still_in_scope(report, content["covers"], content["everything"], by):
        raise ResultGone("您的数据范围在查询之后有变化；请按同样条件重新查询。")
    result = storage.read_result(
        content["frame"].encode(), [one.encode() for one in content["chunks"]]
    )
    return Kept(row.pk, result, tuple(content["covers"]), content["everything"])


def _still_in_scope(report: Report, covers: list[int], everything: bool, by: Account) -> bool:
    """Does the account still reach all that it counted? A right taken back ends its results too."""
    scope = by.scope(report.right)
    if report.scope is None or scope.everything:
        return True
    held = scope.limit(Institution.objects.filter(pk__in=covers), "pk").count()
    return not everything and held == len(covers)


def forget_expired(*, at: datetime) -> int:
    """Delete kept results whose day is over; answers how many."""
    deleted, _ = KeptResult.objects.filter(expires_at__lte=at).delete()
    return deleted


# ── Long reports ──────────────────────────────────────────────────────────────────────────────


def start_long_report(
    *, report: Report, parameters: Mapping[str, str], by: Account, at: datetime
) -> Run:
    """Check the parameters now, count in the background."""
    bound = prepare(report=report, parameters=parameters, by=by, at=at)
    return jobs.start_run(
        kind=LONG_REPORT,
        title=f"{report.title} {' '.join(words for _, words in bound.heading.parameter_words)}",
        by=by,
        at=at,
        arguments={"report": report.code, "parameters": dict(bound.heading.parameters)},
    )


def work_long_report(run: Run) -> Mapping[str, Any]:
    """The work of a long report. A second call after a kill finds what the first one kept."""
    at = clock.now()
    by = run.owner
    if by is None:
        raise UnknownReport("发起人已不存在，报表没有生成。")
    report = require(run.arguments["report"], by)
    result_id = uuid.uuid5(uuid.NAMESPACE_OID, f"reporting.run.{run.pk}")
    done = KeptResult.objects.filter(pk=result_id).exists()
    if not done:
        run.progress(0, 0, "正在统计")
        run_and_keep(
            report=report,
            parameters=run.arguments["parameters"],
            by=by,
            at=at,
            result_id=result_id,
            progress=lambda rows: run.progress(rows, 0, f"已取得 {rows:,} 行"),
        )
    return {"report": report.code, "result": str(result_id)}


# ── Drill-down ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Details:
    """The rows behind one figure. `agrees` says whether they add up to it."""

    title: str
    column: Column
    columns: tuple[Column, ...]
    rows: list[Line]
    figure: Any
    counted: Any

    @property
    def agrees(self) -> bool:
        return bool(self.figure == self.counted)


def drill(
    *, report: Report, result: Result, row: int | None, column: str, by: Account, at: datetime
) -> Details:
    """The rows behind a cell of a result (row None: of its total), at the result's own cut-off."""
    found = result.index.get(column)
    chosen = None if found is None else result.columns[found]
    if chosen is None:
        raise WrongColumn(f"报表“{report.title}”没有列“{column[:60]}”。", field="column")
    if not chosen.drill or report.drill is None:
        raise NotDrillable(f"“{chosen.title}”没有明细可看。", field="column")
    if row is not None and not 0 <= row < len(result.rows):
        raise NotDrillable(f"结果只有 {len(result.rows)} 行，没有第 {row + 1} 行。", field="row")
    line = result.totals if row is None else result.rows[row]
    if line is None:
        raise NotDrillable("这份报表没有合计行。", field="row")
    heading = result.heading
    bound = prepare(
        report=report,
        parameters=heading.parameters,
        by=by,
        at=at,
        cutoff=heading.cutoff,
    )
    key = None if row is None else dict(zip(heading.key, result.key_of(line), strict=True))
    table = report.drill(bound.context, key, chosen)
    rows = detail_rows(report, table)
    names = [one.key for one in table.columns]
    if table.measure is None:
        counted: Any = len(rows)
    else:
        place = names.index(table.measure)
        counted = sum((r[place] for r in rows if r[place] is not None), start=0)  # type: ignore[misc]
    label = "合计" if row is None else _line_title(result, line)
    note_use(report=report.code, act=UseAct.DRILL, by=by, at=at, rows=len(rows))
    return Details(
        title=f"{label} · {chosen.title}",
        column=chosen,
        columns=table.columns,
        rows=rows,
        figure=line[result.index[column]] or 0,
        counted=counted,
    )


def _line_title(result: Result, line: Line) -> str:
    """What a reader calls a line: the words it begins with, not its key."""
    words = []
    for column, value in zip(result.columns, line, strict=False):
        if column.hidden or column.masked:
            continue
        if column.kind not in {"text", "date", "datetime"}:
            break
        words.append(str(value))
    return " · ".join(words) or "一行"


def detail_rows(report: Report, table: DetailTable) -> list[Line]:
    """Details are checked like a report's rows: every column, nothing else."""
    keys = tuple(column.key for column in table.columns)
    shape = Report(
        code=report.code,
        title=report.title,
        group=report.group,
        purpose=report.purpose,
        columns=table.columns,
        key=keys[:1],
        rows=report.rows,
        right=report.right,
        totals=False,
        limit=report.limit,
    )
    heading = Heading(report.code, report.title, report.version, "", {}, (), _LONG_AGO)
    try:
        return list(collect(shape, heading, table.rows).rows)
    except TooManyRows as many:
        raise TooManyRowsAsked(
            f"明细超过 {many.limit:,} 行，没有列出；请缩短期间或选择机构后重试。"
        ) from None


_LONG_AGO = datetime(1970, 1, 1, tzinfo=clock.SHANGHAI)
