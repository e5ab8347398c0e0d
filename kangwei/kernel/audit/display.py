"""Puts stored changes into the words of the screens: verbose names, choices, names of rows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from kangwei.kernel.audit import registry
from kangwei.kernel.audit.models import Entry

HIDDEN_MARK = "***"
HIDDEN_TEXT = "（内容不记录）"
OPERATIONS = dict(Entry.Operation.choices)


@dataclass(frozen=True)
class FieldChange:
    """One field of one row: what it is called, what it was, what it became."""

    label: str
    old: str | None
    new: str | None


def object_title(object_type: str) -> str:
    model = registry.model_of(object_type)
    return str(model._meta.verbose_name) if model else object_type


def local_text(moment: datetime) -> str:
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S")


class Names:
    """Titles of the rows that foreign keys point to, read once per table and page."""

    def __init__(self, changes: Iterable[Entry]) -> None:
        wanted: dict[type[models.Model], set[Any]] = defaultdict(set)
        for change in changes:
            model = registry.model_of(change.object_type)
            for column, value in _columns(change):
                field = _field(model, column)
                if value is not None and isinstance(field, models.ForeignKey):
                    wanted[field.remote_field.model].add(value)
        self._titles = {
            model: {str(row.pk): str(row) for row in model._base_manager.filter(pk__in=keys)}
            for model, keys in wanted.items()
        }
        self._codes: dict[tuple[str, str], Mapping[str, str]] = {}

    def of_codes(self, object_type: str, column: str) -> Mapping[str, str] | None:
        """Titles of the codes this field lists; None for a field that lists none."""
        titles = registry.code_titles(object_type, column)
        if titles is None:
            return None
        if (object_type, column) not in self._codes:
            self._codes[object_type, column] = titles()
        return self._codes[object_type, column]

    def of(self, model: type[models.Model], key: Any) -> str:
        return self._titles.get(model, {}).get(str(key), f"#{key}")


def _columns(change: Entry) -> Iterable[tuple[str, Any]]:
    for side in (change.before, change.after):
        yield from (side or {}).items()


def _field(model: type[models.Model] | None, column: str) -> models.Field[Any, Any] | None:
    if model is None:
        return None
    for field in model._meta.concrete_fields:
        if field.column == column:
            return field
    try:
        return model._meta.get_field(column)  # type: ignore[return-value]
    except FieldDoesNotExist:
        return None


def _shown(field: models.Field[Any, Any] | None, value: Any, names: Names) -> str | None:
    if value is None or value == "":
        return None
    if value == HIDDEN_MARK:
        return HIDDEN_TEXT
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(field, models.ForeignKey):
        return names.of(field.remote_field.model, value)
    if field is not None and field.choices:
        return str(dict(field.flatchoices).get(value, value))
    if isinstance(field, models.DateTimeField) and isinstance(value, str):
        moment = parse_datetime(value)
        return local_text(moment) if moment and moment.tzinfo else value
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _listed(before: Any, after: Any, titles: Mapping[str, str]) -> tuple[str | None, str | None]:
    """What went from a list of codes and what came, in words; what stayed is not repeated."""
    was, became = list(before or []), list(after or [])
    gone = [titles.get(code, code) for code in was if code not in became]
    come = [titles.get(code, code) for code in became if code not in was]
    return "、".join(gone) or None, "、".join(come) or None


def field_changes(change: Entry, names: Names, *, prefix: str = "") -> list[FieldChange]:
    """The fields of one changed row, in the order of the model."""
    model = registry.model_of(change.object_type)
    before, after = change.before or {}, change.after or {}
    order = {f.column: n for n, f in enumerate(model._meta.concrete_fields)} if model else {}
    shown = []
    for column in sorted(before.keys() | after.keys(), key=lambda c: (order.get(c, 999), c)):
        field = _field(model, column)
        if field is not None and (field.primary_key or field.generated):
            continue
        label = str(field.verbose_name) if field is not None else column
        titles = names.of_codes(change.object_type, column)
        if titles is not None:
            old, new = _listed(before.get(column), after.get(column), titles)
            label += "（变动项）" if change.operation == Entry.Operation.UPDATE else ""
        else:
            old = _shown(field, before.get(column), names)
            new = _shown(field, after.get(column), names)
        if old is None and new is None:
            continue
        shown.append(FieldChange(f"{prefix}{label}", old, new))
    return shown
