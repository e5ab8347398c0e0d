"""A result as a file or on paper (导出、打印): masked by level, limited, and journalled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.db import transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.crypto import masking
from kangwei.kernel.organisations.models import Account

from ..models.results import UseAct
from ..outputs.spreadsheets import write_csv, write_xlsx
from ..refusals import ReportNotPermitted, TooManyRowsAsked
from ..rules.comparison import STATE_TITLES, Comparison
from ..rules.declarations import Column
from ..rules.layout import Mask
from ..rules.results import Heading, Line, Result
from ..rules.values import Value
from .running import Details, note_use

Format = Literal["csv", "xlsx"]
MEDIA_TYPES: dict[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
#: Excel holds 1,048,576 rows; more than this is a transfer of data, not a report.
MOST_ROWS = 500_000
EXPORT_RIGHT = "reporting.export_report"


@dataclass(frozen=True)
class Exported:
    filename: str
    media_type: str
    content: bytes


def mask_for(level: int) -> Mask:
    """How personal data looks to an account of this masking level."""

    def mask(kind: str, text: str) -> str:
        return masking.mask(kind, text, level)

    return mask


@transaction.atomic
def export_result(
    *,
    result: Result,
    columns: Sequence[str] | None = None,
    form: Format,
    by: Account,
    at: datetime,
    subject_note: str = "",
) -> Exported:
    """Write a result as CSV or Excel; the journal keeps who took which report, how many rows."""
    require_export(by)
    heading = result.heading
    if len(result.rows) > MOST_ROWS:
        raise TooManyRowsAsked(
            f"“{heading.title}”有 {len(result.rows):,} 行，一次最多导出 {MOST_ROWS:,} 行；"
            "请缩短期间或选择机构后重试。"
        )
    shown = result.visible(columns)
    mask = mask_for(by.masking_level)
    if form == "csv":
        content = "".join(write_csv(result, shown, mask)).encode()
    else:
        content = write_xlsx(result, shown, mask, by=str(by), at=at)
    note_use(
        report=heading.code,
        act=UseAct.EXPORT,
        by=by,
        at=at,
        rows=len(result.rows),
        form=form,
    )
    audit.record_export(
        what=f"报表 {heading.title}" + (f"（{subject_note}）" if subject_note else ""),
        by=by,
        at=at,
        rows=len(result.rows),
        format=form,
        detail={
            "report": heading.code,
            "parameters": dict(heading.parameters),
            "columns": [column.key for column in shown],
        },
    )
    return Exported(filename(heading, form), MEDIA_TYPES[form], content)


def require_export(by: Account) -> None:
    if not by.has_perm(EXPORT_RIGHT):
        raise ReportNotPermitted("您的角色不能导出报表；如工作需要，请联系本单位管理员授权。")


def filename(heading: Heading, form: str) -> str:
    words = "_".join(text for _, text in heading.parameter_words if text)[:60]
    name = "_".join(part for part in (heading.title, words) if part)
    return "".join("-" if letter in '\\/:*?"<>|\r\n' else letter for letter in name) + f".{form}"


@transaction.atomic
def print_result(*, result: Result, by: Account, at: datetime) -> None:
    """A report leaves on paper: the ledger and the journal note it like a file."""
    require_export(by)
    heading = result.heading
    rows = len(result.rows)
    note_use(report=heading.code, act=UseAct.PRINT, by=by, at=at, rows=rows, form="print")
    audit.record_export(
        what=f"报表 {heading.title}",
        by=by,
        at=at,
        rows=rows,
        format="print",
        detail={"report": heading.code, "parameters": dict(heading.parameters)},
    )


def export_details(*, details: Details, result: Result, by: Account, at: datetime) -> Exported:
    """The rows behind a figure as Excel."""
    heading = result.heading
    table = Result(
        heading=Heading(
            code=heading.code,
            title=f"{heading.title} 明细 {details.title}"[:120],
            version=heading.version,
            definition_digest=heading.definition_digest,
            parameters=heading.parameters,
            parameter_words=heading.parameter_words,
            cutoff=heading.cutoff,
        ),
        columns=details.columns,
        rows=details.rows,
    )
    return export_result(result=table, form="xlsx", by=by, at=at, subject_note="明细")


def export_comparison(
    *, comparison: Comparison, heading: Heading, by: Account, at: datetime
) -> Exported:
    """The differences of two results as Excel: one line per changed cell."""
    result = differences_as_result(comparison, heading)
    return export_result(result=result, form="xlsx", by=by, at=at, subject_note="差异")


def differences_as_result(comparison: Comparison, heading: Heading) -> Result:
    columns = (
        Column(key="row", title="行", definition="行的标识列。"),
        Column(key="state", title="变化", definition="新增、减少或变化。"),
        Column(key="column", title="列", definition="发生变化的列。"),
        Column(key="before", title="原值", definition="较早结果中的值，未取整。"),
        Column(key="after", title="新值", definition="较晚结果中的值，未取整。"),
        Column(key="delta", title="差", definition="新值 − 原值，未取整。"),
        Column(
            key="percent",
            title="增幅",
            definition="差 ÷ 原值的绝对值；原值为零或没有时为空。",
            kind="percent",
        ),
    )
    lines: list[Line] = []
    for change in comparison.differences():
        name = " · ".join(_text(part) for part in change.key)
        for column, cell in zip(comparison.columns, change.cells, strict=True):
            if cell.changed:
                lines.append(
                    (
                        name,
                        STATE_TITLES[change.state],
                        column.full_title,
                        _masked(column, cell.before),
                        _masked(column, cell.after),
                        None if cell.delta is None else str(cell.delta),
                        cell.percent,
                    )
                )
    return Result(heading=heading, columns=columns, rows=lines)


def _text(value: Value) -> str:
    return "" if value is None else str(value)


def _masked(column: Column, value: Value) -> str | None:
    """Differences are words, not cells: what is personal is masked before it becomes one."""
    if value is None:
        return None
    text = str(value)
    return masking.mask(column.masked, text, masking.PARTLY) if column.masked else text
