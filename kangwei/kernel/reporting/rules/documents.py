"""A kind of document (文档种类), declared once: its sections and where each takes its content.

    MONTHLY = DocumentKind(
        code="desk.monthly",
        title="运维月报",
        prefix="YWYB",
        right="desk.view_ticket",
        period="month",
        sections=(
            SectionKind(key="summary", title="本月概况", build=summary, typed="补充说明"),
            SectionKind(key="tickets", title="工单",
                        build=report_section("desk.timely", nothing="工单")),
            SectionKind(key="interfaces", title="接口",
                        source="engine.monthly", source_title="交换引擎"),
            SectionKind(key="plan", title="下月计划", typed="下月计划与建议"),
        ),
    )

A section is computed (`build`), typed by a person (`typed`), taken from a part of the product that
may not be installed (`source`), or computed and typed together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .blocks import Block, ChartBlock, Figure, NotConnected, Nothing, Paragraph, ReportTable
from .declarations import DeclarationError
from .periods import Period, PeriodKind
from .results import Result
from .values import NOTHING

_CODE = re.compile(r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$")
_PREFIX = re.compile(r"^[A-Z][A-Z0-9]{1,9}$")


class SourceAbsent(Exception):
    """A section asked for a report that is not installed here; the section says 未接入."""


@dataclass(frozen=True)
class DocumentContext:
    """What a section may know. `result` runs a report for this document's period and institution,
    at its cut-off, in the rights of whoever makes the document."""

    period: Period
    institution: Any
    cutoff: datetime
    by: Any
    run: Callable[[str, Mapping[str, str]], Result]

    def result(self, code: str, **parameters: str) -> Result:
        return self.run(code, parameters)


Build = Callable[[DocumentContext], Iterable[Block]]


@dataclass(frozen=True, kw_only=True)
class SectionKind:
    """One section. `typed` is the hint above its text field; `source` the name of a builder that
    an app registers with `register_source`; `source_title` names that part in words."""

    key: str
    title: str
    build: Build | None = None
    typed: str = ""
    source: str = ""
    source_title: str = ""
    #: Sealing is refused while a required text is empty.
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class DocumentKind:
    """A kind of document. `prefix` begins its number: 前缀-年月-流水号."""

    code: str
    title: str
    prefix: str
    right: str
    sections: tuple[SectionKind, ...]
    period: PeriodKind = "month"
    version: int = 1
    purpose: str = ""
    group: str = "文档"
    cover: bool = True
    contents: bool = True
    signatures: tuple[str, ...] = ()
    confidential: str = ""
    order: int = 100

    def section(self, key: str) -> SectionKind | None:
        return next((one for one in self.sections if one.key == key), None)


def check_kind(kind: DocumentKind) -> None:
    """Refuse a declaration that contradicts itself."""

    def wrong(what: str) -> DeclarationError:
        return DeclarationError(f"document {kind.code!r}: {what}")

    if not _CODE.match(kind.code):
        raise wrong("the code must read app.name, in small letters")
    if not _PREFIX.match(kind.prefix):
        raise wrong("the prefix must be 2 to 10 capital letters or digits")
    if not kind.sections:
        raise wrong("it has no section")
    seen: set[str] = set()
    for section in kind.sections:
        if section.key in seen:
            raise wrong(f"section {section.key!r} is declared twice")
        seen.add(section.key)
        if section.build and section.source:
            raise wrong(f"section {section.key!r} has both a builder and a source")
        if not (section.build or section.source or section.typed):
            raise wrong(f"section {section.key!r} has neither builder, source nor typed text")
        if section.source and not section.source_title:
            raise wrong(f"section {section.key!r} must name its source in words")


def number_of(kind: DocumentKind, period: Period, serial: int) -> str:
    """`YWYB-202610-0007`: prefix, month of the period's last day, serial of kind and year."""
    last = period.last_day
    return f"{kind.prefix}-{last.year:04d}{last.month:02d}-{serial:04d}"


def report_section(
    code: str,
    *,
    nothing: str,
    unit: str = "条",
    columns: tuple[str, ...] | None = None,
    chart: bool = True,
    most: int | None = None,
    lead: Callable[[Result], Paragraph] | None = None,
    **parameters: str,
) -> Build:
    """A section made of one report: a leading sentence, its chart, its table.

    Without rows it says so from the count; without the report it says 未接入.
    """

    def build(ctx: DocumentContext) -> Iterable[Block]:
        result = ctx.result(code, **parameters)
        if not result.rows:
            yield Nothing(nothing, unit)
            return
        if lead is not None:
            yield lead(result)
        if chart and result.chart:
            yield ChartBlock(result.heading.title, result.chart)
        yield ReportTable.of(result, columns=columns, most=most)
        if most is not None and len(result.rows) > most:
            yield Paragraph(f"表中列出前 {most} 行，共 {len(result.rows)} 行；合计按全部行计算。")

    return build


def against(result: Result, key: str, previous: Result) -> Paragraph:
    """One sentence comparing a total with the previous period's: 较上期增加 …."""
    now, before = Figure.total(result, key), Figure.total(previous, key)
    title = result.columns[result.index[key]].title
    if now.text == NOTHING or before.text == NOTHING:
        return Paragraph(f"{title}：本期 ", now, "，上期 ", before, "。")
    same = now.value == before.value
    more = not same and now.value > before.value  # type: ignore[operator]  # values of one kind
    word = "与上期持平" if same else ("高于上期" if more else "低于上期")
    return Paragraph(f"{title}：本期 ", now, "，上期 ", before, f"，{word}。")


def build_section(
    kind: SectionKind, ctx: DocumentContext, sources: Mapping[str, Build]
) -> tuple[Block, ...]:
    """The computed blocks of one section; what is not installed is said, not left out."""
    build = sources.get(kind.source) if kind.source else kind.build
    if kind.source and build is None:
        return (NotConnected(kind.source_title),)
    if build is None:
        return ()
    try:
        return tuple(build(ctx))
    except SourceAbsent as absent:
        return (NotConnected(kind.source_title or str(absent)),)
