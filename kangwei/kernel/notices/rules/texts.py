"""Texts of messages: filling placeholders, cutting by bytes, plain text and HTML from Markdown.

A placeholder is `{{ name }}` or `{{ name.part }}`. Nothing else is understood: templates are
edited by users, so they must not be able to compute, call or reach into objects.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\s*\}\}")
#: Shown where a value is missing, so that a hole in the text is seen and not guessed.
MISSING = "—"


def placeholders(template: str) -> set[str]:
    """Names the template asks for, first part only: `{{ system.name }}` asks for `system`."""
    return {name.split(".")[0] for name in PLACEHOLDER.findall(template)}


def fill(
    template: str, values: Mapping[str, object], escape: Callable[[str], str] = lambda text: text
) -> str:
    return PLACEHOLDER.sub(lambda found: escape(_value(values, found.group(1))), template)


def _value(values: Mapping[str, object], path: str) -> str:
    value: object = values
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return MISSING if value is None or value == "" else str(value)


def for_json(text: str) -> str:
    """Escapes for use between the quotes of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def for_url(text: str) -> str:
    return quote(text, safe="")


def cut_bytes(text: str, limit: int, ending: str = "…") -> str:
    """At most `limit` bytes of UTF-8, never half a character; a cut text ends visibly.

    Robots count bytes: a Chinese character is three.
    """
    raw = text.encode()
    if len(raw) <= limit:
        return text
    room = max(0, limit - len(ending.encode()))
    return raw[:room].decode(errors="ignore") + ending


def plain(markdown: str) -> str:
    """The same words without marks, for SMS, mail's text part and WeCom's text type."""
    text = re.sub(r"\[([^\]]*)\]\(([^)\s]+)\)", r"\1 \2", markdown)
    text = re.sub(r"^\s*#{1,6}\s*", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\s*>\s?", "", text, flags=re.MULTILINE)
    text = re.sub(r"\*\*([^*]+)\*\*", r"\1", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def as_html(markdown: str) -> str:
    """The few marks our templates use (heading, list, bold, link, quotation) as safe HTML."""
    lines: list[str] = []
    in_list = False
    for line in markdown.splitlines():
        marked = re.match(r"^\s*(#{1,6}|[-*]|>)\s+(.*)$", line)
        mark, rest = marked.groups() if marked else ("", line)
        item = mark in ("-", "*")
        if in_list and not item:
            lines.append("</ul>")
        if item and not in_list:
            lines.append("<ul>")
        in_list = item
        body = _inline(rest)
        if mark.startswith("#"):
            lines.append(f"<h3>{body}</h3>")
        elif item:
            lines.append(f"<li>{body}</li>")
        elif mark == ">":
            lines.append(f"<blockquote>{body}</blockquote>")
        elif rest.strip():
            lines.append(f"<p>{body}</p>")
    if in_list:
        lines.append("</ul>")
    return "\n".join(lines)


def _inline(text: str) -> str:
    safe = html.escape(text)
    safe = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe)
    return re.sub(r"\[([^\]]*)\]\((https?://[^)\s]+)\)", r'<a href="\2">\1</a>', safe)


def digest(items: list[tuple[str, str, str]], limit: int) -> tuple[str, str]:
    """Title and Markdown of one message that stands for many: (priority title, time, title) each.

    Items come highest first. What does not fit is counted, never silently dropped.
    """
    counts: dict[str, int] = {}
    for priority, _, _ in items:
        counts[priority] = counts.get(priority, 0) + 1
    title = f"合并通知 {len(items)} 条"
    head = f"### {title}\n\n" + "，".join(f"{name} {count} 条" for name, count in counts.items())
    lines: list[str] = []
    for priority, moment, text in items:
        line = f"- **{priority}** {moment} {cut_bytes(text, 240)}"
        left = len(items) - len(lines) - 1
        tail = f"\n\n其余 {left} 条请在“通知送达”页面查看。" if left else ""
        if len("\n".join([head, "", *lines, line, tail]).encode()) > limit:
            break
        lines.append(line)
    left = len(items) - len(lines)
    tail = f"\n\n其余 {left} 条请在“通知送达”页面查看。" if left else ""
    return title, head + "\n\n" + "\n".join(lines) + tail
