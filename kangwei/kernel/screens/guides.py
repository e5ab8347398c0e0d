"""The guide (使用手册): `docs/guides/*.md` as pages, with a search over all chapters.

Markdown is read as text of ours, yet rendered without raw HTML: a chapter that was edited at a
site cannot carry a script into the office.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass(frozen=True)
class Section:
    title: str
    anchor: str
    text: str


@dataclass(frozen=True)
class Chapter:
    """One file: its name is its address, its first heading its title."""

    name: str
    title: str
    body: SafeString
    sections: tuple[Section, ...]

    @property
    def url(self) -> str:
        return reverse("help", args=[self.name])


@dataclass(frozen=True)
class Found:
    title: str
    url: str
    excerpt: str


def folder() -> Path:
    return Path(settings.BASE_DIR) / "docs" / "guides"


def chapters() -> list[Chapter]:
    """All chapters in reading order: the order of README.md's links, then by name."""
    files = {path.stem: path for path in folder().glob("*.md") if path.stem != "README"}
    first = [name for name in _reading_order() if name in files]
    names = [*first, *sorted(set(files) - set(first))]
    return [_read(files[name], files[name].stat().st_mtime_ns) for name in names]


def chapter(name: str) -> Chapter | None:
    return next((chapter for chapter in chapters() if chapter.name == name), None)


def _reading_order() -> list[str]:
    try:
        text = (folder() / "README.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return re.findall(r"\]\(([^)#]+)\.md(?:#[^)]*)?\)", text)


@lru_cache(maxsize=64)
def _read(path: Path, changed: int) -> Chapter:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(
        ["table", "strikethrough"]
    )
    tokens = parser.parse(path.read_text(encoding="utf-8"))
    title, sections = path.stem, list[Section]()
    anchors: set[str] = set()
    for position, token in enumerate(tokens):
        for child in token.children or []:
            if child.type == "link_open":
                child.attrs["href"] = _link(str(child.attrs.get("href", "")))
        if token.type != "heading_open":
            continue
        words = tokens[position + 1].content
        if token.tag == "h1":
            title = words
            continue
        anchor = _anchor(words, anchors)
        token.attrs["id"] = anchor
        if token.tag == "h2":
            sections.append(Section(words, anchor, _text_after(tokens, position)))
    if not sections or sections[0].text == "":
        sections = sections or [Section(title, "", _text_after(tokens, -1))]
    body = parser.renderer.render(tokens, parser.options, {})
    return Chapter(path.stem, title, mark_safe(body), tuple(sections))  # noqa: S308  # no raw HTML


def _anchor(words: str, taken: set[str]) -> str:
    plain = re.sub(r"[^\w\u4e00-\u9fff-]+", "-", words).strip("-").lower() or "section"
    anchor, number = plain, 1
    while anchor in taken:
        number += 1
        anchor = f"{plain}-{number}"
    taken.add(anchor)
    return anchor


def _link(href: str) -> str:
    """A link to another chapter's file leads to its page."""
    match = re.match(r"^(?:\./)?([^/:#]+)\.md(#.*)?$", unquote(href))
    if not match:
        return href
    return reverse("help", args=[match.group(1)]) + (match.group(2) or "")


def _text_after(tokens: Sequence[Token], position: int) -> str:
    texts: list[str] = []
    for token in tokens[position + 1 :]:
        if texts and token.type == "heading_open" and token.tag in {"h1", "h2"}:
            break
        if token.type in {"inline", "fence", "code_block"}:
            texts.append(token.content)
    return re.sub(r"[*`|\[\]]", "", " ".join(texts))


def search(term: str) -> list[Found]:
    """Sections that contain every word; a hit in a title comes first."""
    words = [word.lower() for word in term.split()]
    if not words:
        return []
    ranked: list[tuple[int, Found]] = []
    for chapter in chapters():
        for section in chapter.sections:
            whole = f"{chapter.title} {section.title} {section.text}".lower()
            if not all(word in whole for word in words):
                continue
            in_title = any(word in f"{chapter.title} {section.title}".lower() for word in words)
            url = chapter.url + (f"#{section.anchor}" if section.anchor else "")
            title = f"{chapter.title} · {section.title}"
            ranked.append(
                (0 if in_title else 1, Found(title, url, _excerpt(section.text, words[0])))
            )
    ranked.sort(key=lambda pair: pair[0])
    return [found for _, found in ranked]


def _excerpt(text: str, word: str, around: int = 28) -> str:
    at = text.lower().find(word)
    start = max(0, at - around)
    cut = text[start : max(at, 0) + len(word) + around].strip()
    return ("…" if start else "") + html.unescape(cut) + "…"


@lru_cache(maxsize=2048)
def initials(text: str) -> str:
    """拼音首字母, so that `jggl` finds 机构管理."""
    # Read when first needed: its dictionary takes 57 MB.
    from pypinyin import Style, lazy_pinyin

    return "".join(lazy_pinyin(text, style=Style.FIRST_LETTER)).lower()
