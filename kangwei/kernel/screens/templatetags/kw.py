"""Building blocks of our pages (组件): small, accessible, the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django import template
from django.core.paginator import Page
from django.http import QueryDict
from django.template import Context
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from kangwei.kernel.screens import tables

register = template.Library()
#: What Django shows where nothing is chosen yet.
DASHES = "---------"


@register.simple_tag
def icon(name: str) -> SafeString:
    """A picture beside words; the words say it, so screen readers pass it by."""
    return format_html(
        '<span class="material-symbols-outlined kw-icon" aria-hidden="true">{}</span>',
        name,
    )


@register.filter
def initial(account: Any) -> str:
    """The first character of a name, for the round mark of the account menu."""
    return (str(account) or "·")[0].upper()


LEVEL_ICONS = {"success": "check_circle", "warning": "warning", "error": "error", "info": "info"}


@register.inclusion_tag("kw/parts/notice.html")
def notice(level: str, text: Any) -> dict[str, Any]:
    """A message (消息条): success, info, warning or error."""
    kind = (level or "info").split()[-1]
    kind = kind if kind in LEVEL_ICONS else "info"
    return {"kind": kind, "icon": LEVEL_ICONS[kind], "text": text}


@register.simple_tag
def badge(text: Any, tone: str = "neutral") -> SafeString:
    """A status badge (状态标签); tones neutral, info, good, warn, bad."""
    return tables.badge(str(text), tone)


@register.inclusion_tag("kw/parts/empty_state.html")
def empty_state(
    title: str, hint: str = "", icon_name: str = "inbox", url: str = "", action: str = ""
) -> dict[str, Any]:
    """Nothing here (空状态): says what is missing and what to do next."""
    return {"title": title, "hint": hint, "icon_name": icon_name, "url": url, "action": action}


@register.inclusion_tag("kw/parts/figure.html")
def figure(
    label: str, value: Any, note: str = "", tone: str = "", url: str = "", unit: str = ""
) -> dict[str, Any]:
    """A figure tile (数字卡): one number, what it counts, and where it leads."""
    return {"label": label, "value": value, "note": note, "tone": tone, "url": url, "unit": unit}


@register.inclusion_tag("kw/parts/progress.html")
def progress(done: float, total: float, label: str = "进度", note: str = "") -> dict[str, Any]:
    """A progress bar (进度条) that says its share in words as well."""
    share = max(0, min(100, round(100 * float(done or 0) / float(total)))) if total else 0
    return {"share": share, "label": label, "note": note, "done": done, "total": total}


@register.inclusion_tag("kw/parts/tabs.html", takes_context=True)
def tabs(context: Context, entries: Sequence[Any], label: str = "分页") -> dict[str, Any]:
    """Tabs (页签) of addresses: [(title, url, lit)] or [(title, url, lit, count)]."""
    shown = [
        {
            "title": entry[0],
            "url": entry[1],
            "lit": entry[2],
            "count": entry[3] if len(entry) > 3 else None,
        }
        for entry in entries
    ]
    return {"entries": shown, "label": label}


@register.inclusion_tag("kw/parts/description.html")
def description(pairs: Sequence[tuple[Any, Any]], columns: int = 3) -> dict[str, Any]:
    """A description list (详情): [(name, value)]; an empty value is a dash."""
    return {"pairs": pairs, "columns": columns}


@register.inclusion_tag("kw/parts/timeline.html")
def timeline(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What happened, newest first (时间线): dicts of at, title, by, note, tone."""
    return {"entries": entries}


@register.inclusion_tag("kw/parts/field.html")
def field(bound: Any, hint: str = "", wide: bool = False) -> dict[str, Any]:
    """A form field with its label, hint and errors tied together for screen readers (表单项)."""
    widget = bound.field.widget
    kind = getattr(widget, "input_type", type(widget).__name__.lower())
    if getattr(bound.field, "empty_label", None) == DASHES:
        bound.field.empty_label = "请选择" if bound.field.required else "（不选）"
    return {
        "field": bound,
        "hint": hint or bound.help_text,
        "wide": wide,
        "is_check": kind == "checkbox" and not getattr(widget, "allow_multiple_selected", False),
        "is_group": getattr(widget, "use_fieldset", False),
    }


@register.inclusion_tag("kw/parts/form.html")
def form_fields(form: Any, columns: int = 2) -> dict[str, Any]:
    """Every visible field of a form in columns, with the errors of the whole form above."""
    return {"form": form, "columns": columns}


@register.inclusion_tag("kw/parts/pager.html", takes_context=True)
def pager(
    context: Context, shown: Page[Any], parameter: str = "page", target: str = ""
) -> dict[str, Any]:
    """Pages of a list (分页); keeps the other parameters of the address."""
    request = context.get("request")
    kept: QueryDict = request.GET.copy() if request else QueryDict(mutable=True)
    kept.pop(parameter, None)
    numbers = list(shown.paginator.get_elided_page_range(shown.number, on_each_side=2, on_ends=1))
    return {
        "shown": shown,
        "numbers": numbers,
        "parameter": parameter,
        "query": kept.urlencode(),
        "target": target,
        "ellipsis": shown.paginator.ELLIPSIS,
    }


@register.simple_tag(takes_context=True)
def query_with(context: Context, **changes: Any) -> str:
    """The address's parameters with some replaced: `?{% query_with sort="name" page=None %}`."""
    kept = context["request"].GET.copy()
    for name, value in changes.items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = str(value)
    return str(kept.urlencode())


@register.filter
def code_words(text: Any) -> SafeString:
    """Names between backticks set as code, the rest as it is (行内代码)."""
    pieces = re.split(r"`([^`\n]+)`", str(text))
    return format_html_join(
        "",
        "{}",
        ((format_html("<code>{}</code>", piece) if place % 2 else piece,)
         for place, piece in enumerate(pieces)),
    )  # fmt: skip


@register.filter
def percent(value: Any, digits: int = 1) -> str:
    """`0.985` as `98.5%`; nothing as a dash."""
    return "—" if value is None or value == "" else f"{100 * float(value):.{digits}f}%"


@register.simple_tag
def card_open(title: str = "", icon_name: str = "", url: str = "") -> SafeString:
    """Opens a card (卡片); close it with {% card_close %}."""
    head: SafeString | str = ""
    if title:
        text = format_html('<a href="{}">{}</a>', url, title) if url else title
        picture = icon(icon_name) if icon_name else ""
        head = format_html('<h2 class="kw-card-title">{}{}</h2>', picture, text)
    return format_html('<section class="kw-card">{}<div class="kw-card-body">', head)


@register.simple_tag
def card_close() -> SafeString:
    return SafeString("</div></section>")


@register.simple_tag
def dialog_open(key: str, title: str) -> SafeString:
    """Opens a dialog (对话框); a button with `data-dialog="key"` shows it."""
    return format_html(
        '<dialog id="{0}" class="kw-dialog" aria-labelledby="{0}-title">'
        '<h2 id="{0}-title">{1}</h2>',
        key,
        title,
    )


@register.simple_tag
def dialog_close() -> SafeString:
    return SafeString("</dialog>")
