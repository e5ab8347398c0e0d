"""Reads a list's cells: once for the page (HTML), once for a file (plain values)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from django.contrib.admin.utils import label_for_field, lookup_field
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.utils import timezone
from django.utils.formats import date_format, localize, time_format
from django.utils.html import conditional_escape, format_html, strip_tags
from django.utils.safestring import SafeString, mark_safe

EMPTY = mark_safe('<span class="kw-empty-value" aria-label="空">—</span>')

NO = mark_safe('<span class="kw-subtle">否</span>')

Plain = str | int | float | Decimal | datetime | date | bool | None


SHORT = 18

#: For whom this request draws. Admin objects are shared by all threads, so the onlooker travels
#: beside them; nobody set sees nothing of personal data.
_onlooker: ContextVar[Any] = ContextVar("kangwei_onlooker", default=None)


def shown_to(account: Any) -> None:
    """From here on in this request, cells are masked for this account."""
    _onlooker.set(account)


def masking_level(row: models.Model) -> int:
    """How much of this row's personal data whoever looks may see."""
    level = getattr(_onlooker.get(), "masking_level_for", None)
    return level(row) if level is not None else 0


@dataclass(frozen=True)
class Cell:
    name: str
    label: str
    html: SafeString | str
    numeric: bool = False
    #: A date, a code, a name: broken over two lines it would be harder to read than a wide column.
    short: bool = False


def badge(text: str, tone: str = "neutral") -> SafeString:
    """A status badge (状态标签); tones: neutral, info, good, warn, bad."""
    return format_html('<span class="kw-badge kw-badge-{}">{}</span>', tone, text)


def column_label(name: str, model: type[models.Model], admin: Any) -> str:
    label = label_for_field(name, model, admin)
    return strip_tags(str(label))


def read(
    name: str, row: models.Model, admin: Any
) -> tuple[models.Field[Any, Any] | None, Any, Any]:
    """The column's field (None for a computed one), its function, and the row's value."""
    try:
        field, attribute, value = lookup_field(name, row, admin)
    except ObjectDoesNotExist:
        return None, None, None
    if field is not None and field.is_relation and hasattr(field, "attname"):
        value = getattr(row, field.name)
    mask = getattr(admin, "masked", {}).get(name)
    if mask and value:
        value = mask(str(value), masking_level(row))
    return field, attribute, value


def html_of(name: str, row: models.Model, admin: Any) -> tuple[SafeString | str, bool]:
    """What the page shows, and whether it is a number that wants the right edge."""
    field, attribute, value = read(name, row, admin)
    if value is None or value == "":
        return EMPTY, False
    tones = getattr(admin, "badges", {}).get(name)
    if tones is not None:
        text = _choice(field, value)
        return badge(text, tones.get(value, "neutral")), False
    if (
        field is None
        and isinstance(label := getattr(attribute, "label", None), dict | bool)
        and label
    ):
        tone = label.get(value, "neutral") if isinstance(label, dict) else "neutral"
        return badge(str(value), TONES.get(tone, tone)), False
    if getattr(attribute, "boolean", False) or isinstance(value, bool):
        return (badge("是", "good") if value else NO), False
    text = _choice(field, value)
    if isinstance(value, int | float | Decimal) and not getattr(field, "choices", None):
        return localize(value), not (field is not None and field.primary_key)
    return conditional_escape(text), False


#: unfold's words for label colours, so that its `@display(label=…)` looks like ours.
TONES = {
    "success": "good",
    "danger": "bad",
    "warning": "warn",
    "primary": "info",
    "default": "neutral",
}


def plain_of(name: str, row: models.Model, admin: Any) -> Plain:
    """What a file holds: numbers stay numbers, moments are local time, everything else is text."""
    field, _attribute, value = read(name, row, admin)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "是" if value else "否"
    if getattr(field, "choices", None):
        return str(_choice(field, value))
    if isinstance(value, int | float | Decimal):
        return value
    if isinstance(value, datetime):
        return timezone.localtime(value).replace(tzinfo=None) if timezone.is_aware(value) else value
    if isinstance(value, date):
        return value
    return strip_tags(_choice(field, value))


def _choice(field: models.Field[Any, Any] | None, value: Any) -> Any:
    choices = getattr(field, "flatchoices", None)
    if choices:
        return str(dict(choices).get(value, value))
    if isinstance(value, datetime):
        return date_format(
            timezone.localtime(value) if timezone.is_aware(value) else value, "DATETIME_FORMAT"
        )
    if isinstance(value, date):
        return date_format(value, "DATE_FORMAT")
    if isinstance(value, time):
        return time_format(value, "TIME_FORMAT")
    if isinstance(value, list | tuple):
        return "、".join(str(item) for item in value)
    return value if isinstance(value, SafeString) else str(value)


def cells(
    names: Sequence[str], row: models.Model, admin: Any, labels: dict[str, str]
) -> Iterable[Cell]:
    for name in names:
        html, numeric = html_of(name, row, admin)
        yield Cell(name, labels[name], html, numeric, len(strip_tags(str(html))) <= SHORT)
