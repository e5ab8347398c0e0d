"""`KwModelAdmin`: list and form screens of reference data and of ledgers (列表与表单界面).

Every list starts from `visible_to(user)`; so do its related choices, its autocomplete, its
"select all" actions and its export. A model without scope says why in `unscoped_because`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import SEARCH_VAR
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin as UnfoldModelAdmin
from unfold.admin import StackedInline as UnfoldStackedInline
from unfold.admin import TabularInline as UnfoldTabularInline
from unfold.views import ChangeList

from kangwei.kernel import clock
from kangwei.kernel.audit import queries as audit_queries
from kangwei.kernel.audit import services as audit
from kangwei.kernel.refusals import Refusal
from kangwei.kernel.screens import export, locking, tables
from kangwei.kernel.screens.filters import Condition, condition_for
from kangwei.kernel.screens.models import Preference
from kangwei.kernel.screens.pages import answer_refusal, page
from kangwei.kernel.screens.scoping import scope_of, scoped

admin_site = admin.site

PAGE_SIZES = (20, 50, 100)
SIZE_VAR = "size"
SIZE_KEY = "page_size"


class KwChangeList(ChangeList):  # type: ignore[misc]  # unfold carries no types
    """A list whose page size is remembered and whose query bar has its own parameters."""

    query_bar: list[Condition]

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.page_size = page_size(request)
        super().__init__(request, *args, **kwargs)

    def get_filters_params(self, params: Any = None) -> Any:
        kept = super().get_filters_params(params)
        kept.pop(SIZE_VAR, None)
        return kept

    def get_results(self, request: HttpRequest) -> None:
        self.list_per_page = self.page_size
        super().get_results(request)

    @property
    def conditions(self) -> list[Any]:
        return [spec for spec in self.filter_specs if isinstance(spec, Condition)]

    @property
    def is_narrowed(self) -> bool:
        return bool(self.query) or any(condition.active for condition in self.conditions)

    @property
    def other_parameters(self) -> list[tuple[str, list[str]]]:
        """Parameters the query bar has no control for (sorting, popup), kept as they are."""
        own = {name for condition in self.conditions for name in condition.names}
        return [
            (name, values)
            for name, values in self.kept_parameters
            if name not in own and name != SEARCH_VAR
        ]

    @property
    def kept_parameters(self) -> list[tuple[str, list[str]]]:
        query = QueryDict(self.get_query_string(remove=["p", SIZE_VAR, "e"]).removeprefix("?"))
        return list(query.lists())

    @property
    def page_sizes(self) -> list[tuple[int, bool]]:
        return [(size, size == self.page_size) for size in PAGE_SIZES]

    @property
    def query_string(self) -> str:
        """The conditions as they stand, for the export links."""
        return str(self.get_query_string(remove=["p", SIZE_VAR, "e"])).removeprefix("?")


def page_size(request: HttpRequest) -> int:
    """The size asked for now (and kept), else the one this account used last."""
    asked = request.GET.get(SIZE_VAR, "")
    if asked.isdigit() and int(asked) in PAGE_SIZES:
        if Preference.objects.read(request.user, SIZE_KEY) != int(asked):
            Preference.objects.write(request.user, SIZE_KEY, int(asked))
        return int(asked)
    kept = Preference.objects.read(request.user, SIZE_KEY, PAGE_SIZES[0])
    return kept if kept in PAGE_SIZES else PAGE_SIZES[0]


class ScopedChoices:
    """Related choices, too, end where the account's data scope ends."""

    def get_field_queryset(self, db: str | None, db_field: Any, request: HttpRequest) -> Any:
        chosen = super().get_field_queryset(db, db_field, request)  # type: ignore[misc]
        visible = scope_of(db_field.remote_field.model, request)
        if visible is None:
            return chosen
        if chosen is None:
            return visible
        return chosen.filter(pk__in=visible.values("pk"))


class KwModelAdmin(ScopedChoices, UnfoldModelAdmin):  # type: ignore[misc]
    """One model's screens: query bar, columns, page size, export, history, locked edit form."""

    #: Why this model needs no data scope; required where its manager has no `visible_to`.
    unscoped_because: ClassVar[str] = ""
    #: What an empty list says, and what to do next.
    empty_hint: ClassVar[str] = ""
    #: column -> mask(text, level): shown and exported masked, never edited here.
    masked: ClassVar[Mapping[str, Callable[[str, int], str]]] = {}
    #: column -> {value: tone}: drawn as a badge; tones neutral, info, good, warn, bad.
    badges: ClassVar[Mapping[str, Mapping[Any, str]]] = {}
    #: May this list be written to a file?
    exportable: ClassVar[bool] = True

    show_full_result_count = False
    list_per_page = PAGE_SIZES[0]
    list_max_show_all = 0
    list_fullwidth = True
    list_filter_sheet = False
    list_filter_submit = True
    warn_unsaved_form = True
    compressed_fields = True
    show_facets = admin.ShowFacets.NEVER
    change_list_template = "admin/change_list.html"

    def __init__(self, model: type[models.Model], site: Any) -> None:
        super().__init__(model, site)
        self._add_masked_twins()
        name, title = f"{self.opts.app_label}.{self.opts.model_name}", self.opts.verbose_name
        audit.register_acts(
            {
                f"{name}.entered": f"新增{title}",
                f"{name}.edited": f"修改{title}",
                f"{name}.removed": f"删除{title}",
            }
        )

    # -- rows ---------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = scoped(self.model, request, unscoped_because=self.unscoped_because)
        ordering = self.get_ordering(request)
        return rows.order_by(*ordering) if ordering else rows

    def get_list_select_related(self, request: HttpRequest) -> Any:
        if self.list_select_related:
            return self.list_select_related
        return [name for name in self.list_display if self._is_foreign_key(name)]

    def _is_foreign_key(self, name: Any) -> bool:
        try:
            field = self.model._meta.get_field(name) if isinstance(name, str) else None
        except FieldDoesNotExist:
            return False
        return isinstance(field, models.ForeignKey)

    # -- the list -----------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KwChangeList]:
        return KwChangeList

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """Plain field names become the fitting control of the query bar."""
        chosen: list[Any] = []
        for entry in super().get_list_filter(request):
            if isinstance(entry, str):
                field = _field_at(self.model, entry)
                chosen.append((entry, condition_for(field)) if field is not None else entry)
            else:
                chosen.append(entry)
        return chosen

    def columns_key(self) -> str:
        return f"columns:{self.opts.label_lower}"

    def hidden_columns(self, request: HttpRequest) -> set[str]:
        return set(Preference.objects.read(request.user, self.columns_key(), []))

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        declared = list(super().get_list_display(request))
        hidden = self.hidden_columns(request)
        return [name for i, name in enumerate(declared) if i == 0 or name not in hidden]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.GET.get("e"):
            messages.error(request, "查询条件有误，已显示全部记录；请检查日期或编号后重新查询。")
        tables.shown_to(request.user)
        declared = [str(name) for name in super().get_list_display(request)]
        hidden = self.hidden_columns(request)
        extra = {
            "title": str(self.opts.verbose_name_plural),
            "kw_columns": [
                (name, tables.column_label(name, self.model, self), name not in hidden, i == 0)
                for i, name in enumerate(declared)
            ],
            "kw_columns_url": reverse(f"admin:{self._base_name}_columns"),
            "kw_export_url": reverse(f"admin:{self._base_name}_export") if self.exportable else "",
            "kw_empty_title": f"还没有{self.opts.verbose_name}",
            "kw_empty_hint": self.empty_hint or "您的数据范围内还没有记录。",
            "kw_add_url": self._add_url(request),
            "kw_add_text": f"新增{self.opts.verbose_name}",
            "kw_search_placeholder": self.search_help_text or self._search_words(),
            "kw_search_var": SEARCH_VAR,
            **(extra_context or {}),
        }
        try:
            listed: HttpResponse = super().changelist_view(request, extra)
        except Refusal as refusal:  # an action of this list may not happen
            return answer_refusal(request, refusal)
        return listed

    def _add_url(self, request: HttpRequest) -> str:
        if not (self.show_add_link and self.has_add_permission(request)):
            return ""
        return reverse(f"admin:{self._base_name}_add")

    def _search_words(self) -> str:
        words = []
        for name in self.search_fields:
            field = _field_at(self.model, name.lstrip("^=@").removesuffix("__iexact"))
            if field is not None and str(field.verbose_name) not in words:
                words.append(str(field.verbose_name))
        return "、".join(words[:4])

    @property
    def _base_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("export/", wrap(self.export_view), name=f"{self._base_name}_export"),
            path("columns/", wrap(self.columns_view), name=f"{self._base_name}_columns"),
            *super().get_urls(),
        ]

    def columns_view(self, request: HttpRequest) -> HttpResponse:
        """Remember which columns this account wants to see in this list."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        back = reverse(f"admin:{self._base_name}_changelist")
        if request.method == "POST":
            declared = {str(name) for name in super().get_list_display(request)}
            hidden = sorted(declared - set(request.POST.getlist("column")))
            Preference.objects.write(request.user, self.columns_key(), hidden)
            query = request.POST.get("query", "")
            return HttpResponseRedirect(f"{back}?{query}" if query else back)
        return HttpResponseRedirect(back)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """The rows of the list as it stands, as CSV or XLSX; the journal keeps who took them."""
        if not (self.exportable and self.has_view_or_change_permission(request)):
            raise PermissionDenied
        tables.shown_to(request.user)
        query = request.GET.copy()
        kind = str(query.pop("format", ["xlsx"])[-1])
        request.GET = query  # type: ignore[assignment]  # the list reads the rest as conditions
        try:
            changelist = self.get_changelist_instance(request)
            rows = changelist.get_queryset(request)
            return export.answer(
                request, admin=self, rows=rows, columns=self.get_list_display(request), kind=kind
            )
        except Refusal as refusal:
            return answer_refusal(request, refusal)

    # -- the form -----------------------------------------------------------------------------

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[Any]]:
        form = super().get_form(request, obj, change, **kwargs)
        return locking.guarded(form) if change else form

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [
            *super().get_readonly_fields(request, obj),
            *(f"masked_{name}" for name in self.masked),
        ]

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*(super().get_exclude(request, obj) or []), *self.masked]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        twins = {name: f"masked_{name}" for name in self.masked}
        return [
            (title, {**options, "fields": _renamed(options["fields"], twins)})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def _add_masked_twins(self) -> None:
        """`masked_phone` is the read-only twin of the encrypted column `phone`."""
        for column, mask in self.masked.items():

            def shown(row: Any, column: str = column, mask: Any = mask) -> str:
                value = getattr(row, column, "")
                return str(mask(str(value), tables.masking_level(row))) if value else ""

            shown.short_description = self.model._meta.get_field(column).verbose_name  # type: ignore[attr-defined]
            setattr(self, f"masked_{column}", shown)

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = kwargs.get("obj") or context.get("original")
        context["title"] = str(row) if row is not None else f"新增{self.opts.verbose_name}"
        context["subtitle"] = None
        if row is not None and row.pk:
            context["kw_version"] = locking.version(row)
            context["kw_history_url"] = reverse(f"admin:{self._base_name}_history", args=[row.pk])
        drawn: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return drawn

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        tables.shown_to(request.user)
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except Refusal as refusal:
            return answer_refusal(request, refusal)

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> HttpResponse:
        # Another organisation's row and no row at all look the same from outside: 404.
        return page(
            request,
            "kw/error.html",
            {
                "error_status": 404,
                "error_text": f"没有找到这条{opts.verbose_name}：可能已删除，或不在数据范围内。",
            },
            title="对象不存在",
            status=404,
        )

    # -- the journal --------------------------------------------------------------------------

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        self._journal(request, obj, "entered")

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        self._journal(request, obj, "edited")

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        for row in queryset:
            self._journal(request, row, "removed")

    def _journal(self, request: HttpRequest, row: Any, what: str) -> None:
        audit.record(
            act=f"{self.opts.app_label}.{self.opts.model_name}.{what}",
            subject=row,
            by=request.user,
            at=clock.now(),
        )

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What happened to this row, told from the journal (操作记录)."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        context = {
            "opts": self.opts,
            "object": row,
            "original": row,
            "entries": audit_queries.history(row),
            "subtitle": "操作记录",
            "back_url": reverse(f"admin:{self._base_name}_change", args=[row.pk]),
            **(extra_context or {}),
        }
        return page(request, "kw/history.html", context, title=str(row))


class LedgerAdmin(KwModelAdmin):
    """A ledger is looked at, never written here: a mistake is corrected by a new row (冲红)."""

    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class KwTabularInline(ScopedChoices, UnfoldTabularInline):  # type: ignore[misc]
    """Rows of a dependent table inside a form; more than 20 of them are paged."""

    extra = 0
    per_page = 20
    tab = False


class KwStackedInline(ScopedChoices, UnfoldStackedInline):  # type: ignore[misc]
    extra = 0
    per_page = 20


def _renamed(names: Any, twins: Mapping[str, str]) -> list[Any]:
    return [
        tuple(_renamed(name, twins)) if isinstance(name, list | tuple) else twins.get(name, name)
        for name in names
    ]


def _field_at(model: type[models.Model], lookup: str) -> models.Field[Any, Any] | None:
    """The column at the end of `institution__region`; None for what is no column."""
    field: Any = None
    for part in lookup.split("__"):
        try:
            field = model._meta.get_field("pk" if part == "pk" else part)
        except FieldDoesNotExist:
            return None
        if field.is_relation and field.related_model is not None:
            model = field.related_model
    return field if isinstance(field, models.Field) else None
