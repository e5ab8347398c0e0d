"""Two results, cell by cell (逐格比较): what was added, removed, changed, and by how much.

Rows are matched by the key columns of the later result. Values are compared unrounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from .declarations import Column
from .results import Line, Result
from .values import Value

RowState = Literal["added", "removed", "changed", "same"]
STATE_TITLES: dict[RowState, str] = {
    "added": "新增",
    "removed": "减少",
    "changed": "变化",
    "same": "一致",
}


class CellChange(NamedTuple):
    """One cell before and after. `delta` and `percent` exist for numbers only."""

    before: Value
    after: Value

    @property
    def changed(self) -> bool:
        return self.before != self.after

    @property
    def delta(self) -> Decimal | timedelta | None:
        if isinstance(self.before, timedelta) and isinstance(self.after, timedelta):
            return self.after - self.before
        before, after = _number(self.before), _number(self.after)
        return None if before is None or after is None else after - before

    @property
    def percent(self) -> Decimal | None:
        """Growth against the earlier value, unrounded; null when that was zero or absent."""
        before = self._seconds_or_number(self.before)
        after = self._seconds_or_number(self.after)
        if before is None or after is None or before == 0:
            return None
        return (after - before) * 100 / abs(before)

    @staticmethod
    def _seconds_or_number(value: Value) -> Decimal | None:
        if isinstance(value, timedelta):
            return Decimal(value // timedelta(seconds=1))
        return _number(value)


class RowChange(NamedTuple):
    state: RowState
    key: Line
    cells: tuple[CellChange, ...]


@dataclass(frozen=True)
class Comparison:
    """Differences in the columns both results have, plus the columns only one of them has."""

    columns: tuple[Column, ...]
    rows: tuple[RowChange, ...]
    totals: RowChange | None
    columns_added: tuple[Column, ...]
    columns_removed: tuple[Column, ...]
    #: The way of counting differs: the reader is told before he reads any difference.
    redefined: bool

    @property
    def counts(self) -> dict[RowState, int]:
        counted: dict[RowState, int] = {"added": 0, "removed": 0, "changed": 0, "same": 0}
        for row in self.rows:
            counted[row.state] += 1
        return counted

    @property
    def identical(self) -> bool:
        counts = self.counts
        return (
            not (counts["added"] or counts["removed"] or counts["changed"])
            and not self.columns_added
            and not self.columns_removed
            and (self.totals is None or self.totals.state == "same")
        )

    def differences(self) -> Iterator[RowChange]:
        return (row for row in self.rows if row.state != "same")


class DifferentReports(ValueError):
    """Results of two different reports have nothing to compare."""


class RepeatedKey(ValueError):
    """Two rows carry the same key, so a row has no certain partner on the other side."""


def compare(before: Result, after: Result) -> Comparison:
    if before.heading.code != after.heading.code:
        raise DifferentReports(before.heading.code, after.heading.code)
    shared = tuple(column for column in after.columns if column.key in before.index)
    key = [name for name in after.heading.key if name in before.index]
    old = _by_key(before, key)
    new = _by_key(after, key)
    from_old = [before.index[column.key] for column in shared]
    from_new = [after.index[column.key] for column in shared]
    rows: list[RowChange] = []
    for row_key, line in new.items():
        earlier = old.get(row_key)
        if earlier is None:
            cells = tuple(CellChange(None, line[i]) for i in from_new)
            rows.append(RowChange("added", row_key, cells))
        else:
            rows.append(_pair(row_key, earlier, line, from_old, from_new))
    rows.extend(
        RowChange("removed", row_key, tuple(CellChange(line[i], None) for i in from_old))
        for row_key, line in old.items()
        if row_key not in new
    )
    totals = None
    if before.totals is not None and after.totals is not None:
        totals = _pair((), before.totals, after.totals, from_old, from_new)
    return Comparison(
        columns=shared,
        rows=tuple(rows),
        totals=totals,
        columns_added=tuple(c for c in after.columns if c.key not in before.index),
        columns_removed=tuple(c for c in before.columns if c.key not in after.index),
        redefined=before.heading.definition_digest != after.heading.definition_digest,
    )


def _pair(
    key: Line, earlier: Line, later: Line, from_old: list[int], from_new: list[int]
) -> RowChange:
    cells = tuple(CellChange(earlier[i], later[j]) for i, j in zip(from_old, from_new, strict=True))
    return RowChange("changed" if any(cell.changed for cell in cells) else "same", key, cells)


def _by_key(result: Result, key: list[str]) -> dict[Line, Line]:
    positions = [result.index[name] for name in key]
    found: dict[Line, Line] = {}
    for row in result.rows:
        row_key = tuple(row[position] for position in positions)
        if row_key in found:
            raise RepeatedKey(result.heading.code, row_key)
        found[row_key] = row
    return found


def _number(value: Value) -> Decimal | None:
    return Decimal(value) if isinstance(value, int | Decimal) else None
