"""Grouped headings (分组表头): the declared paths, laid out as rows of merged cells.

The page, Excel, Word and PDF draw the same cells, so a heading spans the same columns everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .declarations import Column


@dataclass(frozen=True)
class HeadCell:
    """One cell of the heading: where it starts, how far it reaches, and its column if it is one."""

    title: str
    row: int
    first: int
    columns: int
    rows: int
    column: Column | None = None


def depth(columns: Sequence[Column]) -> int:
    return 1 + max((len(column.group) for column in columns), default=0)


def head_rows(columns: Sequence[Column]) -> list[list[HeadCell]]:
    """Cells by row. Neighbours that share a heading merge; a column without heading is tall."""
    height = depth(columns)
    rows: list[list[HeadCell]] = [[] for _ in range(height)]
    for level in range(height - 1):
        first = 0
        while first < len(columns):
            path = columns[first].group
            if len(path) <= level:
                first += 1
                continue
            last = first
            while (
                last + 1 < len(columns)
                and columns[last + 1].group[: level + 1] == path[: level + 1]
            ):
                last += 1
            rows[level].append(HeadCell(path[level], level, first, last - first + 1, 1))
            first = last + 1
    for position, column in enumerate(columns):
        level = len(column.group)
        title = f"{column.title}（{column.unit}）" if column.unit else column.title
        rows[level].append(HeadCell(title, level, position, 1, height - level, column))
    return [sorted(row, key=lambda cell: cell.first) for row in rows]
