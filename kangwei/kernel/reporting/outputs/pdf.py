"""A document as PDF, set by typst from the same flow of elements as Word and the preview."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import typst

from ..rules.layout import Face
from .fonts import fonts
from .pictures import as_svg, chart_svg

TEMPLATE = Path(__file__).parent / "data" / "document.typ"


def write_pdf(face: Face, elements: list[dict[str, Any]], *, cutoff: datetime) -> bytes:
    """The same elements give the same bytes: the file is dated by the cut-off, not by the clock."""
    known, family = fonts()
    document = {
        "face": asdict(face),
        "fonts": [family],
        "elements": [_prepared(element) for element in elements],
    }
    compiler = typst.Compiler(
        str(TEMPLATE),
        root=str(TEMPLATE.parent),
        font_paths=known,
        sys_inputs={"document": json.dumps(document, ensure_ascii=False)},
    )
    pdf = compiler.compile(format="pdf", timestamp=int(cutoff.timestamp()))
    assert isinstance(pdf, bytes)
    return pdf


def _prepared(element: dict[str, Any]) -> dict[str, Any]:
    if element["type"] == "chart":
        svg = chart_svg(element["option"], height=element["height"])
        return {"type": "chart", "title": element["title"], "svg": svg}
    if element["type"] == "image":
        svg = as_svg(element["media_type"], element["data"])
        return {"type": "image", "title": element["title"], "svg": svg}
    return element
