"""The result of a report (报表结果): rows, subtotals and totals, with the columns they mean.

A result describes itself. It can be stored, opened years later and compared, even when the report
was changed or removed since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from .declarations import Column, Custom, Rate, Report
from .values import Value, normalise, restore, store

Line = tuple[Value, ...]


class ReportBroken(Exception):
    """A report's query and its declaration disagree: a fault of the program, not of the reader."""


@dataclass(frozen=True)
class Subtotal:
    """A line below the rows `[start, end)` that share one value of the subtotal column."""

    label: str
    start: int
    end: int
    line: Line


@dataclass(frozen=True)
class Heading:
    """What a result is of: report, version, parameters in words, cut-off."""

    code: str
    title: str
    version: int
    definition_digest: str
    parameters: Mapping[str, str]
    #: (title, words) of each parameter, as the page prints them.
    parameter_words: tuple[tuple[str, str], ...]
    cutoff: datetime
    key: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "title": self.title,
            "version": self.version,
            "definition_digest": self.definition_digest,
            "parameters": dict(self.parameters),
            "parameter_words": [list(pair) for pair in self.parameter_words],
            "cutoff": store("datetime", self.cutoff),
            "key": list(self.key),
            "notes": list(self.notes),
        }

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Heading:
        return cls(
            **{
                **data,
                "parameter_words": tuple((a, b) for a, b in data["parameter_words"]),
                "cutoff": datetime.fromisoformat(data["cutoff"]),
                "key": tuple(data["key"]),
                "notes": tuple(data["notes"]),
            }
        )


@dataclass(frozen=True)
class Result:
    heading: Heading
    columns: tuple[Column, ...]
    rows: Sequence[Line]
    totals: Line | None = None
    subtotals: tuple[Subtotal, ...] = ()
    chart: dict[str, Any] | None = None

    @cached_property
    def index(self) -> dict[str, int]:
        return {column.key: position for position, column in enumerate(self.columns)}

    def value(self, row: Line, key: str) -> Value:
        return row[self.index[key]]

    def column_values(self, key: str) -> list[Value]:
        position = self.index[key]
        return [row[position] for row in self.rows]

    def key_of(self, row: Line) -> Line:
        return tuple(row[self.index[name]] for name in self.heading.key)

    def visible(self, chosen: Sequence[str] | None = None) -> tuple[Column, ...]:
        """The columns to show, in the declared order: those chosen, else those not hidden."""
        if chosen:
            wanted = set(chosen)
            some = tuple(column for column in self.columns if column.key in wanted)
            if some:
                return some
        return tuple(column for column in self.columns if not column.hidden)

    def sorted_by(self, key: str, *, descending: bool = False) -> Result:
        """The same rows in another order; subtotals only make sense in the declared one."""
        position = self.index[key]
        present = [row for row in self.rows if row[position] is not None]
        absent = [row for row in self.rows if row[position] is None]
        # Rows without a value stay last in either direction: nobody looks for them first.
        present.sort(key=lambda row: row[position], reverse=descending)  # type: ignore[arg-type,return-value]
        return replace(self, rows=present + absent, subtotals=())

    def lines(self) -> Iterator[tuple[str, str, Line]]:
        """Every line in print order as (kind, label, values): rows, subtotals, the total."""
        after = {subtotal.end: subtotal for subtotal in self.subtotals}
        for number, row in enumerate(self.rows, start=1):
            yield "row", "", row
            if number in after:
                yield "subtotal", after[number].label, after[number].line
        if self.totals is not None:
            yield "total", "合计", self.totals


# ── Making one ────────────────────────────────────────────────────────────────────────────────


def rate(numerator: Value, denominator: Value, per: int = 100) -> Decimal | None:
    """Numerator ÷ denominator × per, unrounded; null without a denominator.

    Durations count in seconds. The quotient keeps 28 digits, enough that no comparison with a
    contract value is decided by rounding.
    """
    above, below = _number(numerator), _number(denominator)
    if above is None or not below:
        return None
    return above * per / below


def _number(value: Value) -> Decimal | None:
    if isinstance(value, timedelta):
        return Decimal(value // timedelta(microseconds=1)) / 1_000_000
    if isinstance(value, int | Decimal):
        return Decimal(value)
    return None


def collect(report: Report, heading: Heading, rows: Iterable[Mapping[str, Any]]) -> Result:
    """Turn what the query returned into a result: check it, compute rates, subtotals and totals."""
    lines: list[Line] = []
    given = [column for column in report.columns if not isinstance(column.total, Rate)]
    expected = {column.key for column in given}
    for number, row in enumerate(rows, start=1):
        if number > report.limit:
            raise TooManyRows(report.limit)
        if row.keys() != expected:
            odd = sorted(row.keys() ^ expected)
            raise ReportBroken(f"report {report.code!r}, row {number}: unknown or missing {odd}")
        lines.append(_line(report, row, number))
    subtotals: tuple[Subtotal, ...] = ()
    if report.subtotal_by:
        lines, subtotals = _subtotals(report, lines)
    totals = _total_line(report, lines) if report.totals else None
    return Result(heading, report.columns, lines, totals, subtotals)


class TooManyRows(Exception):
    """The query returned more rows than the report allows."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


def _line(report: Report, row: Mapping[str, Any], number: int) -> Line:
    values: dict[str, Value] = {}
    for column in report.columns:
        if isinstance(column.total, Rate):
            continue
        try:
            values[column.key] = normalise(column.kind, row[column.key])
        except TypeError as wrong:
            raise ReportBroken(
                f"report {report.code!r}, row {number}, column {column.key!r}: {wrong}"
            ) from None
    return _with_rates(report.columns, values)


def _with_rates(columns: Sequence[Column], values: Mapping[str, Value]) -> Line:
    return tuple(
        rate(values[column.total.numerator], values[column.total.denominator], column.total.per)
        if isinstance(column.total, Rate)
        else values[column.key]
        for column in columns
    )


def _total_line(report: Report, lines: Sequence[Line]) -> Line:
    values: dict[str, Value] = {}
    for position, column in enumerate(report.columns):
        if column.total == "sum":
            values[column.key] = add(line[position] for line in lines)
        elif isinstance(column.total, Custom):
            names = [one.key for one in report.columns]
            rows = [dict(zip(names, line, strict=True)) for line in lines]
            values[column.key] = normalise(column.kind, column.total.of(rows))
        elif column.total == "none":
            values[column.key] = None
    return _with_rates(report.columns, values)


def add(values: Iterable[Value]) -> Value:
    """The sum of what is there; null when nothing is."""
    total: Any = None
    for value in values:
        if value is not None:
            total = value if total is None else total + value
    return total  # type: ignore[no-any-return]  # a sum of values of one kind is of that kind


def _subtotals(report: Report, lines: Sequence[Line]) -> tuple[list[Line], tuple[Subtotal, ...]]:
    """Bring rows of one group together, in the order in which groups first appear."""
    position = next(i for i, c in enumerate(report.columns) if c.key == report.subtotal_by)
    groups: dict[Value, list[Line]] = {}
    for line in lines:
        groups.setdefault(line[position], []).append(line)
    ordered: list[Line] = []
    subtotals: list[Subtotal] = []
    for value, members in groups.items():
        start = len(ordered)
        ordered.extend(members)
        label = f"{value if value is not None else '未填'} 小计"
        subtotals.append(Subtotal(label, start, len(ordered), _total_line(report, members)))
    return ordered, tuple(subtotals)


# ── Storing one ───────────────────────────────────────────────────────────────────────────────


def store_line(columns: Sequence[Column], line: Line) -> list[Any]:
    return [store(column.kind, value) for column, value in zip(columns, line, strict=True)]


def restore_line(columns: Sequence[Column], stored: Sequence[Any]) -> Line:
    return tuple(restore(column.kind, cell) for column, cell in zip(columns, stored, strict=True))


def store_rows(columns: Sequence[Column], rows: Sequence[Line]) -> list[list[Any]]:
    """Rows by column: equal values stand beside each other, which is what compresses well."""
    return [
        [store(column.kind, row[position]) for row in rows]
        for position, column in enumerate(columns)
    ]


def restore_rows(columns: Sequence[Column], stored: Sequence[Sequence[Any]]) -> list[Line]:
    restored = [
        [restore(column.kind, cell) for cell in cells]
        if column.kind not in {"text", "int"}
        else cells
        for column, cells in zip(columns, stored, strict=True)
    ]
    return list(zip(*restored, strict=True))


def frame(result: Result) -> dict[str, Any]:
    """Everything of a result but its rows, as JSON."""
    return {
        "heading": result.heading.plain(),
        "columns": [column.plain() for column in result.columns],
        "totals": None if result.totals is None else store_line(result.columns, result.totals),
        "subtotals": [
            [one.label, one.start, one.end, store_line(result.columns, one.line)]
            for one in result.subtotals
        ],
        "chart": result.chart,
        "rows": len(result.rows),
    }


def from_frame(data: Mapping[str, Any], rows: Sequence[Line]) -> Result:
    columns = tuple(Column.from_plain(one) for one in data["columns"])
    return Result(
        heading=Heading.from_plain(data["heading"]),
        columns=columns,
        rows=rows,
        totals=None if data["totals"] is None else restore_line(columns, data["totals"]),
        subtotals=tuple(
            Subtotal(label, start, end, restore_line(columns, line))
            for label, start, end, line in data["subtotals"]
        ),
        chart=data["chart"],
    )
