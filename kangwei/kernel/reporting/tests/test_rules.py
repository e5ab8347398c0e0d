"""Rules of reports: periods, repetition, totals and rates, comparison, headings, parameters."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.reporting.declarations import (
    ChoiceParameter,
    Column,
    Custom,
    DeclarationError,
    InstitutionParameter,
    NumberParameter,
    PeriodParameter,
    Rate,
    Recurrence,
    TextParameter,
    bars,
)
from kangwei.kernel.reporting.rules.binding import UnknownParameter, WrongParameter, bind
from kangwei.kernel.reporting.rules.comparison import (
    DifferentReports,
    RepeatedKey,
    compare,
)
from kangwei.kernel.reporting.rules.declarations import check
from kangwei.kernel.reporting.rules.headers import head_rows
from kangwei.kernel.reporting.rules.periods import SHANGHAI, Period, PeriodKind, containing, parse
from kangwei.kernel.reporting.rules.results import (
    ReportBroken,
    TooManyRows,
    frame,
    from_frame,
    restore_rows,
    store_rows,
)
from kangwei.kernel.reporting.rules.values import normalise, restore, show, store

from . import make

TODAY = date(2026, 11, 20)
ALL: tuple[PeriodKind, ...] = ("day", "week", "month", "quarter", "half_year", "year", "range")


# ── Periods ──


@pytest.mark.parametrize(
    ("text", "start", "last", "label"),
    [
        ("2026-11-20", date(2026, 11, 20), date(2026, 11, 20), "2026年11月20日"),
        ("2026-02", date(2026, 2, 1), date(2026, 2, 28), "2026年2月"),
        ("2028-02", date(2028, 2, 1), date(2028, 2, 29), "2028年2月"),
        ("2026-12", date(2026, 12, 1), date(2026, 12, 31), "2026年12月"),
        ("2026-Q4", date(2026, 10, 1), date(2026, 12, 31), "2026年第四季度"),
        ("2026-H1", date(2026, 1, 1), date(2026, 6, 30), "2026年上半年"),
        ("2026", date(2026, 1, 1), date(2026, 12, 31), "2026年"),
        ("2026-W53", date(2026, 12, 28), date(2027, 1, 3), "2026年第53周"),
        ("2026-01-05..2026-03-04", date(2026, 1, 5), date(2026, 3, 4), "2026-01-05 至 2026-03-04"),
    ],
)
def test_a_period_is_read_and_written_back(text: str, start: date, last: date, label: str) -> None:
    period = parse(text, kinds=ALL, today=TODAY)
    assert period is not None
    assert (period.start, period.last_day, period.label) == (start, last, label)
    assert period.text == text


@pytest.mark.parametrize(
    "text", ["", "2026-13", "2026-Q5", "2026-02-30", "2026-03-04..2026-01-05", "昨天", "2026-W60"]
)
def test_what_is_no_period_is_none(text: str) -> None:
    assert parse(text, kinds=ALL, today=TODAY) is None


def test_a_kind_that_is_not_allowed_is_none() -> None:
    assert parse("2026-11", kinds=("quarter",), today=TODAY) is None
    assert parse("previous:month", kinds=("quarter",), today=TODAY) is None


def test_previous_and_current_are_relative_to_today() -> None:
    assert parse("previous", kinds=("month",), today=date(2026, 1, 15)) == containing(
        "month", date(2025, 12, 1)
    )
    assert parse("current:quarter", kinds=("month", "quarter"), today=TODAY) == containing(
        "quarter", TODAY
    )


def test_bounds_begin_at_midnight_in_shanghai() -> None:
    start, end = containing("month", TODAY).bounds()
    assert start.isoformat() == "2026-11-01T00:00:00+08:00"
    assert end.isoformat() == "2026-12-01T00:00:00+08:00"


@given(
    st.sampled_from(["day", "week", "month", "quarter", "half_year", "year"]),
    st.dates(min_value=date(2000, 1, 1), max_value=date(2090, 1, 1)),
)
def test_periods_of_a_kind_tile_the_calendar(kind: Any, day: date) -> None:
    period = containing(kind, day)
    assert period.start <= day < period.end
    assert period.previous().end == period.start
    assert parse(period.text, kinds=(kind,), today=TODAY) == period


# ── Recurrence ──


@pytest.mark.parametrize(
    ("recurrence", "at", "slot"),
    [
        (Recurrence("daily", 8), "2026-11-20T08:00", "2026-11-20T08:00"),
        (Recurrence("daily", 8), "2026-11-20T07:59", "2026-11-19T08:00"),
        (Recurrence("weekly", 8, 5), "2026-11-20T09:00", "2026-11-20T08:00"),
        (Recurrence("weekly", 8, 7), "2026-11-20T09:00", "2026-11-15T08:00"),
        (Recurrence("monthly", 2, 31), "2026-03-01T00:00", "2026-02-28T02:00"),
        (Recurrence("monthly", 2, 1), "2026-01-01T01:59", "2025-12-01T02:00"),
        (Recurrence("quarterly", 0, 1), "2026-11-20T00:00", "2026-10-01T00:00"),
        (Recurrence("yearly", 0, 366), "2026-11-20T00:00", "2025-12-31T00:00"),
    ],
)
def test_the_latest_slot_is_the_last_one_due(recurrence: Recurrence, at: str, slot: str) -> None:
    moment = datetime.fromisoformat(at).replace(tzinfo=SHANGHAI)
    assert recurrence.latest_slot(moment) == datetime.fromisoformat(slot).replace(tzinfo=SHANGHAI)


# ── Values ──


@given(
    st.one_of(
        st.tuples(st.just("int"), st.integers()),
        st.tuples(st.just("text"), st.text()),
        st.tuples(
            st.sampled_from(["decimal", "percent"]),
            st.decimals(
                allow_nan=False,
                allow_infinity=False,
                places=20,
                min_value=-(10**9),
                max_value=10**9,
            ),
        ),
        st.tuples(st.just("date"), st.dates()),
        st.tuples(
            st.just("duration"),
            st.timedeltas().map(lambda d: timedelta(seconds=d // timedelta(seconds=1))),
        ),
    )
)
def test_what_is_stored_is_read_back_unchanged(pair: Any) -> None:
    kind, value = pair
    assert restore(kind, store(kind, normalise(kind, value))) == value


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("percent", Decimal("66.665"), "66.67%"),
        ("percent", Decimal("-0.005"), "-0.01%"),
        ("decimal", Decimal("1234567.5"), "1,234,567.50"),
        ("int", 12345, "12,345"),
        ("int", None, "—"),
        ("duration", timedelta(seconds=59), "59秒"),
        ("duration", timedelta(days=1, hours=2, minutes=3), "1天2小时3分"),
        ("duration", timedelta(minutes=-90), "-1小时30分"),
        ("datetime", make.AT, "2026-11-20 10:00"),
    ],
)
def test_values_are_written_for_people(kind: Any, value: Any, text: str) -> None:
    assert show(kind, value) == text


@pytest.mark.parametrize(
    ("kind", "value"),
    [("int", "1"), ("date", make.AT), ("datetime", datetime(2026, 1, 1)), ("decimal", "x")],
)
def test_a_value_of_another_kind_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(TypeError):
        normalise(kind, value)


# ── Totals and rates ──

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(),
            "institution": st.sampled_from(["甲", "乙", "丙"]),
            "all": st.one_of(st.none(), st.integers(0, 10**6)),
            "active": st.one_of(st.none(), st.integers(0, 10**6)),
        }
    ),
    max_size=30,
)


def slow_sum(rows: list[dict[str, Any]], key: str) -> int | None:
    total = None
    for row in rows:
        if row[key] is not None:
            total = row[key] if total is None else total + row[key]
    return total


def exactly(value: Any, numerator: int | None, denominator: int | None) -> bool:
    """The rate against exact arithmetic; null without a denominator."""
    if numerator is None or not denominator:
        return value is None
    exact = Fraction(numerator * 100, denominator)
    return abs(Fraction(value) - exact) <= exact * Fraction(1, 10**26) + Fraction(1, 10**26)


@given(ROWS)
def test_totals_and_rates_agree_with_slow_exact_arithmetic(rows: list[dict[str, Any]]) -> None:
    result = make.result(rows=rows, subtotal_by="institution")
    for line, row in zip(result.rows, sorted_by_group(rows), strict=True):
        assert exactly(result.value(line, "share"), row["active"], row["all"])
    assert result.totals is not None
    groups = [(result.totals, rows)]
    for one in result.subtotals:
        name = result.value(result.rows[one.start], "institution")
        groups.append((one.line, [row for row in rows if row["institution"] == name]))
        assert len(groups[-1][1]) == one.end - one.start
    for line, members in groups:
        for key in ("all", "active"):
            assert result.value(line, key) == slow_sum(members, key)
        assert exactly(
            result.value(line, "share"), slow_sum(members, "active"), slow_sum(members, "all")
        )


def sorted_by_group(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(row["institution"] for row in rows))
    return [row for name in names for row in rows if row["institution"] == name]


def test_a_rate_is_never_the_mean_of_rates() -> None:
    rows = [
        {"id": 1, "institution": "甲", "all": 1, "active": 1},
        {"id": 2, "institution": "乙", "all": 99, "active": 0},
    ]
    result = make.result(rows=rows)
    assert result.totals is not None
    assert result.value(result.totals, "share") == Decimal(1)


def test_a_custom_total_sees_the_rows_it_stands_under() -> None:
    columns = (
        Column(key="id", title="行", definition="行。", kind="int"),
        Column(
            key="worst",
            title="最长",
            definition="最长时长。",
            kind="duration",
            total=Custom(of=lambda rows: max(row["worst"] for row in rows), words="取最大"),  # type: ignore[type-var]
        ),
    )
    result = make.result(
        columns, [{"id": 1, "worst": 60}, {"id": 2, "worst": 3600}], drill=None, chart=None
    )
    assert result.totals == (None, timedelta(hours=1))


def test_rows_that_do_not_fit_the_declaration_name_the_report() -> None:
    with pytest.raises(ReportBroken, match=r"test\.accounts.*row 1.*extra"):
        make.result(rows=[{"id": 1, "institution": "甲", "all": 1, "active": 1, "extra": 2}])
    with pytest.raises(ReportBroken, match=r"test\.accounts.*'all'"):
        make.result(rows=[{"id": 1, "institution": "甲", "all": "many", "active": 1}])
    with pytest.raises(TooManyRows):
        make.result(
            rows=[{"id": n, "institution": "甲", "all": 1, "active": 1} for n in range(3)], limit=2
        )


@given(ROWS)
def test_a_result_survives_storing(rows: list[dict[str, Any]]) -> None:
    result = make.result(rows=rows, subtotal_by="institution")
    again = from_frame(
        frame(result), restore_rows(result.columns, store_rows(result.columns, result.rows))
    )
    assert list(again.rows) == list(result.rows)
    assert (again.totals, again.subtotals, again.heading) == (
        result.totals,
        result.subtotals,
        result.heading,
    )


# ── Comparison ──

KEYED = st.dictionaries(
    st.integers(0, 20), st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=15
)


def of(table: dict[int, tuple[int, int]]) -> Any:
    return make.result(
        rows=[
            {"id": key, "institution": f"机构{key}", "all": a, "active": b}
            for key, (a, b) in table.items()
        ]
    )


@given(KEYED, KEYED)
def test_comparison_agrees_with_a_slow_one(
    before: dict[int, tuple[int, int]], after: dict[int, tuple[int, int]]
) -> None:
    found = compare(of(before), of(after))
    states = {row.key[0]: row.state for row in found.rows}
    expected: dict[Any, str] = {}
    for key in before.keys() | after.keys():
        if key not in before:
            expected[key] = "added"
        elif key not in after:
            expected[key] = "removed"
        else:
            expected[key] = "same" if before[key] == after[key] else "changed"
    assert states == expected
    assert found.identical == (before == after)
    for row in found.rows:
        if row.state == "changed":
            cells = dict(zip((c.key for c in found.columns), row.cells, strict=True))
            number: Any = row.key[0]
            assert cells["all"].delta == after[number][0] - before[number][0]
            if before[number][0]:
                exact = Fraction((after[number][0] - before[number][0]) * 100, before[number][0])
                assert abs(Fraction(str(cells["all"].percent)) - exact) < Fraction(1, 10**20)
            else:
                assert cells["all"].percent is None


def test_differences_below_rounding_are_still_differences() -> None:
    columns = (
        Column(key="id", title="行", definition="行。", kind="int"),
        Column(key="x", title="值", definition="值。", kind="decimal", total="sum"),
    )
    plain: dict[str, Any] = {"drill": None, "chart": None}
    one = make.result(columns, [{"id": 1, "x": Decimal("1.001")}], **plain)
    two = make.result(columns, [{"id": 1, "x": Decimal("1.002")}], **plain)
    assert not compare(one, two).identical


def test_another_report_or_a_repeated_key_cannot_be_compared() -> None:
    with pytest.raises(DifferentReports):
        compare(make.result(), make.result(code="test.other"))
    twice = [{"id": 1, "institution": "甲", "all": 1, "active": 1}] * 2
    with pytest.raises(RepeatedKey):
        compare(make.result(rows=twice), make.result())


def test_a_changed_definition_is_told() -> None:
    assert compare(make.result(digest="0" * 64), make.result(digest="1" * 64)).redefined


# ── Headings, parameters, declarations, charts ──


def test_grouped_headings_cover_every_cell_once() -> None:
    columns = tuple(
        Column(key=f"c{n}", title=f"列{n}", definition="x", group=group)
        for n, group in enumerate([(), ("甲",), ("甲", "一"), ("甲", "一"), ("乙",), ()])
    )
    rows = head_rows(columns)
    covered = [
        (y, x)
        for row in rows
        for cell in row
        for y in range(cell.row, cell.row + cell.rows)
        for x in range(cell.first, cell.first + cell.columns)
    ]
    assert sorted(covered) == [(y, x) for y in range(3) for x in range(6)]
    assert [(cell.title, cell.columns) for cell in rows[0]] == [
        ("列0", 1), ("甲", 3), ("乙", 1), ("列5", 1),
    ]  # fmt: skip


def asking(*parameters: Any) -> Any:
    return make.report(parameters=parameters)


def test_an_unknown_parameter_is_refused_by_name() -> None:
    with pytest.raises(
        UnknownParameter, match=r"没有名为“colour”的条件；可用条件：统计期间（period）"
    ):
        bind(asking(PeriodParameter()), {"colour": "red"}, today=TODAY)


@pytest.mark.parametrize(
    ("parameter", "text", "said"),
    [
        (PeriodParameter(), "昨天", "无法识别"),
        (InstitutionParameter(), "甲", "应是整数"),
        (NumberParameter(key="n", title="天数", low=1, high=9), "10", "应在 1 到 9 之间"),
        (ChoiceParameter(key="c", title="级别", choices=(("a", "甲"),)), "b", "可选：甲"),
        (TextParameter(key="t", title="词", max_length=2), "三个字", "最多 2 个字"),
        (TextParameter(key="t", title="词", required=True), " ", "必须填写"),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_be_right(
    parameter: Any, text: str, said: str
) -> None:
    with pytest.raises(WrongParameter, match=said) as refused:
        bind(asking(parameter), {parameter.key: text}, today=TODAY)
    assert refused.value.field == parameter.key


def test_defaults_fill_what_was_not_asked() -> None:
    parameters = (PeriodParameter(), NumberParameter(key="n", title="天数", default=7))
    bound = bind(asking(*parameters), {}, today=TODAY)
    assert bound == {"period": Period("month", date(2026, 10, 1), date(2026, 11, 1)), "n": 7}


SHARE = make.COLUMNS[-1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"columns": make.COLUMNS + make.COLUMNS[:1]}, "declared twice"),
        (
            {
                "columns": (
                    *make.COLUMNS[:-1],
                    Column(
                        key="share",
                        title="率",
                        definition="x",
                        kind="percent",
                        total=Rate("none", "all"),
                    ),
                )
            },
            "'none'",
        ),
        ({"columns": (*make.COLUMNS, Column(key="x", title="无", definition=" "))}, "definition"),
        (
            {"columns": (*make.COLUMNS, Column(key="x", title="和", definition="x", total="sum"))},
            "summed",
        ),
        (
            {
                "columns": (
                    *make.COLUMNS,
                    Column(key="x", title="号", definition="x", kind="int", masked="phone"),
                )
            },
            "masked",
        ),
        ({"key": ("nothing",)}, "'nothing'"),
        ({"key": ()}, "key"),
        ({"drill": None}, "drill"),
        ({"scope": None}, "scope"),
        ({"right": "everybody"}, "right"),
        ({"parameters": (TextParameter(key="page", title="页"),)}, "usable"),
        ({"subtotal_by": "nothing"}, "'nothing'"),
    ],
)
def test_a_contradictory_declaration_stops_the_start_and_names_the_report(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(DeclarationError, match=said) as refused:
        check(make.report(**changes))
    assert "test.accounts" in str(refused.value)


def test_the_example_of_the_tests_is_sound() -> None:
    check(make.report())


def test_a_chart_of_nothing_is_no_chart_and_personal_names_label_none() -> None:
    assert bars(make.result(), "institution", ["all"]) is None
    columns = (Column(key="id", title="姓名", definition="x", masked="name"), *make.COLUMNS[2:])
    rows = [{"id": "张三", "all": 1, "active": 1}]
    with pytest.raises(ValueError, match="personal"):
        bars(make.result(columns, rows), "id", ["all"])
