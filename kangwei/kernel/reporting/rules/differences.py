"""What a correction changed (差异): two versions of a document, block by block and cell by cell.

A new version of a sealed document lists its differences in its own text, so that a reader who
holds the old copy knows what to correct without laying the two side by side.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from . import blocks as b
from .layout import flow, shown
from .periods import SHANGHAI
from .results import Line

ChangeKind = Literal["added", "removed", "changed"]
KIND_WORDS: dict[ChangeKind, str] = {"added": "新增", "removed": "删除", "changed": "修改"}
#: The section in which a new version lists its differences; never compared itself.
CORRECTION = "correction"


@dataclass(frozen=True)
class Difference:
    """One change: where (section, and row and column inside a table), what stood, what stands."""

    kind: ChangeKind
    section: str
    where: str
    before: str = ""
    after: str = ""

    @property
    def sentence(self) -> str:
        place = f"“{self.section}”" + (f" {self.where}" if self.where else "")
        if self.kind == "changed":
            return f"{place}：“{self.before}”改为“{self.after}”"
        return f"{KIND_WORDS[self.kind]} {place}：{self.before or self.after}"


def differences(before: b.Tree, after: b.Tree) -> list[Difference]:
    """Every change from one version to the next, in reading order of the later one."""
    found: list[Difference] = []
    for section in after.sections:
        if section.key == CORRECTION:
            continue
        earlier = before.section(section.key)
        if earlier is None:
            found.append(Difference("added", section.title, "整节", after="新增章节"))
            continue
        if earlier.title != section.title:
            found.append(Difference("changed", section.title, "标题", earlier.title, section.title))
        found.extend(_blocks(section.title, earlier.blocks, section.blocks))
    for section in before.sections:
        if section.key != CORRECTION and after.section(section.key) is None:
            found.append(Difference("removed", section.title, "整节", before="删除章节"))
    return found


def _blocks(
    section: str, before: tuple[b.Block, ...], after: tuple[b.Block, ...]
) -> Iterator[Difference]:
    """Align equal blocks first; what lies between is paired by kind, so a changed table is
    compared with its predecessor and not with a paragraph."""
    old, new = [_signature(one) for one in before], [_signature(one) for one in after]
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag != "equal":
            yield from _replaced(section, list(before[i1:i2]), list(after[j1:j2]))


def _replaced(section: str, before: list[b.Block], after: list[b.Block]) -> Iterator[Difference]:
    waiting = list(before)
    for block in after:
        partner = next((one for one in waiting if _same_place(one, block)), None)
        if partner is None:
            yield Difference("added", section, _what(block), after=_text(block))
            continue
        waiting.remove(partner)
        if isinstance(partner, b.ReportTable) and isinstance(block, b.ReportTable):
            yield from _tables(section, partner, block)
        elif _text(partner) != _text(block):
            yield Difference("changed", section, _what(block), _text(partner), _text(block))
        elif isinstance(block, b.ChartBlock | b.ImageBlock):
            yield Difference("changed", section, _what(block), "原图", "新图")
    for block in waiting:
        yield Difference("removed", section, _what(block), before=_text(block))


def _same_place(one: b.Block, other: b.Block) -> bool:
    if isinstance(one, b.ReportTable) and isinstance(other, b.ReportTable):
        return (one.source and one.source.report) == (other.source and other.source.report)
    if isinstance(one, b.Typed) and isinstance(other, b.Typed):
        return one.key == other.key
    return type(one) is type(other)


def _tables(section: str, before: b.ReportTable, after: b.ReportTable) -> Iterator[Difference]:
    name = f"表“{after.title}”"
    shared = [c for c in after.columns if any(c.key == one.key for one in before.columns)]
    old_place = {column.key: n for n, column in enumerate(before.columns)}
    new_place = {column.key: n for n, column in enumerate(after.columns)}
    for column in after.columns:
        if column.key not in old_place:
            yield Difference("added", section, name, after=f"列“{column.full_title}”")
    for column in before.columns:
        if column.key not in new_place:
            yield Difference("removed", section, name, before=f"列“{column.full_title}”")
    key = [one for one in after.key if one in old_place and one in new_place]
    old = {tuple(row[old_place[one]] for one in key): row for row in before.rows}
    new = {tuple(row[new_place[one]] for one in key): row for row in after.rows}

    def cells(where: str, earlier: Line, later: Line) -> Iterator[Difference]:
        for column in shared:
            was, now = earlier[old_place[column.key]], later[new_place[column.key]]
            if was != now:
                yield Difference(
                    "changed",
                    section,
                    f"{name} {where} · {column.title}",
                    shown(column, was),
                    shown(column, now),
                )

    for row_key, row in new.items():
        label = _label(after, row)
        if row_key in old:
            yield from cells(f"行“{label}”", old[row_key], row)
        else:
            yield Difference("added", section, name, after=f"行“{label}”")
    for row_key, row in old.items():
        if row_key not in new:
            label = _label(before, row)
            yield Difference("removed", section, name, before=f"行“{label}”")
    if before.totals is not None and after.totals is not None:
        yield from cells("合计", before.totals, after.totals)


def _label(table: b.ReportTable, row: Line) -> str:
    """A row as a reader finds it: by its first shown column, not by a number he cannot see."""
    for column, value in zip(table.columns, row, strict=True):
        if not column.hidden:
            return shown(column, value)
    return ""


def _signature(block: b.Block) -> str:
    facts = b.plain_block(block)
    facts.pop("source", None)
    if isinstance(block, b.Typed):
        facts = {"type": "typed", "key": block.key, "text": block.text}
    return json.dumps(_without_sources(facts), ensure_ascii=False, sort_keys=True, default=str)


def _without_sources(value: object) -> object:
    """A later cut-off alone is no difference in what the document says."""
    if isinstance(value, dict):
        return {key: _without_sources(one) for key, one in value.items() if key != "source"}
    if isinstance(value, list):
        return [_without_sources(one) for one in value]
    return value


def _what(block: b.Block) -> str:
    words = {
        "heading": "标题", "paragraph": "段落", "list": "列表", "table": "表", "chart": "图",
        "image": "图片", "typed": "填写内容", "nothing": "说明", "not_connected": "说明",
        "missing": "缺失说明", "page_break": "分页", "signatures": "签署栏",
    }  # fmt: skip
    title = getattr(block, "title", "")
    return words[block.type] + (f"“{title}”" if title else "")


def _text(block: b.Block) -> str:
    """A block in plain words, shortened for a list of differences."""
    if isinstance(block, b.Typed):
        text = " ".join(block.text.split()) or "（空）"
    elif isinstance(block, b.ReportTable):
        text = f"{block.title}（{len(block.rows)} 行）"
    elif isinstance(block, b.ChartBlock | b.ImageBlock):
        text = block.title
    elif isinstance(block, b.Signatures):
        text = "、".join(block.parties)
    else:
        empty = b.Tree("", 1, "", "", "", "", _NEVER, (b.Section("", "", (block,)),))
        text = " ".join(_words(one) for one in flow(empty)[1:])
    return text if len(text) <= 200 else text[:199] + "…"


def _words(element: dict[str, object]) -> str:
    if "parts" in element:
        return "".join(part["text"] for part in element["parts"])  # type: ignore[attr-defined]
    if "items" in element:
        items: list[list[dict[str, str]]] = element["items"]  # type: ignore[assignment]
        return "；".join("".join(part["text"] for part in item) for item in items)
    return str(element.get("text", ""))


#: A tree needs a cut-off; drawing one block for its words does not look at it.
_NEVER = datetime(1970, 1, 1, tzinfo=SHANGHAI)
