"""Files say what the page says: Excel and CSV read back, pictures and documents twice the same."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from django.core.exceptions import ImproperlyConfigured
from docx import Document as WordFile

from kangwei.kernel.reporting.declarations import (
    ChartBlock,
    Column,
    Figure,
    Heading,
    ImageBlock,
    ListBlock,
    Missing,
    NotConnected,
    Nothing,
    PageBreak,
    Paragraph,
    Person,
    ReportTable,
    Signatures,
    Typed,
    bars,
)
from kangwei.kernel.reporting.outputs import fonts
from kangwei.kernel.reporting.outputs.pdf import write_pdf
from kangwei.kernel.reporting.outputs.pictures import chart_svg, svg_to_png
from kangwei.kernel.reporting.outputs.spreadsheets import harmless, write_csv, write_xlsx
from kangwei.kernel.reporting.outputs.word import default_template, write_word
from kangwei.kernel.reporting.rules import blocks as b
from kangwei.kernel.reporting.rules.layout import ELEMENTS, face, flow, labelled, shown, whole
from kangwei.kernel.reporting.rules.results import Result

from . import make
from .test_documents import text_of_pdf, words_of

ROWS = [
    {"id": 1, "institution": "西安甲医院", "all": 1200, "active": 800},
    {"id": 2, "institution": "=cmd|'/c calc'!A1", "all": 0, "active": 0},
    {"id": 3, "institution": "咸阳<b>乙</b>", "all": 3, "active": 1},
]
RESULT: Result = make.result(rows=ROWS, subtotal_by=None)


def page_lines(result: Result) -> list[list[str]]:
    """What the page shows, line by line."""
    columns = result.visible()
    lines = []
    for kind, label, line in result.lines():
        cells = [shown(c, line[result.index[c.key]]) for c in columns]
        lines.append(cells if kind == "row" else labelled(cells, label))
    return lines


def test_excel_read_back_equals_the_page() -> None:
    content = write_xlsx(RESULT, RESULT.visible(), whole, by="王编制", at=make.AT)
    book = openpyxl.load_workbook(io.BytesIO(content))
    sheet = book["报表"]
    merged = sorted(str(one) for one in sheet.merged_cells.ranges)
    assert merged == ["A3:A4", "B3:C3", "D3:D4"]
    assert [cell.value for cell in sheet[3]][:2] == ["机构", "账号"]
    assert [cell.value for cell in sheet[4]][1:3] == ["全部", "在用"]
    assert sheet.freeze_panes == "B5"
    read = []
    for row in sheet.iter_rows(min_row=5):
        cells = []
        for cell in row:
            value: Any = cell.value
            if value is None:
                cells.append("—")
            elif cell.number_format == "0.00%":
                cells.append(f"{round(Decimal(str(value)) * 100, 2):.2f}%")
            elif isinstance(value, int | float):
                cells.append(f"{int(value):,}")
            else:
                cells.append(value)
        read.append(cells)
    assert read == page_lines(RESULT)
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
    definitions = [[cell.value for cell in row] for row in book["口径"].iter_rows(min_row=2)]
    assert ["在用率", "百分数", "在用 ÷ 全部", "在用 ÷ 全部。"] in definitions
    origin = {row[0].value: row[1].value for row in book["说明"].iter_rows()}
    assert origin["导出人"] == "王编制"
    assert origin["数据截止"] == "2026-11-20 10:00"


def test_csv_opens_in_excel_and_runs_no_formula() -> None:
    text = "".join(write_csv(RESULT, RESULT.visible(), whole))
    assert text.startswith("\ufeff")
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert rows[0] == ["机构", "账号 · 全部", "账号 · 在用", "在用率"]
    assert rows[1] == ["西安甲医院", "1200", "800", "66.67%"]
    assert rows[2] == ["'=cmd|'/c calc'!A1", "0", "0", ""]
    assert rows[4] == ["合计", "1203", "801", "66.58%"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_text_that_looks_like_a_formula_is_disarmed(start: str) -> None:
    assert harmless(start + "1").startswith("'")


def test_negative_numbers_stay_numbers_in_csv() -> None:
    columns = (
        Column(key="id", title="行", definition="x", kind="int"),
        Column(key="d", title="差", definition="x", kind="decimal", total="sum"),
    )
    result = make.result(columns, [{"id": 1, "d": Decimal(-5)}], drill=None, chart=None)
    assert "1,-5.00\r\n" in "".join(write_csv(result, result.columns, whole))


def test_personal_columns_are_masked_in_files() -> None:
    columns = (
        Column(key="id", title="行", definition="x", kind="int"),
        Column(key="who", title="姓名", definition="x", masked="name"),
    )
    result = make.result(columns, [{"id": 1, "who": "张三丰"}], drill=None, chart=None)

    def mask(kind: str, text: str) -> str:
        return f"<{kind}>"

    assert "<name>" in "".join(write_csv(result, result.columns, mask))
    content = write_xlsx(result, result.columns, mask, by="x", at=make.AT)
    sheet = openpyxl.load_workbook(io.BytesIO(content))["报表"]
    assert sheet["B4"].value == "<name>"


OPTION = bars(RESULT, "institution", ["all", "active"], lines=["share"])
assert OPTION is not None


def every_block() -> b.Tree:
    blocks = (
        Heading("小节"),
        Heading("小小节", level=3),
        Paragraph("共 ", Figure.total(RESULT, "all"), " 个，负责人 ", Person("王小明"), "。"),
        Paragraph('#set page(fill: red) *粗* _斜_ $x$ "引号" \\ <b>&amp; {{ 标题 }}'),
        ListBlock((("甲",), ("乙",))),
        ListBlock((("一",), ("二",)), ordered=True),
        ReportTable.of(RESULT),
        ChartBlock("账号图", OPTION or {}),
        ImageBlock("图片", "image/png", svg_to_png(chart_svg(OPTION or {}))),
        Typed("t", "手写一段。\n- 条目", "李四", make.AT),
        Nothing("投诉", "件"),
        NotConnected("交换引擎"),
        Missing(("10月3日巡检", "10月9日巡检")),
        PageBreak(),
        Signatures(("甲方", "乙方")),
    )
    return b.Tree(
        "test.kind", 1, "平台运行报告", "月报", "陕西省疾控中心", "2026年10月", make.AT,
        (b.Section("a", "总体情况", blocks), b.Section("b", "空章节", ())), "PTYX-202610-0001",
    )  # fmt: skip


SAID = (
    "总体情况",
    "1.1　小节",
    "1.1.1　小小节",
    "1,203",
    "王小明",
    "#set page(fill: red) *粗*",
    "<b>&amp; {{ 标题 }}",
    "甲",
    "西安甲医院",
    "66.58%",
    "图 1",
    "图 2",
    "手写一段。",
    "本期无投诉（共 0 件）",
    "未接入：本系统尚未接入交换引擎",
    "10月9日巡检",
    "乙方（签字/盖章）",
    "PTYX-202610-0001",
    "口径：账号统计 第 1 版",
)


def test_every_kind_of_block_reaches_word_and_pdf_as_it_was_written() -> None:
    tree = every_block()
    elements = flow(tree)
    assert {element["type"] for element in elements} == set(ELEMENTS)
    template = default_template()
    word = words_of(write_word(face(tree), elements, cutoff=tree.cutoff, template=template))
    pdf = text_of_pdf(write_pdf(face(tree), elements, cutoff=tree.cutoff))
    for text in (word, pdf):
        flat = "".join(text.split())
        for said in SAID:
            assert "".join(said.split()) in flat, said


def test_word_has_real_tables_with_repeated_headings_and_our_pictures() -> None:
    tree = every_block()
    content = write_word(face(tree), flow(tree), cutoff=tree.cutoff, template=default_template())
    document = WordFile(io.BytesIO(content))
    sheet = next(table for table in document.tables if "机构" in table.cell(0, 0).text)
    assert len(sheet.rows) == 2 + 3 + 1
    assert sheet.cell(0, 1)._tc is sheet.cell(0, 2)._tc
    assert sheet.rows[0]._tr.xpath("./w:trPr/w:tblHeader")
    assert len(document.inline_shapes) == 2


def test_a_tree_survives_storing() -> None:
    stored = json.dumps(b.plain(every_block()))
    assert json.dumps(b.plain(b.from_plain(json.loads(stored)))) == stored


def test_the_same_tree_gives_the_same_bytes() -> None:
    tree = every_block()
    template = default_template()
    for _ in range(2):
        chart_svg(OPTION or {})  # the engine counts its ids up; the files must not show it
        files = [
            (
                write_word(face(tree), flow(tree), cutoff=tree.cutoff, template=template),
                write_pdf(face(tree), flow(tree), cutoff=tree.cutoff),
            )
            for _ in range(2)
        ]
        assert files[0] == files[1]
    later = replace(tree, cutoff=tree.cutoff + timedelta(days=1))
    assert write_pdf(face(later), flow(later), cutoff=later.cutoff) != files[0][1]


def test_a_chart_is_drawn_without_script_or_style() -> None:
    svg = chart_svg(OPTION or {})
    assert svg.startswith("<svg")
    assert "<script" not in svg
    assert "<style" not in svg
    assert "咸阳&lt;b&gt;" in svg
    assert svg == chart_svg(OPTION or {})
    assert svg_to_png(svg).startswith(b"\x89PNG")


def test_a_configured_font_that_is_not_there_is_told_by_its_variable(
    settings: Any, tmp_path: Any
) -> None:
    fonts.fonts.cache_clear()
    settings.KW_DOCUMENT_FONT = str(tmp_path / "none.otf")
    try:
        with pytest.raises(ImproperlyConfigured, match="KW_DOCUMENT_FONT"):
            fonts.fonts()
    finally:
        fonts.fonts.cache_clear()


def test_the_shipped_font_serves_where_the_system_has_none(monkeypatch: Any) -> None:
    import typst

    system = typst.Fonts

    def bare(include_system_fonts: bool = True, **rest: Any) -> Any:
        return system(include_system_fonts=False, **rest)

    monkeypatch.setattr(typst, "Fonts", bare)
    fonts.fonts.cache_clear()
    try:
        _, family = fonts.fonts()
        assert "CJK" in family
        assert "咸阳" in text_of_pdf(
            write_pdf(face(every_block()), flow(every_block()), cutoff=make.AT)
        )
    finally:
        fonts.fonts.cache_clear()
