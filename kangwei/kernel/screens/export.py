"""Lists as files (导出): CSV and XLSX with Chinese headings, scoped, masked, journalled.

A cell that begins like a formula is written as text: a name someone registered as `=cmd…` must not
run in the spreadsheet of whoever opens the export.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

from django.db import transaction
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.crypto import masking
from kangwei.kernel.refusals import Invalid, Refusal
from kangwei.kernel.screens import tables

LIMIT = 100_000
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class TooManyRows(Refusal):
    """The list is too long for one file."""

    code = "screens.too_many_rows"
    title = "导出行数过多"
    status = 422


def safe(value: tables.Plain) -> tables.Plain:
    """Text that a spreadsheet would run as a formula gets a leading apostrophe."""
    if isinstance(value, str) and value.lstrip(" ").startswith(FORMULA):
        return "'" + value
    return value


def answer(
    request: HttpRequest, *, admin: Any, rows: QuerySet[Any], columns: Sequence[Any], kind: str
) -> HttpResponse | StreamingHttpResponse | FileResponse:
    if kind not in {"csv", "xlsx"}:
        raise Invalid(f"不支持导出格式“{kind}”，请选择 CSV 或 XLSX。", field="format")
    count = rows.count()
    if count > LIMIT:
        raise TooManyRows(
            f"当前条件下有 {count} 行，超过单次导出上限 {LIMIT} 行；请缩小查询条件后再导出。"
        )
    at = clock.now()
    title = str(admin.opts.verbose_name_plural)
    with transaction.atomic():
        audit.record_export(
            what=title,
            by=request.user,
            at=at,
            rows=count,
            detail={"format": kind, "query": _without_numbers(request.GET.urlencode())},
        )
    headings = [tables.column_label(name, admin.model, admin) for name in columns]
    lines = (
        [safe(tables.plain_of(name, row, admin)) for name in columns]
        for row in rows.iterator(chunk_size=2000)
    )
    return file_answer(title=title, at=at, headings=headings, lines=lines, kind=kind)


def _without_numbers(query: str) -> str:
    """Somebody searched by a phone or an ID number; the journal never forgets, so it is masked."""
    return re.sub(r"\d{7,}", lambda found: masking.mask_phone(found.group(), 1), query)


def file_answer(
    *,
    title: str,
    at: datetime,
    headings: Sequence[str],
    lines: Iterator[list[tables.Plain]],
    kind: str,
) -> StreamingHttpResponse | FileResponse:
    """A download of these lines; used by lists, and by work pages that offer a table as a file."""
    name = f"{title}-{clock.SHANGHAI.fromutc(at.replace(tzinfo=clock.SHANGHAI)):%Y%m%d-%H%M}.{kind}"
    disposition = f"attachment; filename*=UTF-8''{quote(name)}"
    if kind == "csv":
        streamed = StreamingHttpResponse(
            _csv(headings, lines), content_type="text/csv; charset=utf-8"
        )
        streamed["Content-Disposition"] = disposition
        return streamed
    return FileResponse(
        _xlsx(title, headings, lines),
        as_attachment=True,
        filename=name,
        content_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    )


def _csv(headings: Sequence[str], lines: Iterator[list[tables.Plain]]) -> Iterator[str]:
    yield "\ufeff"  # so that spreadsheet programs read the Chinese as UTF-8
    buffer = io.StringIO()
    writer = csv.writer(buffer)

    def flush() -> str:
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return text

    writer.writerow([safe(text) for text in headings])
    yield flush()
    for line in lines:
        writer.writerow([_text(value) for value in line])
        yield flush()


def _text(value: tables.Plain) -> Any:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return value.isoformat() if isinstance(value, date) else value


def _xlsx(title: str, headings: Sequence[str], lines: Iterator[list[tables.Plain]]) -> Any:
    file = io.BytesIO()
    import xlsxwriter  # 11 MB that only an export needs

    book = xlsxwriter.Workbook(
        file, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    sheet = book.add_worksheet(title[:31].translate({ord(sign): " " for sign in "[]:*?/\\"}))
    bold = book.add_format({"bold": True, "bg_color": "#E6F4F4", "bottom": 1})
    moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    sheet.set_column(0, max(len(headings) - 1, 0), 18)
    sheet.freeze_panes(1, 0)
    for column, text in enumerate(headings):
        sheet.write_string(0, column, text, bold)
    for number, line in enumerate(lines, start=1):
        for column, value in enumerate(line):
            if isinstance(value, datetime):
                sheet.write_datetime(number, column, value, moment)
            elif isinstance(value, date):
                sheet.write_datetime(number, column, value, day)
            elif isinstance(value, str):
                sheet.write_string(number, column, value)
            else:
                sheet.write(number, column, value)
    book.close()
    file.seek(0)
    return file
