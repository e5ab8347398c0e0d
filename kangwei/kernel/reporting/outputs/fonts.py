"""The Chinese font of documents (文档字体): configured, else the system's, else the shipped one.

The shipped font has the regular weight only; no layout of ours relies on bold.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import noto_cjk_sans_otc
import typst
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

#: Families that cover GB 18030 well enough for names and places, best first.
FAMILIES = (
    "Source Han Sans SC",
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "WenQuanYi Micro Hei",
    "SimHei",
    "SimSun",
)


@lru_cache(maxsize=1)
def fonts() -> tuple[typst.Fonts, str]:
    """Every font a document may use, and the family its text is set in."""
    configured = str(getattr(settings, "KW_DOCUMENT_FONT", "") or "")
    if configured:
        path = Path(configured)
        if not path.exists():
            raise ImproperlyConfigured(f"KW_DOCUMENT_FONT 指向的字体 {path} 不存在，请改正。")
        found = _at(path)
        family = next(
            (info.family for info in found.fonts() if Path(info.path or "").name == path.name),
            next(iter(_known(found)), ""),
        )
        if not family:
            raise ImproperlyConfigured(f"KW_DOCUMENT_FONT 指向的 {path} 不是可用的字体，请改正。")
        return found, family
    system = typst.Fonts(include_system_fonts=True, include_embedded_fonts=True)
    for family in _known(system):
        return system, family
    shipped = _at(Path(noto_cjk_sans_otc.__file__).parent)
    return shipped, next(iter(_known(shipped)))


def _at(path: Path) -> typst.Fonts:
    folder = path if path.is_dir() else path.parent
    return typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=True, font_paths=[str(folder)]
    )


def _known(found: typst.Fonts) -> list[str]:
    present = set(found.families())
    return [family for family in FAMILIES if family in present]
