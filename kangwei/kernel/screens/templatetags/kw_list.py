"""The rows of a list screen: dense, sortable, one link per row, drawn without unfold's cards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import template
from django.contrib.admin.templatetags.admin_list import result_headers
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.views.main import PAGE_VAR
from django.utils.safestring import SafeString

from kangwei.kernel.screens import tables

register = template.Library()

CHECKBOX = "action_checkbox"


@dataclass(frozen=True)
class Row:
    key: str
    url: str
    cells: list[tables.Cell]
    form: Any = None


@register.inclusion_tag("kw/parts/list_table.html", takes_context=True)
def list_table(context: dict[str, Any], cl: Any) -> dict[str, Any]:
    """The whole table: headings that sort, rows that lead to their form."""
    headers = [
        header for header in result_headers(cl) if "action-toggle" not in str(header["text"])
    ]
    selectable = CHECKBOX in cl.list_display
    return {
        "headers": headers,
        "rows": list(_rows(context, cl)),
        "selectable": selectable,
        "formset": cl.formset,
        "table_title": str(cl.opts.verbose_name_plural),
    }


def _rows(context: dict[str, Any], cl: Any) -> Iterator[Row]:
    admin = cl.model_admin
    names = [name for name in cl.list_display if name != CHECKBOX]
    labels = {name: tables.column_label(name, cl.model, admin) for name in names}
    links = {str(name) for name in (cl.list_display_links or [])}
    editable = set(cl.list_editable or [])
    forms = cl.formset.forms if cl.formset else [None] * len(cl.result_list)
    for row, form in zip(cl.result_list, forms, strict=False):
        url = add_preserved_filters(context, cl.url_for_result(row)) if links else ""
        shown = list(tables.cells(names, row, admin, labels))
        if form is not None and editable:
            shown = [
                tables.Cell(c.name, c.label, SafeString(str(form[c.name])), c.numeric)
                if c.name in editable
                else c
                for c in shown
            ]
        yield Row(str(row.pk), url if links else "", shown, form)


@register.inclusion_tag("kw/parts/list_pages.html")
def list_pages(cl: Any) -> dict[str, Any]:
    """Pages, sizes and the count under a list."""
    numbers = []
    for number in cl.paginator.get_elided_page_range(cl.page_num, on_each_side=2, on_ends=1):
        if number == cl.paginator.ELLIPSIS:
            numbers.append(("…", "", False))
        else:
            here = number == cl.page_num
            numbers.append((str(number), cl.get_query_string({PAGE_VAR: number}), here))
    return {"cl": cl, "numbers": numbers, "several": cl.paginator.num_pages > 1}
