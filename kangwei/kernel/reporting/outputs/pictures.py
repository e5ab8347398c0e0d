"""Pictures (图片): one ECharts option drawn without a browser, as SVG for PDF and PNG for Word.

ECharts runs in one engine per process. Labels are measured by the engine's own table, so the same
option gives the same bytes on every machine.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import typst
from docx.image.image import Image
from py_mini_racer import MiniRacer

from .fonts import fonts

LIBRARY = Path(__file__).parent.parent / "static" / "reporting" / "vendor" / "echarts.min.js"
WIDTH, HEIGHT = 720, 320
_DRAW = """
function kwDraw(option, width, height) {
  const chart = echarts.init(null, null, {renderer: 'svg', ssr: true, width, height});
  try { chart.setOption(JSON.parse(option)); return chart.renderToSVGString(); }
  finally { chart.dispose(); }
}
"""
_ID = re.compile(r"\bzr\d+-[a-z]+-?\d+")
_STYLE = re.compile(r"<style\b.*?</style>", re.DOTALL)
_lock = threading.Lock()


@lru_cache(maxsize=1)
def _engine() -> MiniRacer:
    engine = MiniRacer()
    # ECharts asks for timers when animations run; ours never do.
    engine.eval("var window = globalThis, self = globalThis; function setTimeout() {}")
    engine.eval(LIBRARY.read_text(encoding="utf-8"))
    engine.eval(_DRAW)
    return engine


def chart_svg(option: dict[str, Any], *, width: int = WIDTH, height: int = HEIGHT) -> str:
    """Draw an option as SVG."""
    _, family = fonts()
    still = {
        **option,
        "animation": False,
        "textStyle": {"fontFamily": family, **option.get("textStyle", {})},
    }
    return _drawn(json.dumps(still, ensure_ascii=False, sort_keys=True), width, height)


@lru_cache(maxsize=64)
def _drawn(option: str, width: int, height: int) -> str:
    """Kept for the second file: Word and PDF of one document draw the same charts."""
    with _lock:
        drawn = _engine().call("kwDraw", option, width, height)
    # Its style sheet only says what happens under a mouse; pages forbid inline styles.
    return _renumber(_STYLE.sub("", str(drawn)))


def _renumber(svg: str) -> str:
    """Ids count up for as long as the engine lives; begin at 0 in every picture."""
    seen: dict[str, str] = {}
    return _ID.sub(lambda match: seen.setdefault(match[0], f"kw{len(seen)}"), svg)


def as_svg(media_type: str, data: bytes) -> str:
    """A picture of any allowed kind as SVG, so that PDF needs to know one kind only."""
    if media_type == "image/svg+xml":
        return data.decode("utf-8")
    width, height = _size(data)
    encoded = base64.b64encode(data).decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
        f'<image width="{width}" height="{height}" '
        f'href="data:{media_type};base64,{encoded}"/></svg>'
    )


def _size(data: bytes) -> tuple[int, int]:
    picture = Image.from_blob(data)
    return picture.px_width, picture.px_height


def svg_to_png(svg: str, *, ppi: int = 160) -> bytes:
    """Word cannot be relied on to draw SVG; typst turns it into a sharp PNG."""
    known, _ = fonts()
    page = (
        "#set page(width: auto, height: auto, margin: 0pt, fill: white)\n"
        '#image(bytes(sys.inputs.picture), format: "svg")'
    )
    compiler = typst.Compiler(page.encode(), font_paths=known, sys_inputs={"picture": svg})
    png = compiler.compile(format="png", ppi=ppi)
    assert isinstance(png, bytes)
    return png
