"""A document (文档) as a tree of blocks: what it says, apart from how it looks.

Word, PDF, the preview and the digest come from this one tree, so they cannot say different
things. A figure in a sentence is a field that remembers its report, cut-off and version; a typed
text remembers who typed it and when; what could not be computed is said in words, never left out.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, ClassVar

from .declarations import Column
from .results import Line, Result, Subtotal, restore_line, store_line
from .values import Kind, Value, restore, show, store

# ── Inside a sentence ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Source:
    """Where a figure comes from: report, definition version, cut-off, parameters in words."""

    report: str
    title: str
    version: int
    cutoff: datetime
    parameters: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, result: Result) -> Source:
        heading = result.heading
        return cls(
            heading.code, heading.title, heading.version, heading.cutoff, heading.parameter_words
        )

    def plain(self) -> dict[str, Any]:
        return {
            "report": self.report,
            "title": self.title,
            "version": self.version,
            "cutoff": store("datetime", self.cutoff),
            "parameters": [list(pair) for pair in self.parameters],
        }

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Source:
        return cls(
            data["report"],
            data["title"],
            data["version"],
            datetime.fromisoformat(data["cutoff"]),
            tuple((a, b) for a, b in data["parameters"]),
        )


@dataclass(frozen=True)
class Figure:
    """A number in a sentence that can be walked back to its query (数据域)."""

    kind: Kind
    value: Value
    source: Source
    column: str
    unit: str = ""
    decimals: int = 2

    @property
    def text(self) -> str:
        return show(self.kind, self.value, decimals=self.decimals) + self.unit

    @classmethod
    def total(cls, result: Result, key: str) -> Figure:
        """The total of one column of a result."""
        column = result.columns[result.index[key]]
        value = None if result.totals is None else result.value(result.totals, key)
        return cls(column.kind, value, Source.of(result), key, column.unit, column.decimals)


@dataclass(frozen=True)
class Person:
    """A person's name in a sentence; masked in copies that leave the customer."""

    name: str


Inline = str | Figure | Person
Inlines = tuple[Inline, ...]


# ── Blocks ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Block:
    type: ClassVar[str] = ""


@dataclass(frozen=True)
class Heading(Block):
    """A heading inside a section; level 2 or 3 (level 1 is the section itself)."""

    type: ClassVar[str] = "heading"
    text: str
    level: int = 2


@dataclass(frozen=True, init=False)
class Paragraph(Block):
    """A sentence or several: `Paragraph("本期共受理 ", Figure.total(result, "all"), "。")`."""

    type: ClassVar[str] = "paragraph"
    parts: Inlines

    def __init__(self, *parts: Inline) -> None:
        object.__setattr__(self, "parts", parts)


@dataclass(frozen=True)
class ListBlock(Block):
    type: ClassVar[str] = "list"
    items: tuple[Inlines, ...]
    ordered: bool = False


@dataclass(frozen=True)
class ReportTable(Block):
    """A result as a real table, with the source it was computed from."""

    type: ClassVar[str] = "table"
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Line, ...]
    totals: Line | None
    subtotals: tuple[Subtotal, ...]
    key: tuple[str, ...]
    source: Source | None

    @classmethod
    def of(
        cls,
        result: Result,
        *,
        title: str = "",
        columns: Sequence[str] | None = None,
        most: int | None = None,
    ) -> ReportTable:
        """The shown (or named) columns of a result, the first `most` rows; totals always whole."""
        shown = [replace(column, hidden=False) for column in result.visible(columns)]
        named = {column.key for column in shown}
        # Key columns that are not shown stay in the block: versions are compared row by row.
        silent = [
            replace(column, hidden=True)
            for column in result.columns
            if column.key in result.heading.key and column.key not in named
        ]
        kept = (*silent, *shown)
        places = [result.index[column.key] for column in kept]

        def cut(line: Line) -> Line:
            return tuple(line[place] for place in places)

        whole = most is None or most >= len(result.rows)
        return cls(
            title=title or result.heading.title,
            columns=kept,
            rows=tuple(cut(row) for row in result.rows[:most]),
            totals=None if result.totals is None else cut(result.totals),
            subtotals=tuple(
                Subtotal(one.label, one.start, one.end, cut(one.line)) for one in result.subtotals
            )
            if whole
            else (),
            key=result.heading.key,
            source=Source.of(result),
        )


@dataclass(frozen=True)
class ChartBlock(Block):
    """An ECharts option with a title; drawn to a picture in the files."""

    type: ClassVar[str] = "chart"
    title: str
    option: dict[str, Any] = field(hash=False)
    height: int = 320


@dataclass(frozen=True)
class ImageBlock(Block):
    """A PNG, JPEG or SVG picture."""

    type: ClassVar[str] = "image"
    title: str
    media_type: str
    data: bytes


@dataclass(frozen=True)
class Typed(Block):
    """A text somebody typed, with who and when. Empty until then."""

    type: ClassVar[str] = "typed"
    key: str
    text: str = ""
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Nothing(Block):
    """An empty section, said from the count: 本期无投诉（共 0 件）。"""

    type: ClassVar[str] = "nothing"
    what: str
    unit: str = "条"


@dataclass(frozen=True)
class NotConnected(Block):
    """A section whose source does not exist at this site yet (未接入)."""

    type: ClassVar[str] = "not_connected"
    what: str


@dataclass(frozen=True)
class Missing(Block):
    """Data that should be there and is not, by name (缺失数据)."""

    type: ClassVar[str] = "missing"
    items: tuple[str, ...]


@dataclass(frozen=True)
class PageBreak(Block):
    type: ClassVar[str] = "page_break"


@dataclass(frozen=True)
class Signatures(Block):
    """Places to sign: one per party, such as 甲方 and 乙方."""

    type: ClassVar[str] = "signatures"
    parties: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A numbered chapter of the document."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Tree:
    """The whole document. `number` and `version` are given when it is sealed."""

    kind: str
    kind_version: int
    title: str
    subtitle: str
    institution: str
    period: str
    cutoff: datetime
    sections: tuple[Section, ...]
    number: str = ""
    version: int = 1
    cover: bool = True
    contents: bool = True
    confidential: str = ""

    def section(self, key: str) -> Section | None:
        return next((one for one in self.sections if one.key == key), None)


def typed_blocks(text: str) -> Iterable[Block]:
    """A typed text as blocks: empty lines part paragraphs, lines starting with `- ` make a list."""
    items: list[Inlines] = []
    for raw in text.replace("\r\n", "\n").split("\n"):
        line = raw.strip()
        if line.startswith(("- ", "* ", "• ")):
            items.append((line[2:].strip(),))
            continue
        if items:
            yield ListBlock(tuple(items))
            items = []
        if line:
            yield Paragraph(line)
    if items:
        yield ListBlock(tuple(items))


# ── The tree as JSON, and back ────────────────────────────────────────────────────────────────

BLOCKS: dict[str, type[Block]] = {
    kind.type: kind
    for kind in (
        Heading, Paragraph, ListBlock, ReportTable, ChartBlock, ImageBlock, Typed,
        Nothing, NotConnected, Missing, PageBreak, Signatures,
    )
}  # fmt: skip


def plain(tree: Tree) -> dict[str, Any]:
    """The canonical form: what is stored, what is digested."""
    facts = {one.name: getattr(tree, one.name) for one in fields(tree) if one.name != "sections"}
    facts["cutoff"] = store("datetime", tree.cutoff)
    facts["sections"] = [
        {
            "key": section.key,
            "title": section.title,
            "blocks": [plain_block(block) for block in section.blocks],
        }
        for section in tree.sections
    ]
    return facts


def from_plain(data: Mapping[str, Any]) -> Tree:
    sections = tuple(
        Section(one["key"], one["title"], tuple(block_from_plain(b) for b in one["blocks"]))
        for one in data["sections"]
    )
    facts = {key: value for key, value in data.items() if key != "sections"}
    facts["cutoff"] = datetime.fromisoformat(facts["cutoff"])
    return Tree(sections=sections, **facts)


def plain_block(block: Block) -> dict[str, Any]:
    match block:
        case Paragraph(parts):
            return {"type": block.type, "parts": [_plain_inline(part) for part in parts]}
        case ListBlock(items, ordered):
            return {
                "type": block.type,
                "items": [[_plain_inline(part) for part in item] for item in items],
                "ordered": ordered,
            }
        case ReportTable():
            return {
                "type": block.type,
                "title": block.title,
                "columns": [column.plain() for column in block.columns],
                "rows": [store_line(block.columns, row) for row in block.rows],
                "totals": None if block.totals is None else store_line(block.columns, block.totals),
                "subtotals": [
                    [one.label, one.start, one.end, store_line(block.columns, one.line)]
                    for one in block.subtotals
                ],
                "key": list(block.key),
                "source": None if block.source is None else block.source.plain(),
            }
        case ImageBlock():
            data = base64.b64encode(block.data).decode()
            return {
                "type": block.type,
                "title": block.title,
                "media_type": block.media_type,
                "data": data,
            }
        case Typed():
            return {
                "type": block.type,
                "key": block.key,
                "text": block.text,
                "by": block.by,
                "at": store("datetime", block.at),
            }
    facts: dict[str, Any] = {"type": block.type}
    for one in fields(block):
        value = getattr(block, one.name)
        facts[one.name] = list(value) if isinstance(value, tuple) else value
    return facts


def block_from_plain(data: Mapping[str, Any]) -> Block:
    facts = {key: value for key, value in data.items() if key != "type"}
    match data["type"]:
        case "paragraph":
            return Paragraph(*(_inline_from_plain(part) for part in facts["parts"]))
        case "list":
            items = tuple(tuple(_inline_from_plain(p) for p in item) for item in facts["items"])
            return ListBlock(items, facts["ordered"])
        case "table":
            columns = tuple(Column.from_plain(one) for one in facts["columns"])
            totals, source = facts["totals"], facts["source"]
            return ReportTable(
                title=facts["title"],
                columns=columns,
                rows=tuple(restore_line(columns, row) for row in facts["rows"]),
                totals=None if totals is None else restore_line(columns, totals),
                subtotals=tuple(
                    Subtotal(label, start, end, restore_line(columns, line))
                    for label, start, end, line in facts["subtotals"]
                ),
                key=tuple(facts["key"]),
                source=None if source is None else Source.from_plain(source),
            )
        case "image":
            return ImageBlock(facts["title"], facts["media_type"], base64.b64decode(facts["data"]))
        case "typed":
            at = facts["at"]
            moment = None if at is None else datetime.fromisoformat(at)
            return Typed(facts["key"], facts["text"], facts["by"], moment)
    kind = BLOCKS[data["type"]]
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in facts.items()})


def _plain_inline(part: Inline) -> Any:
    if isinstance(part, str):
        return part
    if isinstance(part, Person):
        return {"person": part.name}
    return {
        "figure": store(part.kind, part.value),
        "kind": part.kind,
        "source": part.source.plain(),
        "column": part.column,
        "unit": part.unit,
        "decimals": part.decimals,
    }


def _inline_from_plain(data: Any) -> Inline:
    if isinstance(data, str):
        return data
    if "person" in data:
        return Person(data["person"])
    return Figure(
        kind=data["kind"],
        value=restore(data["kind"], data["figure"]),
        source=Source.from_plain(data["source"]),
        column=data["column"],
        unit=data["unit"],
        decimals=data["decimals"],
    )
