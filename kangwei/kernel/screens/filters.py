"""Controls of the query bar (查询条件): a plain form above the list, one control per condition.

An app writes Django's `list_filter = ("status", "institution", "created_at", "name")`; the kind
of control follows from the field: text, choice, yes/no, date range, or a scoped choice of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib.admin.filters import FieldListFilter
from django.contrib.admin.options import IncorrectLookupParameters, ModelAdmin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from kangwei.kernel.screens.scoping import scope_of

#: A choice of more related rows than this becomes a search-as-you-type control.
MANY = 200


class Condition(FieldListFilter):
    """One condition of the query bar; `control` names its template part."""

    control = "text"
    parameter = ""

    def __init__(
        self,
        field: models.Field[Any, Any],
        request: HttpRequest,
        params: dict[str, list[str]],
        model: type[models.Model],
        model_admin: ModelAdmin[Any],
        field_path: str,
    ) -> None:
        self.field_path = field_path
        self.request = request
        self.names = self.parameters(field, field_path)
        super().__init__(field, request, params, model, model_admin, field_path)
        self.title = str(getattr(field, "verbose_name", field_path))

    def parameters(self, field: models.Field[Any, Any], path: str) -> list[str]:
        return [path]

    def expected_parameters(self) -> list[str | None]:
        return list(self.names)

    def has_output(self) -> bool:
        return True

    def choices(self, changelist: Any) -> Iterator[Any]:
        return iter(())

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def value(self) -> str:
        return self.given(self.names[0])

    def given(self, name: str) -> str:
        found = self.used_parameters.get(name, "")
        return str(found[-1] if isinstance(found, list) and found else found or "").strip()

    @property
    def active(self) -> bool:
        return any(self.given(name) for name in self.names)


class TextCondition(Condition):
    """The text occurs somewhere in the column."""

    def parameters(self, field: models.Field[Any, Any], path: str) -> list[str]:
        return [f"{path}__icontains"]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.name: self.value}) if self.value else queryset


class ChoiceCondition(Condition):
    """One of the column's named values."""

    control = "choice"

    def parameters(self, field: models.Field[Any, Any], path: str) -> list[str]:
        return [f"{path}__exact"]

    @property
    def options(self) -> list[tuple[str, str, bool]]:
        flat = getattr(self.field, "flatchoices", [])
        return [
            (str(key), str(label), str(key) == self.value)
            for key, label in flat
            if key not in (None, "")
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value:
            return queryset
        try:
            return queryset.filter(**{self.field_path: self.value})
        except (ValueError, ValidationError) as error:
            raise IncorrectLookupParameters(error) from error


class YesNoCondition(ChoiceCondition):
    @property
    def options(self) -> list[tuple[str, str, bool]]:
        return [("1", "是", self.value == "1"), ("0", "否", self.value == "0")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value not in {"1", "0"}:
            return queryset
        return queryset.filter(**{self.field_path: self.value == "1"})


class DateRangeCondition(Condition):
    """From a day to a day, both included, by the clock of Asia/Shanghai."""

    control = "dates"

    def parameters(self, field: models.Field[Any, Any], path: str) -> list[str]:
        return [f"{path}__from", f"{path}__to"]

    @property
    def from_name(self) -> str:
        return self.names[0]

    @property
    def to_name(self) -> str:
        return self.names[1]

    @property
    def start(self) -> str:
        return self.given(self.from_name)

    @property
    def end(self) -> str:
        return self.given(self.to_name)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        start, end = _day(self.start), _day(self.end)
        path = self.field_path
        if start:
            queryset = queryset.filter(**{f"{path}__gte": self._edge(start)})
        if end:
            queryset = queryset.filter(**{f"{path}__lt": self._edge(end + timedelta(days=1))})
        return queryset

    def _edge(self, day: date) -> date | datetime:
        if isinstance(self.field, models.DateTimeField):
            return datetime.combine(day, time(), timezone.get_current_timezone())
        return day


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise IncorrectLookupParameters(f"{text} 不是日期") from error


class RelatedCondition(ChoiceCondition):
    """One row of a related table, chosen among those the account may see."""

    def parameters(self, field: models.Field[Any, Any], path: str) -> list[str]:
        return [f"{path}__id__exact"]

    @property
    def _related(self) -> type[models.Model]:
        related = self.field.related_model
        assert related is not None
        return related

    def _rows(self) -> QuerySet[Any]:
        rows = scope_of(self._related, self.request)
        return self._related._default_manager.all() if rows is None else rows

    @property
    def options(self) -> list[tuple[str, str, bool]]:
        rows = list(self._rows()[: MANY + 1])
        if len(rows) > MANY:
            rows = list(self._rows().filter(pk=self.value)) if self.value.isdigit() else []
            self.control = "search"
        return [(str(row.pk), str(row), str(row.pk) == self.value) for row in rows]

    @property
    def search_url(self) -> str:
        return reverse("admin:autocomplete")

    @property
    def search_of(self) -> str:
        model = self.field.model._meta
        names = {
            "app_label": model.app_label,
            "model_name": str(model.model_name),
            "field_name": self.field.name,
        }
        return urlencode(names)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value:
            return queryset
        try:
            wanted = self._rows().filter(pk=self.value)
            return queryset.filter(**{f"{self.field_path}__in": wanted})
        except (ValueError, ValidationError) as error:
            raise IncorrectLookupParameters(error) from error


def condition_for(field: models.Field[Any, Any]) -> type[Condition]:
    """The control that suits a column."""
    if field.is_relation:
        return RelatedCondition
    if getattr(field, "choices", None):
        return ChoiceCondition
    if isinstance(field, models.BooleanField):
        return YesNoCondition
    if isinstance(field, models.DateField):
        return DateRangeCondition
    if isinstance(field, models.CharField | models.TextField):
        return TextCondition
    return ChoiceCondition
