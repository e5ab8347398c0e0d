"""A result as CSV and Excel: the same rows, order, totals and rounding as the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..rules.declarations import Column, Custom, Rate
from ..rules.headers import depth, head_rows
from ..rules.layout import Mask, shown, weight
from ..rules.periods import SHANGHAI
from ..rules.results import Result
from ..rules.values import KIND_TITLES, Value, show

if TYPE_CHECKING:
    # Loaded with the first workbook: 11 MB that most processes never need.
    import xlsxwriter
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

#: A text that starts with one of these is a formula to a spreadsheet program.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def harmless(text: str) -> str:
    """A text that no spreadsheet program runs as a formula (公式注入)."""
    return "'" + text if text.startswith(FORMULA_STARTS) else text


def plain_cell(column: Column, value: Value, mask: Mask) -> str:
    """A cell for machines: no thousands separators, nothing where there is no value."""
    if value is None:
        return ""
    if column.kind == "text":
        return harmless(shown(column, value, mask))
    if isinstance(value, timedelta):
        return str(value // timedelta(seconds=1))
    return show(column.kind, value, decimals=column.decimals, thousands=False)


def write_csv(result: Result, columns: Sequence[Column], mask: Mask) -> Iterator[str]:
    """Lines with a byte-order mark, which Excel needs to read Chinese; durations in seconds."""
    places = [result.index[column.key] for column in columns]
    yield "﻿" + _csv_line(
        [column.full_title + ("（秒）" if column.kind == "duration" else "") for column in columns]
    )
    for kind, label, line in result.lines():
        cells = [plain_cell(c, line[p], mask) for c, p in zip(columns, places, strict=True)]
        if kind != "row":
            empty = next((n for n, cell in enumerate(cells) if not cell), 0)
            cells[empty] = label
        yield _csv_line(cells)


def _csv_line(cells: Sequence[str]) -> str:
    target = io.StringIO()
    csv.writer(target, lineterminator="\r\n").writerow(cells)
    return target.getvalue()


# ── Excel ─────────────────────────────────────────────────────────────────────────────────────

_FORMATS = {
    "int": "#,##0",
    "date": "yyyy-mm-dd",
    "datetime": "yyyy-mm-dd hh:mm",
    "duration": "[h]:mm:ss",
}


def write_xlsx(
    result: Result, columns: Sequence[Column], mask: Mask, *, by: str, at: datetime
) -> bytes:
    """A workbook of three sheets: the table, what its columns mean, where it comes from.

    Rows are written one after the other and leave memory at once, so that a hundred thousand
    rows need no more of it than one hundred.
    """
    target = io.BytesIO()
    import xlsxwriter

    book = xlsxwriter.Workbook(target, {"constant_memory": True, "in_memory": False})
    created = at.astimezone(SHANGHAI).replace(tzinfo=None)
    book.set_properties({"title": result.heading.title, "author": by, "created": created})
    _Sheet(book, result, columns, mask).write()
    _definitions(book, columns)
    _origin(book, result, by, at)
    book.close()
    return target.getvalue()


class _Sheet:
    def __init__(
        self, book: xlsxwriter.Workbook, result: Result, columns: Sequence[Column], mask: Mask
    ) -> None:
        self.result, self.columns, self.mask = result, columns, mask
        self.sheet: Worksheet = book.add_worksheet("报表")
        self.title = book.add_format({"font_size": 14})
        self.words = book.add_format({"font_color": "#5b6472"})
        self.head = book.add_format(
            {"bg_color": "#eef2f8", "border": 1, "border_color": "#c9cfd8", "align": "center",
             "valign": "vcenter", "text_wrap": True}
        )  # fmt: skip
        self.formats = [_cell_format(book, column, total=False) for column in columns]
        self.total_formats = [_cell_format(book, column, total=True) for column in columns]

    def write(self) -> None:
        sheet, heading = self.sheet, self.result.heading
        # Everything about columns must be said before the first row leaves memory.
        for place, column in enumerate(self.columns):
            position = self.result.index[column.key]
            sample = tuple((row[position],) for row in self.result.rows[:200])
            sheet.set_column(place, place, weight(column, sample, 0) + 2)
        height = depth(self.columns)
        first = 2 + height
        sheet.freeze_panes(first, 1)
        sheet.repeat_rows(2, first - 1)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        sheet.write_string(0, 0, heading.title, self.title)
        asked = "　".join(f"{name}：{words}" for name, words in heading.parameter_words)
        cutoff = show("datetime", heading.cutoff)
        sheet.write_string(1, 0, f"{asked}　数据截止：{cutoff}".strip("　"), self.words)
        self._headings(2, height)
        places = [self.result.index[column.key] for column in self.columns]
        number = first
        for kind, label, line in self.result.lines():
            self._line(number, kind, label, [line[place] for place in places])
            number += 1
        if self.result.rows and not self.result.subtotals:
            sheet.autofilter(first - 1, 0, first + len(self.result.rows) - 1, len(self.columns) - 1)

    def _headings(self, top: int, height: int) -> None:
        """Row by row, every cell once: `merge_range` would go back to rows already written."""
        rows = head_rows(self.columns)
        titles: dict[tuple[int, int], str] = {}
        for row in rows:
            for cell in row:
                titles[cell.row, cell.first] = cell.title
                if cell.rows > 1 or cell.columns > 1:
                    bottom, right = cell.row + cell.rows - 1, cell.first + cell.columns - 1
                    self.sheet.merge.append([top + cell.row, cell.first, top + bottom, right])
        for y in range(height):
            for x in range(len(self.columns)):
                text = titles.get((y, x))
                if text is None:
                    self.sheet.write_blank(top + y, x, None, self.head)
                else:
                    self.sheet.write_string(top + y, x, text, self.head)

    def _line(self, number: int, kind: str, label: str, values: Sequence[Value]) -> None:
        formats = self.formats if kind == "row" else self.total_formats
        placed = kind == "row"
        for place, (column, value) in enumerate(zip(self.columns, values, strict=True)):
            if value is None and not placed:
                self.sheet.write_string(number, place, label, formats[place])
                placed = True
            else:
                self._cell(number, place, column, value, formats[place])

    def _cell(self, row: int, place: int, column: Column, value: Value, look: Format) -> None:
        sheet = self.sheet
        if value is None:
            sheet.write_blank(row, place, None, look)
        elif isinstance(value, str):
            # write_string never makes a formula, whatever the text starts with.
            sheet.write_string(row, place, shown(column, value, self.mask), look)
        elif isinstance(value, datetime):
            local = value.astimezone(SHANGHAI).replace(tzinfo=None)
            sheet.write_datetime(row, place, local, look)
        elif isinstance(value, date | timedelta):
            sheet.write_datetime(row, place, value, look)
        else:
            number = float(value / 100 if column.kind == "percent" else value)
            sheet.write_number(row, place, number, look)


def _cell_format(book: xlsxwriter.Workbook, column: Column, *, total: bool) -> Format:
    zeros = "0" * column.decimals
    decimal = f"#,##0.{zeros}" if zeros else "#,##0"
    number = {"decimal": decimal, "percent": f"0.{zeros}%" if zeros else "0%"}.get(
        column.kind, _FORMATS.get(column.kind)
    )
    look: dict[str, Any] = {"align": column.alignment, "border": 1, "border_color": "#e3e7ee"}
    if number:
        look["num_format"] = number
    if total:
        look["bg_color"] = "#f6f8fb"
    return book.add_format(look)


def total_words(column: Column) -> str:
    """How a column is totalled, in words."""
    match column.total:
        case Rate(numerator, denominator, per):
            return f"{numerator} ÷ {denominator}" + (f" × {per}" if per != 100 else "")
        case Custom(_, words):
            return words
        case "sum":
            return "求和"
    return "不合计"


def _definitions(book: xlsxwriter.Workbook, columns: Sequence[Column]) -> None:
    sheet = book.add_worksheet("口径")
    wrap = book.add_format({"text_wrap": True, "valign": "top"})
    head = book.add_format({"bg_color": "#eef2f8", "border": 1, "border_color": "#c9cfd8"})
    titles = {column.key: column.title for column in columns}
    heads = (("指标", 28), ("类型", 10), ("合计方式", 24), ("口径", 80))
    for place, (name, wide) in enumerate(heads):
        sheet.set_column(place, place, wide)
        sheet.write_string(0, place, name, head)
    for row, column in enumerate(columns, start=1):
        words = total_words(column)
        for key, title in titles.items():
            words = " ".join(title if part == key else part for part in words.split(" "))
        cells = (column.full_title, KIND_TITLES[column.kind], words, column.definition)
        for place, text in enumerate(cells):
            sheet.write_string(row, place, text, wrap)


def _origin(book: xlsxwriter.Workbook, result: Result, by: str, at: datetime) -> None:
    sheet = book.add_worksheet("说明")
    sheet.set_column(0, 0, 16)
    sheet.set_column(1, 1, 80)
    heading = result.heading
    facts = [
        ("报表", f"{heading.title}（{heading.code}）"),
        ("定义版本", f"第 {heading.version} 版，摘要 {heading.definition_digest}"),
        *heading.parameter_words,
        ("数据截止", show("datetime", heading.cutoff)),
        ("行数", str(len(result.rows))),
        ("导出人", by),
        ("导出时间", show("datetime", at)),
        *(("说明", note) for note in heading.notes),
    ]
    for row, (name, words) in enumerate(facts):
        sheet.write_string(row, 0, name)
        sheet.write_string(row, 1, words)
