"""A frozen report opened again, a large report as Excel, a long document as Word and PDF."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from bench.frame import Figure, seconds, wall_milliseconds
from bench.world import open_site

TITLE = "frozen reports, Excel, documents"
ROWS = 20_000
PAGES = 30
#: A table of this many rows fills about a page of A4 under its heading.
ROWS_A_PAGE = 24


def measure() -> list[Figure]:
    site = open_site()
    from kangwei.kernel.reporting import queries
    from kangwei.kernel.reporting.declarations import Heading, ReportTable
    from kangwei.kernel.reporting.outputs.pdf import write_pdf
    from kangwei.kernel.reporting.outputs.spreadsheets import write_csv, write_xlsx
    from kangwei.kernel.reporting.outputs.word import default_template, write_word
    from kangwei.kernel.reporting.rules import blocks
    from kangwei.kernel.reporting.rules.layout import face, flow
    from kangwei.kernel.reporting.services.running import Kept
    from kangwei.kernel.reporting.services.snapshots import freeze
    from kangwei.kernel.reporting.tests import make

    at = datetime.now(UTC)

    def unmasked(kind: str, text: str) -> str:
        return text

    large = make.result(rows=rows(ROWS))
    columns = large.visible()
    kept = Kept(uuid.uuid4(), large, (site.institution.pk,), False)
    snapshot = freeze(report=make.report(), kept=kept, by=site.account, at=at)
    counted = seconds(lambda: make.result(rows=rows(ROWS)))
    reopened = wall_milliseconds(lambda: queries.open_snapshot(snapshot), times=5, warm=1) / 1000
    csv = seconds(lambda: list(write_csv(large, columns, unmasked)))
    excel = seconds(lambda: write_xlsx(large, columns, unmasked, by="林晓", at=at))

    page = (Heading("小节"), ReportTable.of(make.result(rows=rows(ROWS_A_PAGE))))
    tree = blocks.Tree(
        "bench",
        1,
        "平台运行报告",
        "月报",
        "陕西省疾控中心",
        "2026年10月",
        at,
        tuple(blocks.Section(f"s{number}", f"第 {number} 部分", page) for number in range(PAGES)),
        "BENCH-0001",
    )
    elements = flow(tree)
    template = default_template()
    pdf_bytes = b""

    def draw_pdf() -> None:
        nonlocal pdf_bytes
        pdf_bytes = write_pdf(face(tree), elements, cutoff=at)

    draw_pdf()  # the first one also reads the fonts
    pdf = seconds(draw_pdf)
    word = seconds(lambda: write_word(face(tree), elements, cutoff=at, template=template))
    pages = pdf_bytes.count(b"/Type /Page") - pdf_bytes.count(b"/Type /Pages")
    assert pages == 0 or pages >= PAGES, f"only {pages} pages"
    return [
        Figure("frozen report of 20,000 rows, opened", reopened, "s", 1.0, False, "count", counted),
        Figure("20,000 rows as XLSX", excel, "s", None, False, "CSV", csv),
        Figure("document of 30 pages as Word", word, "s", None, False, "PDF", pdf),
        Figure("document of 30 pages as PDF", pdf, "s"),
    ]


def rows(number: int) -> list[dict[str, Any]]:
    return [
        {"id": row, "institution": f"第 {row} 接种门诊", "all": row, "active": row // 2}
        for row in range(number)
    ]
