"""Pinyin initials (拼音码): what people type to find a name, and what sorts Chinese names."""

from __future__ import annotations


def pinyin_code(name: str, length: int = 40) -> str:
    """First letters of each character, other letters and digits kept: 西安市疾控中心 → xasjkzx."""
    # Read when first needed: its dictionary takes 57 MB, which a process that names nobody saves.
    from pypinyin import Style, lazy_pinyin

    parts = lazy_pinyin(name, style=Style.FIRST_LETTER)
    return "".join(char for char in "".join(parts).lower() if char.isalnum())[:length]
