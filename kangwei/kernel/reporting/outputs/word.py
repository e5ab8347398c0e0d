"""A document as Word, written into the customer's style template (样式模板) with real tables.

The template decides how things look, the tree what they say. A template may carry fields such as
`{{ 标题 }}` on its cover, in its header and footer; the text itself goes where `[[正文]]` stands,
or at the end. The same elements give the same bytes: the file is dated by the cut-off.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from docx import Document
from docx.document import Document as WordDocument
from docx.enum.section import WD_ORIENT
from docx.enum.table import WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_BREAK
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Emu, Mm, Pt, RGBColor
from docx.table import Table
from docx.text.paragraph import Paragraph
from docxtpl import DocxTemplate
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from ..rules.layout import Face, table_of_contents
from .pictures import chart_svg, svg_to_png
from .styles import STYLES, fields

MARK = "[[正文]]"
ALIGN = {
    "left": WD_ALIGN_PARAGRAPH.LEFT,
    "right": WD_ALIGN_PARAGRAPH.RIGHT,
    "center": WD_ALIGN_PARAGRAPH.CENTER,
}
SOFT, ACCENT = RGBColor(0x5B, 0x64, 0x72), RGBColor(0x1F, 0x5F, 0xBF)
NOTE_COLOURS = {
    "not_connected": RGBColor(0x9A, 0x67, 0x00),
    "typed": RGBColor(0x9A, 0x67, 0x00),
    "missing": RGBColor(0xB4, 0x23, 0x18),
}


def sandbox() -> SandboxedEnvironment:
    """Templates come from outside: they may name our fields and nothing else."""
    return SandboxedEnvironment(undefined=StrictUndefined, autoescape=True)


def write_word(
    face: Face,
    elements: list[dict[str, Any]],
    *,
    cutoff: datetime,
    template: bytes,
    styles: Mapping[str, str] | None = None,
) -> bytes:
    filled = DocxTemplate(BytesIO(template))
    filled.render(fields(face), jinja_env=sandbox(), autoescape=True)
    rendered = BytesIO()
    filled.save(rendered)
    rendered.seek(0)
    document = Document(rendered)
    writer = _Writer(document, {**STYLES, **(styles or {})})
    if face.cover:
        writer.cover(face)
    if face.contents:
        writer.contents(elements)
    for element in elements:
        writer.draw(element)
    writer.finish()
    moment = cutoff.astimezone(UTC).replace(tzinfo=None)
    properties = document.core_properties
    properties.title, properties.author = f"{face.title} {face.period}", face.institution
    properties.last_modified_by, properties.revision = face.institution, 1
    properties.created = properties.modified = moment
    properties.comments = properties.keywords = ""
    raw = BytesIO()
    document.save(raw)
    return repack(raw.getvalue())


def repack(package: bytes) -> bytes:
    """The same parts with fixed times: a zip carries the clock otherwise."""
    source = zipfile.ZipFile(BytesIO(package))
    target = BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as out:
        names = source.namelist()
        # Readers expect the content types first.
        first = "[Content_Types].xml"
        for name in sorted(names, key=lambda one: (one != first, one)):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            out.writestr(entry, source.read(name))
    return target.getvalue()


class _Writer:
    """Draws the elements of `rules.layout`, one method each."""

    def __init__(self, document: WordDocument, styles: Mapping[str, str]) -> None:
        self.document = document
        self.styles = styles
        self.style_ids: dict[str, str] = {}
        self.mark = next((one for one in document.paragraphs if MARK in one.text), None)
        if self.mark is not None:
            self.mark.text = ""
        section = document.sections[0]
        width = (section.page_width or Mm(210)) - (section.left_margin or Mm(22))
        self.width = int(width - (section.right_margin or Mm(22)))
        self.bookmarks = 0

    # ── Placing ──

    def _place(self, element: Any) -> None:
        """Before the mark when the template has one, else where python-docx put it: at the end."""
        if self.mark is not None:
            self.mark._p.addprevious(element)

    def _new(self, style: str, text: str = "") -> Paragraph:
        made = self.document.add_paragraph(text)
        made._p.style = self._style_id(style)
        self._place(made._p)
        return made

    def _style_id(self, role: str) -> str:
        """Looked up once: python-docx would read through every style for every paragraph."""
        if role not in self.style_ids:
            self.style_ids[role] = self.document.styles[self.styles[role]].style_id
        return self.style_ids[role]

    def finish(self) -> None:
        if self.mark is not None:
            self.mark._p.getparent().remove(self.mark._p)

    # ── Cover and contents ──

    def cover(self, face: Face) -> None:
        for _ in range(6):
            self._new("text")
        title = self._new("title", face.title)
        title.alignment = WD_ALIGN_PARAGRAPH.CENTER
        subtitle = self._new("subtitle", face.subtitle)
        subtitle.alignment = WD_ALIGN_PARAGRAPH.CENTER
        for _ in range(8):
            self._new("text")
        table = self.document.add_table(rows=0, cols=2)
        self._place(table._tbl)
        table.alignment = WD_TABLE_ALIGNMENT.CENTER
        for name, value in face.facts:
            left, right = table.add_row().cells
            left.width, right.width = Mm(40), Mm(100)
            self._fill(left.paragraphs[0], name, "right", SOFT)
            self._fill(right.paragraphs[0], value, "left")
        self.page_break({})

    def contents(self, elements: list[dict[str, Any]]) -> None:
        """A field that Word refreshes; until then it shows the headings with links."""
        title = self._new("text")
        run = title.add_run("目录")
        run.font.size, run.font.color.rgb = Pt(16), ACCENT
        listed = table_of_contents(elements)
        for number, heading in enumerate(listed):
            line = self._new("text")
            line.paragraph_format.left_indent = Mm(8 * (heading["level"] - 1))
            line.paragraph_format.first_line_indent = Mm(0)
            if number == 0:
                self._field_start(line, 'TOC \\o "1-2" \\h \\z \\u')
            link = OxmlElement("w:hyperlink")
            link.set(qn("w:anchor"), f"kw{number}")
            link.append(self._run(f"{heading['number']}　{heading['text']}"))
            line._p.append(link)
            if number == len(listed) - 1:
                self._field_end(line)
        self.page_break({})

    def _field_start(self, paragraph: Paragraph, code: str) -> None:
        begin = OxmlElement("w:fldChar")
        begin.set(qn("w:fldCharType"), "begin")
        begin.set(qn("w:dirty"), "true")
        instruction = OxmlElement("w:instrText")
        instruction.set(qn("xml:space"), "preserve")
        instruction.text = code
        separate = OxmlElement("w:fldChar")
        separate.set(qn("w:fldCharType"), "separate")
        for part in (begin, instruction, separate):
            run = OxmlElement("w:r")
            run.append(part)
            paragraph._p.append(run)

    def _field_end(self, paragraph: Paragraph) -> None:
        end = OxmlElement("w:fldChar")
        end.set(qn("w:fldCharType"), "end")
        run = OxmlElement("w:r")
        run.append(end)
        paragraph._p.append(run)

    @staticmethod
    def _run(text: str) -> Any:
        run, words = OxmlElement("w:r"), OxmlElement("w:t")
        words.set(qn("xml:space"), "preserve")
        words.text = text
        run.append(words)
        return run

    # ── Elements ──

    def draw(self, element: dict[str, Any]) -> None:
        """One method per element of `rules.layout`; an unknown one fails loudly."""
        name = element["type"]
        getattr(self, "listing" if name == "list" else name)(element)

    def heading(self, element: dict[str, Any]) -> None:
        made = self._new(f"heading{element['level']}", f"{element['number']}　{element['text']}")
        if element["level"] <= 2:
            for tag in ("w:bookmarkStart", "w:bookmarkEnd"):
                mark = OxmlElement(tag)
                mark.set(qn("w:id"), str(self.bookmarks))
                if tag == "w:bookmarkStart":
                    mark.set(qn("w:name"), f"kw{self.bookmarks}")
                    made._p.insert(1, mark)
                else:
                    made._p.append(mark)
            self.bookmarks += 1

    def paragraph(self, element: dict[str, Any]) -> None:
        self._inlines(self._new("text"), element["parts"])

    def listing(self, element: dict[str, Any]) -> None:
        for number, item in enumerate(element["items"], start=1):
            if element["ordered"]:
                # Word would count on from list to list; the number is ours.
                made = self._new("text")
                made.paragraph_format.left_indent = Mm(8)
                made.paragraph_format.first_line_indent = Mm(0)
                made.add_run(f"{number}. ")
            else:
                made = self._new("bullet")
            self._inlines(made, item)

    def note(self, element: dict[str, Any]) -> None:
        made = self._new("text")
        run = made.add_run(element["text"])
        run.font.color.rgb = NOTE_COLOURS.get(element["kind"], SOFT)
        if element["kind"] == "author":
            made.alignment = WD_ALIGN_PARAGRAPH.RIGHT
            run.font.size = Pt(8.5)

    def chart(self, element: dict[str, Any]) -> None:
        svg = chart_svg(element["option"], height=element["height"])
        self._picture(svg_to_png(svg), element["title"])

    def image(self, element: dict[str, Any]) -> None:
        data = element["data"]
        if element["media_type"] == "image/svg+xml":
            data = svg_to_png(data.decode("utf-8"))
        self._picture(data, element["title"])

    def _picture(self, png: bytes, title: str) -> None:
        made = self._new("text")
        made.alignment = WD_ALIGN_PARAGRAPH.CENTER
        made.paragraph_format.first_line_indent = Mm(0)
        made.paragraph_format.keep_with_next = True
        shape = made.add_run().add_picture(BytesIO(png), width=Emu(self.width))
        shape._inline.docPr.set("descr", title)
        caption = self._new("caption", title)
        caption.alignment = WD_ALIGN_PARAGRAPH.CENTER

    def page_break(self, element: dict[str, Any]) -> None:
        self._new("text").add_run().add_break(WD_BREAK.PAGE)

    def signatures(self, element: dict[str, Any]) -> None:
        parties = element["parties"]
        self._new("text")
        table = self.document.add_table(rows=3, cols=len(parties))
        self._place(table._tbl)
        for column, party in enumerate(parties):
            self._fill(table.cell(0, column).paragraphs[0], f"{party}（签字/盖章）：", "left")
            self._fill(table.cell(1, column).paragraphs[0], "", "left")
            table.rows[1].height = Mm(18)
            self._fill(table.cell(2, column).paragraphs[0], "日期：　　　　年　　月　　日", "left")

    def table(self, element: dict[str, Any]) -> None:
        caption = self._new("caption", element["title"])
        caption.paragraph_format.keep_with_next = True
        head, lines, align = element["head"], element["lines"], element["align"]
        table = self.document.add_table(rows=len(head), cols=len(align))
        table.style = self.styles["table"]
        table.alignment = WD_TABLE_ALIGNMENT.CENTER
        table.autofit = False
        self._place(table._tbl)
        total = sum(element["weights"])
        size = 7 if total > 130 else 8 if total > 95 else 9
        widths = [int(self.width * one / total) for one in element["weights"]]
        self._columns(table, widths)
        for y, cells in enumerate(head):
            for one in cells:
                cell = table.cell(y, one["first"])
                last = table.cell(y + one["rows"] - 1, one["first"] + one["columns"] - 1)
                cell = cell.merge(last) if last is not cell else cell
                self._fill(cell.paragraphs[0], one["text"], "center", size=size)
                self._shade(cell._tc, "EEF2F8")
            self._repeat(table.rows[y]._tr)
        body = table._tbl
        for line in lines:
            body.append(self._line(line, align, widths, size))
        if element["note"]:
            note = self._new("caption", element["note"])
            note.paragraph_format.space_after = Pt(10)

    def _columns(self, table: Table, widths: list[int]) -> None:
        for column, width in zip(table.columns, widths, strict=True):
            column.width = Emu(width)

    @staticmethod
    def _repeat(row: Any) -> None:
        """A heading row stands again on every page the table reaches."""
        properties = row.get_or_add_trPr()
        repeat = OxmlElement("w:tblHeader")
        repeat.set(qn("w:val"), "true")
        properties.append(repeat)

    def _line(self, line: dict[str, Any], align: list[str], widths: list[int], size: float) -> Any:
        """One row as XML. Cell objects of python-docx look the whole grid through for every cell,
        which makes a table of a thousand rows take minutes."""
        row = OxmlElement("w:tr")
        properties = OxmlElement("w:trPr")
        properties.append(OxmlElement("w:cantSplit"))
        row.append(properties)
        for text, side, width in zip(line["cells"], align, widths, strict=True):
            cell, facts, wide = (OxmlElement(tag) for tag in ("w:tc", "w:tcPr", "w:tcW"))
            wide.set(qn("w:w"), str(width // 635))
            wide.set(qn("w:type"), "dxa")
            facts.append(wide)
            cell.append(facts)
            if line["kind"] != "row":
                self._shade(cell, "F6F8FB")
            paragraph, format_, justify = (OxmlElement(tag) for tag in ("w:p", "w:pPr", "w:jc"))
            justify.set(qn("w:val"), side)
            format_.append(justify)
            paragraph.append(format_)
            run = self._run(text)
            look, letters = OxmlElement("w:rPr"), OxmlElement("w:sz")
            letters.set(qn("w:val"), str(int(size * 2)))
            look.append(letters)
            run.insert(0, look)
            paragraph.append(run)
            cell.append(paragraph)
            row.append(cell)
        return row

    @staticmethod
    def _shade(cell: Any, colour: str) -> None:
        shade = OxmlElement("w:shd")
        shade.set(qn("w:val"), "clear")
        shade.set(qn("w:color"), "auto")
        shade.set(qn("w:fill"), colour)
        cell.get_or_add_tcPr().append(shade)

    @staticmethod
    def _inlines(paragraph: Paragraph, parts: list[dict[str, str]]) -> None:
        for part in parts:
            run = paragraph.add_run(part["text"])
            if part["role"] == "figure":
                run.font.color.rgb = ACCENT

    @staticmethod
    def _fill(
        paragraph: Paragraph,
        text: str,
        side: str,
        colour: RGBColor | None = None,
        size: float = 10.5,
    ) -> None:
        run = paragraph.add_run(text)
        run.font.size = Pt(size)
        if colour is not None:
            run.font.color.rgb = colour
        paragraph.alignment = ALIGN[side]
        paragraph.paragraph_format.first_line_indent = Mm(0)


# ── The template of the house ─────────────────────────────────────────────────────────────────


def default_template() -> bytes:
    """A plain, quiet A4 template with every style and field, for sites without one of their own.

    It is written by the same library that fills it, and offered for download as a start.
    """
    document = Document()
    section = document.sections[0]
    section.orientation = WD_ORIENT.PORTRAIT
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.left_margin = section.right_margin = Mm(22)
    section.top_margin, section.bottom_margin = Mm(26), Mm(22)
    section.different_first_page_header_footer = True
    sizes = {
        "Normal": (10.5, None),
        "Body Text": (10.5, None),
        "Title": (28, ACCENT),
        "Subtitle": (15, SOFT),
        "Heading 1": (16, ACCENT),
        "Heading 2": (13, ACCENT),
        "Heading 3": (11.5, ACCENT),
        "List Bullet": (10.5, None),
        "List Number": (10.5, None),
        "Caption": (9, SOFT),
    }
    for name, (size, colour) in sizes.items():
        style = document.styles[name]
        style.font.size, style.font.bold, style.font.italic = Pt(size), False, False
        style.font.name = "Times New Roman"
        fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
        for theme in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
            fonts.attrib.pop(qn(f"w:{theme}"), None)
        fonts.set(qn("w:eastAsia"), "宋体" if colour is None else "黑体")
        if colour is not None:
            style.font.color.rgb = colour
    text = document.styles["Body Text"].paragraph_format
    text.first_line_indent, text.line_spacing, text.space_after = Pt(21), 1.4, Pt(4)
    border = document.styles["Title"].element.find(qn("w:pPr"))
    if border is not None:
        for line in border.findall(qn("w:pBdr")):
            border.remove(line)
    header = section.header.paragraphs[0]
    header.text = "{{ 页眉 }}　　{{ 机构 }}"
    footer = section.footer.paragraphs[0]
    footer.text = "{{ 页脚 }}　　第 "
    _page_field(footer, "PAGE")
    footer.add_run(" 页 / 共 ")
    _page_field(footer, "NUMPAGES")
    footer.add_run(" 页")
    for paragraph in (header, footer):
        for run in paragraph.runs:
            run.font.size, run.font.color.rgb = Pt(8.5), SOFT
    document.add_paragraph(MARK, style="Body Text")
    document.core_properties.created = document.core_properties.modified = datetime(2026, 1, 1)  # noqa: DTZ001 -- the library wants naive UTC
    raw = BytesIO()
    document.save(raw)
    return repack(raw.getvalue())


def _page_field(paragraph: Paragraph, code: str) -> None:
    field = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), code)
    run, words = OxmlElement("w:r"), OxmlElement("w:t")
    words.text = "1"
    run.append(words)
    field.append(run)
    paragraph._p.append(field)
