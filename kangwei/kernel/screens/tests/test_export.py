"""Files that leave: no cell of them runs as a formula, whatever somebody once typed."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from decimal import Decimal

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.screens.export import file_answer, safe
from kangwei.kernel.screens.tables import Plain

AT = datetime(2026, 2, 12, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "－1"]
)
def test_what_begins_like_a_formula_becomes_text(text: str) -> None:
    assert safe(text) == "'" + text


@pytest.mark.parametrize(
    "value", ["西安市", "", "a=b", 5, -5, Decimal("-1.50"), date(2026, 2, 12), None]
)
def test_everything_else_stays_as_it_is(value: object) -> None:
    assert safe(value) == value  # type: ignore[arg-type]


@given(st.text())
def test_no_text_begins_like_a_formula_afterwards(text: str) -> None:
    found = safe(text)
    assert isinstance(found, str)
    assert not found.lstrip(" ").startswith(("=", "+", "-", "@"))


def test_a_workbook_keeps_numbers_dates_and_text_apart() -> None:
    line: list[Plain] = [
        "=A1",
        12,
        Decimal("1.5"),
        datetime(2026, 2, 12, 9, 5),
        date(2026, 2, 12),
        "0029",
    ]
    answer = file_answer(
        title="机构：清单", at=AT, headings=list("甲乙丙丁戊己"), lines=iter([line]), kind="xlsx"
    )
    book = openpyxl.load_workbook(io.BytesIO(b"".join(answer.streaming_content)))  # type: ignore[arg-type]
    sheet = book.active
    assert sheet is not None
    found = [cell.value for cell in list(sheet.iter_rows())[1]]
    assert found == ["=A1", 12, 1.5, datetime(2026, 2, 12, 9, 5), datetime(2026, 2, 12), "0029"]
    assert list(sheet.iter_rows())[1][0].data_type == "s"


def test_a_csv_begins_with_the_mark_that_spreadsheets_read_as_utf8() -> None:
    answer = file_answer(
        title="机构清单",
        at=AT,
        headings=["名称", "时间"],
        lines=iter([["甲,乙", datetime(2026, 2, 12, 9, 5)]]),
        kind="csv",
    )
    content = b"".join(answer.streaming_content)  # type: ignore[arg-type]
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.decode("utf-8-sig").splitlines() == ["名称,时间", '"甲,乙",2026-02-12 09:05']


def test_the_file_is_named_by_the_moment_in_china() -> None:
    answer = file_answer(title="机构", at=AT, headings=["甲"], lines=iter([]), kind="csv")
    assert "20260213-0230.csv" in answer["Content-Disposition"]
