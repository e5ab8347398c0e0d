"""Files: a 20,000-row report as Excel, a 30-page document and a small one as Word and PDF."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

import django
import openpyxl

from bench.frame import Figure, cpu_milliseconds

if TYPE_CHECKING:
    from kangwei.kernel.reporting.declarations import Report
    from kangwei.kernel.reporting.rules.blocks import Tree
    from kangwei.kernel.reporting.rules.results import Result

TITLE = "report and document files"
AT = datetime(2026, 11, 1, tzinfo=UTC)
_FRESH = count()


def wide_report(rows: int) -> Report:
    """Ten columns as reports have them: names, counts, a rate, a moment."""
    from kangwei.kernel.reporting.declarations import Column, Context, Rate, Report

    def lines(ctx: Context) -> Iterable[Mapping[str, Any]]:
        for n in range(rows):
            yield {
                "id": n,
                "name": f"第{n}社区卫生服务中心接种门诊",
                "region": f"61{n % 100:04d}",
                **{f"n{k}": (n * (k + 3)) % 977 for k in range(5)},
                "at": AT,
            }

    counts = tuple(
        Column(key=f"n{k}", title=f"数量{k}", definition="数量。", kind="int", total="sum")
        for k in range(5)
    )
    return Report(
        code=f"bench.wide{rows}",
        title="宽表",
        group="试验",
        purpose="量速度用。",
        right="reporting.view_usage",
        key=("id",),
        rows=lines,
        columns=(
            Column(key="id", title="编号", definition="编号。", kind="int"),
            Column(key="name", title="机构", definition="机构。"),
            Column(key="region", title="区划", definition="区划。"),
            *counts,
            Column(
                key="rate",
                title="率",
                definition="数量0 ÷ 数量1。",
                kind="percent",
                total=Rate("n0", "n1"),
            ),
            Column(key="at", title="时间", definition="时间。", kind="datetime"),
        ),
    )


def result_of(rows: int) -> Result:
    from kangwei.kernel.reporting.rules.declarations import Context
    from kangwei.kernel.reporting.rules.results import Heading, collect

    report = wide_report(rows)
    heading = Heading(report.code, report.title, 1, "0" * 64, {}, (), AT, report.key)
    unused: Any = None
    return collect(report, heading, report.rows(Context({}, AT, unused, unused)))


def document(sections: int, rows: int) -> Tree:
    """A section is a sentence, a chart and a table: about a page with 18 rows."""
    from kangwei.kernel.reporting.declarations import (
        ChartBlock,
        Paragraph,
        ReportTable,
        bars,
    )
    from kangwei.kernel.reporting.declarations import (
        Figure as Number,
    )
    from kangwei.kernel.reporting.rules.blocks import Section, Tree

    result = result_of(rows)
    option = bars(result, "name", ["n0", "n1"], lines=["rate"]) or {}
    chapters = tuple(
        Section(
            f"s{n}",
            f"第 {n + 1} 项",
            (
                Paragraph("本期合计 ", Number.total(result, "n0"), "。"),
                # No two charts of a report are alike, so none may be remembered from another.
                ChartBlock("数量", {**option, "title": {"text": f"{next(_FRESH)}"}}),
                ReportTable.of(result, columns=["name", "n0", "n1", "n2", "rate"]),
            ),
        )
        for n in range(sections)
    )
    return Tree("bench.doc", 1, "运维月报", "", "陕西省疾控中心", "2026年10月", AT, chapters)


def measure() -> list[Figure]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kangwei.web.settings")
    django.setup()
    from kangwei.kernel.reporting.outputs.pdf import write_pdf
    from kangwei.kernel.reporting.outputs.spreadsheets import write_xlsx
    from kangwei.kernel.reporting.outputs.word import default_template, write_word
    from kangwei.kernel.reporting.rules.layout import face, flow, whole

    wide = result_of(20_000)
    template = default_template()

    def excel() -> bytes:
        return write_xlsx(wide, wide.columns, whole, by="试验", at=AT)

    def plain_excel() -> None:
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet()
        for row in wide.rows:
            sheet.append([str(cell) for cell in row])
        book.save(io.BytesIO())

    def word(tree: Tree) -> bytes:
        return write_word(face(tree), flow(tree), cutoff=AT, template=template)

    def pdf(tree: Tree) -> bytes:
        return write_pdf(face(tree), flow(tree), cutoff=AT)

    long = document(28, 18)
    pages = pdf(long).count(b"/Type /Page\n") or pdf(long).count(b"/Type/Page") or 30
    time_pdf = cpu_milliseconds(lambda: pdf(document(28, 18)), times=3, warm=1)
    time_short = cpu_milliseconds(lambda: pdf(document(1, 18)), times=5, warm=1)
    return [
        Figure(
            "20,000 rows as Excel",
            cpu_milliseconds(excel, times=3, warm=1),
            "ms",
            limit=10_000,
            reference="openpyxl write-only, text",
            reference_value=cpu_milliseconds(plain_excel, times=2, warm=0),
        ),
        Figure("size of that file", len(excel()) / 1024, "KB"),
        Figure(
            "document of about 30 pages as PDF",
            time_pdf,
            "ms",
            limit=60.0 * max(pages, 30),
            reference="a short one",
            reference_value=time_short,
        ),
        Figure("size of that file", len(pdf(long)) / 1024, "KB"),
        Figure(
            "document of about 30 pages as Word",
            cpu_milliseconds(lambda: word(document(28, 18)), times=3, warm=1),
            "ms",
            # A chart becomes a picture for Word, which costs as much as a page of its own.
            limit=120.0 * max(pages, 30),
            reference="the same as PDF",
            reference_value=time_pdf,
        ),
        Figure("size of that file", len(word(long)) / 1024, "KB"),
        Figure("short document as PDF", time_short, "ms"),
        Figure(
            "short document as Word",
            cpu_milliseconds(lambda: word(document(1, 18)), times=5, warm=1),
            "ms",
        ),
    ]
