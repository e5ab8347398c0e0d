"""From the block tree to what is drawn (排版): one flow of simple elements for every output.

Word, PDF and the preview each know how to draw these nine elements and nothing else. Numbering
of chapters, tables and figures, masking of names and the words for empty sections are decided
here, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import blocks as b
from .declarations import Column
from .headers import head_rows
from .results import Line
from .values import NOTHING, show

Mask = Callable[[str, str], str]
#: Names of the nine elements; an output that lacks one would drop content silently.
ELEMENTS = (
    "heading", "paragraph", "list", "table", "chart", "image", "note", "signatures", "page_break",
)  # fmt: skip


@dataclass(frozen=True)
class Face:
    """What stands on the cover, in the header and in the footer."""

    title: str
    subtitle: str
    institution: str
    period: str
    number: str
    version: str
    cutoff: str
    cover: bool
    contents: bool
    header: str
    footer: str
    facts: tuple[tuple[str, str], ...]


def whole(kind: str, text: str) -> str:
    """No masking: the copy that stays with the customer."""
    return text


def face(tree: b.Tree, *, digest: str = "", outward: bool = False) -> Face:
    number = tree.number or "草稿（封存时编号）"
    cutoff = show("datetime", tree.cutoff)
    facts = [
        ("编号", number),
        ("版本", f"第 {tree.version} 版"),
        ("机构", tree.institution),
        ("期间", tree.period),
        ("数据截止", cutoff),
    ]
    if digest:
        # In groups of sixteen: it can be read aloud, and a narrow cover can break the line.
        groups = (digest[start : start + 16] for start in range(0, len(digest), 16))
        facts.append(("正文摘要（SM3）", " ".join(groups)))
    if outward:
        facts.append(("副本", "对外副本，姓名等个人信息已脱敏"))
    return Face(
        title=tree.title,
        subtitle=tree.subtitle,
        institution=tree.institution,
        period=tree.period,
        number=number,
        version=f"第 {tree.version} 版",
        cutoff=cutoff,
        cover=tree.cover,
        contents=tree.contents,
        header=f"{tree.title} · {tree.period}",
        footer=" · ".join(
            part for part in (number, tree.confidential, "对外副本" if outward else "") if part
        ),
        facts=tuple((name, value) for name, value in facts if value),
    )


def flow(tree: b.Tree, *, mask: Mask = whole) -> list[dict[str, Any]]:
    """Every element in reading order, as plain data. `mask(kind, text)` hides personal data."""
    writer = _Writer(mask)
    elements: list[dict[str, Any]] = []
    for number, section in enumerate(tree.sections, start=1):
        elements.append(
            {
                "type": "heading",
                "level": 1,
                "number": str(number),
                "text": section.title,
                "key": section.key,
            }
        )
        writer.start_section(number)
        if not section.blocks:
            elements.append({"type": "note", "kind": "empty", "text": "本节无内容。"})
        for block in section.blocks:
            elements.extend(writer.draw(block))
    return elements


class _Writer:
    """Counts headings, tables and figures while the tree is read."""

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self.tables = self.figures = 0
        self.numbers = [0, 0, 0]

    def start_section(self, number: int) -> None:
        self.numbers = [number, 0, 0]

    def draw(self, block: b.Block) -> Iterator[dict[str, Any]]:
        match block:
            case b.Heading(text, level):
                yield self._heading(text, level)
            case b.Paragraph(parts):
                yield {"type": "paragraph", "parts": self._inlines(parts)}
            case b.ListBlock(items, ordered):
                listed = [self._inlines(item) for item in items]
                yield {"type": "list", "ordered": ordered, "items": listed}
            case b.ReportTable():
                yield self._table(block)
            case b.ChartBlock():
                self.figures += 1
                yield {
                    "type": "chart",
                    "title": f"图 {self.figures}　{block.title}",
                    "option": block.option,
                    "height": block.height,
                }
            case b.ImageBlock():
                self.figures += 1
                yield {
                    "type": "image",
                    "title": f"图 {self.figures}　{block.title}",
                    "media_type": block.media_type,
                    "data": block.data,
                }
            case b.Typed():
                yield from self._typed(block)
            case b.Nothing(what, unit):
                yield {"type": "note", "kind": "nothing", "text": f"本期无{what}（共 0 {unit}）。"}
            case b.NotConnected(what):
                text = f"未接入：本系统尚未接入{what}，本节没有数据来源。"
                yield {"type": "note", "kind": "not_connected", "text": text}
            case b.Missing(items):
                text = f"数据缺失：{'；'.join(items)}。"
                yield {"type": "note", "kind": "missing", "text": text}
            case b.PageBreak():
                yield {"type": "page_break"}
            case b.Signatures(parties):
                yield {"type": "signatures", "parties": list(parties)}
            case _:
                raise TypeError(f"no drawing for block {type(block).__name__}")

    def _heading(self, text: str, level: int) -> dict[str, Any]:
        level = min(max(level, 2), 3)
        self.numbers[level - 1] += 1
        if level == 2:
            self.numbers[2] = 0
        number = ".".join(str(one) for one in self.numbers[:level])
        return {"type": "heading", "level": level, "number": number, "text": text, "key": ""}

    def _inlines(self, parts: b.Inlines) -> list[dict[str, str]]:
        drawn = []
        for part in parts:
            if isinstance(part, str):
                drawn.append({"text": part, "role": "text"})
            elif isinstance(part, b.Person):
                drawn.append({"text": self.mask("name", part.name), "role": "person"})
            else:
                source = part.source
                title = (
                    f"{source.title} 第 {source.version} 版，截止 {show('datetime', source.cutoff)}"
                )
                drawn.append({"text": part.text, "role": "figure", "title": title})
        return drawn

    def _typed(self, block: b.Typed) -> Iterator[dict[str, Any]]:
        """Typed elements say that they are, so that an editor can put its field in their place."""
        if not block.text.strip():
            text = "（本段待填写）"
            yield {"type": "note", "kind": "typed", "text": text, "role": "typed"}
            return
        for inner in b.typed_blocks(block.text):
            for element in self.draw(inner):
                yield {**element, "role": "typed"}
        if block.by:
            who = self.mask("name", block.by)
            when = show("datetime", block.at)
            text = f"填写：{who}　{when}"
            yield {"type": "note", "kind": "author", "text": text, "role": "typed"}

    def _table(self, table: b.ReportTable) -> dict[str, Any]:
        self.tables += 1
        columns = tuple(column for column in table.columns if not column.hidden)
        lines = []
        after = {one.end: one for one in table.subtotals}
        for number, row in enumerate(table.rows, start=1):
            lines.append({"kind": "row", "cells": self._cells(table, row)})
            if number in after:
                one = after[number]
                lines.append(
                    {
                        "kind": "subtotal",
                        "cells": labelled(self._cells(table, one.line), one.label),
                    }
                )
        if table.totals is not None:
            cells = labelled(self._cells(table, table.totals), "合计")
            lines.append({"kind": "total", "cells": cells})
        source = table.source
        caption = ""
        if source is not None:
            asked = "；".join(f"{name}：{words}" for name, words in source.parameters)
            caption = "　".join(
                part
                for part in (
                    f"口径：{source.title} 第 {source.version} 版",
                    f"截止 {show('datetime', source.cutoff)}",
                    asked,
                )
                if part
            )
        return {
            "type": "table",
            "title": f"表 {self.tables}　{table.title}",
            "head": [
                [
                    {
                        "text": cell.title,
                        "first": cell.first,
                        "columns": cell.columns,
                        "rows": cell.rows,
                    }
                    for cell in row
                ]
                for row in head_rows(columns)
            ],
            "align": [column.alignment for column in columns],
            "weights": [
                weight(column, table.rows, place)
                for place, column in enumerate(table.columns)
                if not column.hidden
            ],
            "lines": lines,
            "note": caption,
        }

    def _cells(self, table: b.ReportTable, line: Line) -> list[str]:
        return [
            shown(column, value, self.mask)
            for column, value in zip(table.columns, line, strict=True)
            if not column.hidden
        ]


def shown(column: Column, value: Any, mask: Mask = whole) -> str:
    """One cell as people read it, masked where its column says so."""
    if column.masked and value is not None:
        return mask(column.masked, str(value))
    return show(column.kind, value, decimals=column.decimals)


def labelled(cells: list[str], label: str) -> list[str]:
    """Put the name of a total line into its first empty cell, else before the first."""
    for place, text in enumerate(cells):
        if text == NOTHING:
            return [*cells[:place], label, *("" if c == NOTHING else c for c in cells[place + 1 :])]
    return [f"{label} {cells[0]}", *cells[1:]]


def weight(column: Column, rows: tuple[Line, ...], place: int) -> int:
    """How wide a column wants to be, in half-width characters: its longest text, within reason."""
    longest = max((width(shown(column, row[place])) for row in rows[:200]), default=0)
    return max(6, min(36, max(longest, min(width(column.title), 16)) + 2))


def width(text: str) -> int:
    """Chinese characters take two columns."""
    return sum(2 if ord(letter) > 0x2E7F else 1 for letter in text)


def table_of_contents(elements: list[dict[str, Any]]) -> list[Mapping[str, Any]]:
    """Headings of level 1 and 2."""
    return [one for one in elements if one["type"] == "heading" and one["level"] <= 2]
