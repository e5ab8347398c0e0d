"""Pages of bulk import (批量导入): upload, preview with reasons, confirm, bad rows."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from kangwei.kernel import clock
from kangwei.kernel.organisations.forms import UploadForm
from kangwei.kernel.organisations.models import ImportBatch, ImportKind
from kangwei.kernel.organisations.services import importing
from kangwei.kernel.organisations.views.acting import act, me, one
from kangwei.kernel.refusals import NotFound, NotPermitted
from kangwei.kernel.screens.pages import lacking, page, work_page

LISTS = {
    ImportKind.INSTITUTIONS: "admin:organisations_institution_changelist",
    ImportKind.ACCOUNTS: "admin:organisations_account_changelist",
}


def _kind(request: HttpRequest, kind: str) -> ImportKind:
    """The kind of sheet, if the account may import it."""
    if kind not in ImportKind.values:
        raise NotFound("没有这种导入。")
    right = importing.SCOPE_RIGHT[ImportKind(kind)]
    if not me(request).has_perm(right):
        raise NotPermitted(lacking(right))
    return ImportKind(kind)


@work_page()
def start(request: HttpRequest, kind: str) -> HttpResponse:
    wanted = _kind(request, kind)
    user, at = me(request), clock.now()

    def do(given: dict[str, Any]) -> HttpResponse:
        file = given["file"]
        batch = importing.upload(kind=wanted, file=file, name=file.name, by=user, at=at)
        return HttpResponseRedirect(reverse("organisations:import_batch", args=[batch.pk]))

    posted = request.method == "POST"
    return act(
        request,
        UploadForm(request.POST, request.FILES) if posted else UploadForm(),
        title=f"批量导入{wanted.label}",
        do=do,
        back=reverse(LISTS[wanted]),
        submit="上传并检查",
        template="organisations/import_start.html",
        kind=wanted,
        columns=importing.COLUMNS[wanted],
        batches=ImportBatch.objects.visible_to(user).filter(kind=wanted)[:10],
    )


@work_page()
def template(request: HttpRequest, kind: str) -> HttpResponse:
    wanted = _kind(request, kind)
    return _workbook(importing.template(wanted), f"{wanted.label}导入模板.xlsx")


def _workbook(content: bytes, name: str) -> HttpResponse:
    response = HttpResponse(content, content_type=importing.XLSX)
    response["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name)}"
    return response


def _batch(request: HttpRequest, pk: int) -> ImportBatch:
    batch = one(ImportBatch.objects.visible_to(request.user), pk)
    _kind(request, batch.kind)
    return batch


@work_page()
def preview(request: HttpRequest, pk: int) -> HttpResponse:
    batch = _batch(request, pk)
    columns = importing.COLUMNS[batch.kind]
    rows = batch.rows.all()
    good, bad = rows.filter(problems=[]).count(), rows.filter(~Q(problems=[])).count()
    only = request.GET.get("only", "")
    if only == "bad":
        rows = rows.filter(~Q(problems=[]))
    shown = Paginator(rows.order_by("number"), 50).get_page(request.GET.get("page"))
    hidden = {"phone", "id_number"}
    lines = [
        (
            row,
            [
                "已填写" if column.key in hidden and value else value
                for column in columns
                for value in [importing.values_of(row).get(column.key, "")]
            ],
            row.problems,
        )
        for row in shown
    ]
    return page(
        request,
        "organisations/import_batch.html",
        {
            "batch": batch,
            "columns": columns,
            "shown": shown,
            "lines": lines,
            "good": good,
            "bad": bad,
            "tabs_shown": [
                ("全部", "?", only != "bad", good + bad),
                ("问题行", "?only=bad", only == "bad", bad),
            ],
            "run": importing.running(batch),
            "pk": batch.pk,
            "passwords": importing.has_passwords(batch),
            "list_url": reverse(LISTS[ImportKind(batch.kind)]),
            "again_url": reverse("organisations:imports", args=[batch.kind]),
        },
        title=f"导入{batch.get_kind_display()}：{batch.file_name}",
    )


@require_POST
@work_page()
def confirm(request: HttpRequest, pk: int) -> HttpResponse:
    batch = _batch(request, pk)
    importing.confirm(batch=batch, by=me(request), at=clock.now())
    return HttpResponseRedirect(reverse("organisations:import_batch", args=[batch.pk]))


@work_page()
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """How far a large import is; once it has ended, the page loads anew."""
    run = importing.running(_batch(request, pk))
    answer = render(request, "organisations/import_progress.html", {"run": run, "pk": pk})
    if run is None:
        answer["HX-Refresh"] = "true"
    return answer


@require_POST
@work_page()
def discard(request: HttpRequest, pk: int) -> HttpResponse:
    batch = _batch(request, pk)
    importing.discard(batch=batch, by=me(request), at=clock.now())
    return HttpResponseRedirect(reverse("organisations:imports", args=[batch.kind]))


@require_POST
@work_page()
def passwords(request: HttpRequest, pk: int) -> HttpResponse:
    batch = _batch(request, pk)
    content = importing.take_passwords(batch=batch, by=me(request), at=clock.now())
    return _workbook(content, "一次性密码.xlsx")


@work_page()
def bad_rows(request: HttpRequest, pk: int) -> HttpResponse:
    batch = _batch(request, pk)
    return _workbook(importing.bad_rows(batch), f"{batch.get_kind_display()}问题行.xlsx")
