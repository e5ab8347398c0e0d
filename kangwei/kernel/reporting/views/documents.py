"""Pages of documents: list, make, write, preview, seal, correct, compare, take along; templates."""

from __future__ import annotations

import base64
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from kangwei.kernel import clock
from kangwei.kernel.organisations.models import Institution
from kangwei.kernel.refusals import NotFound, Refusal
from kangwei.kernel.screens.pages import page, work_page

from .. import queries, registry
from ..models import Document, DocumentVersion, StyleTemplate
from ..outputs.styles import STYLE_TITLES, STYLES, fields
from ..refusals import WrongTemplate
from ..rules import blocks as b
from ..rules.differences import differences
from ..rules.documents import DocumentKind
from ..rules.layout import face, flow, whole
from ..services import documents as acts
from ..services.templates import SAMPLE, house_template, retire_template, upload_template
from .asking import period_titles
from .reports import attachment, who

FORMS = {"docx", "pdf"}


def found_version(request: HttpRequest, number: int) -> DocumentVersion:
    found = (
        DocumentVersion.objects.visible_to(request.user)
        .select_related("document__institution", "created_by", "sealed_by", "template")
        .filter(pk=number)
        .first()
    )
    if found is None:
        raise NotFound("没有这份文档，或它不在您的数据范围内。")
    return found


def may(request: HttpRequest, right: str, version: DocumentVersion) -> bool:
    account = who(request)
    return account.has_perm(right) and account.scope(right).includes(
        version.document.institution_id
    )


@work_page()
@require_GET
def documents(request: HttpRequest) -> HttpResponse:
    rows = Document.objects.visible_to(request.user).select_related("institution", "created_by")
    wanted, code = request.GET.get("q", "").strip(), request.GET.get("kind", "")
    if wanted:
        rows = rows.filter(
            Q(number__icontains=wanted)
            | Q(title__icontains=wanted)
            | Q(institution__name__icontains=wanted)
        )
    if code:
        rows = rows.filter(kind=code)
    shown = Paginator(rows.prefetch_related("versions"), 20).get_page(request.GET.get("page"))
    lines = []
    for one in shown:
        # The tree of each version is large and not looked at here.
        versions = sorted(one.versions.all(), key=lambda version: -version.version)
        kept = [v for v in versions if v.state != DocumentVersion.State.DISCARDED] or versions
        lines.append({"document": one, "latest": kept[0], "versions": len(versions)})
    context = {
        "shown": shown,
        "lines": lines,
        "wanted": wanted,
        "code": code,
        "kinds": queries.document_kinds_for(who(request)),
    }
    return page(request, "reporting/documents.html", context, title="文档")


@work_page(right="reporting.write_document")
@require_http_methods(["GET", "POST"])
def generate(request: HttpRequest) -> HttpResponse:
    by, at = who(request), clock.now()
    kinds = queries.document_kinds_for(by)
    code = request.POST.get("kind") or request.GET.get("kind") or (kinds[0].code if kinds else "")
    kind = registry.find_document_kind(code)
    reached = by.scope("reporting.write_document").limit(Institution.objects.all(), "pk")
    if request.method == "POST":
        kind = acts.require_kind(code, by)
        given = request.POST.get("institution", "")
        institution = reached.filter(pk=given).first() if given.isdigit() else None
        if institution is None:
            raise NotFound("没有这个机构，或它不在您的数据范围内；请重新选择机构。")
        chosen = request.POST.get("template", "")
        templates = StyleTemplate.objects.visible_to(by).filter(active=True)
        template = templates.filter(pk=chosen).first() if chosen.isdigit() else None
        version = acts.generate_document(
            kind=kind,
            period=request.POST.get("period", ""),
            institution=institution,
            by=by,
            at=at,
            template=template,
        )
        return HttpResponseRedirect(reverse("reporting:document", args=[version.pk]))
    periods = period_titles((kind.period,), clock.local_day(at), 13) if kind else []
    context = {
        "kinds": kinds,
        "kind": kind,
        "periods": periods,
        "institutions": reached[:3000],
        "mine": by.institution_id,
        "templates": StyleTemplate.objects.visible_to(by).filter(active=True).defer("content"),
        "crumbs": [("文档", reverse("reporting:documents"))],
    }
    return page(request, "reporting/generate.html", context, title="编制文档")


@work_page()
@require_GET
def document(request: HttpRequest, number: int) -> HttpResponse:
    """A version as it reads; a draft with its fields to type, a sealed one with its proof."""
    version = found_version(request, number)
    tree = acts.preview_tree(version)
    writing = version.is_draft and may(request, acts.WRITE, version)
    kind = registry.find_document_kind(version.document.kind)
    context = {
        "version": version,
        "document": version.document,
        "versions": version.document.versions.defer("tree").order_by("-version"),
        "face": face(tree, digest=version.tree_digest),
        "sections": sections(tree, version, kind, writing=writing),
        "writing": writing,
        "may_seal": version.is_draft and may(request, acts.SEAL, version),
        "may_correct": version.is_sealed and may(request, acts.WRITE, version),
        "may_release": version.is_sealed and may(request, acts.RELEASE, version),
        "checked": queries.verify_version(version) if version.is_sealed else None,
        "changes": queries.changes_since(version) if version.version > 1 else [],
        "crumbs": [("文档", reverse("reporting:documents"))],
    }
    return page(request, "reporting/document.html", context, title=version.document.title)


def sections(
    tree: b.Tree, version: DocumentVersion, kind: DocumentKind | None, *, writing: bool
) -> list[dict[str, Any]]:
    """Chapters of the preview; of a draft, with the text fields in their places."""
    texts = queries.texts_of(version) if writing else {}
    drawn: list[dict[str, Any]] = []
    for element in elements_of(tree):
        if element["type"] == "heading" and element["level"] == 1:
            key = element["key"]
            declared = kind.section(key) if kind else None
            typed = declared.typed if declared else ""
            text = texts.get(key)
            drawn.append(
                {
                    "key": key,
                    "number": element["number"],
                    "title": element["text"],
                    "elements": [],
                    "typed": typed if writing else "",
                    "required": bool(declared and declared.required),
                    "text": text.text if text else "",
                    "revision": text.revision if text else 0,
                }
            )
        elif not (writing and element.get("role") == "typed"):
            drawn[-1]["elements"].append(element)
    return drawn


def elements_of(tree: b.Tree) -> list[dict[str, Any]]:
    """The flow with pictures drawn as SVG, for reading on a page."""
    elements = flow(tree, mask=whole)
    for element in elements:
        if element["type"] == "chart":
            # Drawn by our engine from our option; texts in it are escaped by the engine.
            from ..outputs.pictures import chart_svg

            svg = chart_svg(element["option"], height=element["height"])
            element["svg"] = mark_safe(svg)  # noqa: S308
        elif element["type"] == "image":
            encoded = base64.b64encode(element["data"]).decode()
            element["source"] = f"data:{element['media_type']};base64,{encoded}"
        elif element["type"] == "list":
            # A template would read `.items` as the dictionary's own method.
            element["entries"] = element["items"]
        elif element["type"] == "table":
            element["lines"] = [
                {
                    "kind": line["kind"],
                    "cells": list(zip(line["cells"], element["align"], strict=True)),
                }
                for line in element["lines"]
            ]
    return elements


@work_page(right="reporting.write_document")
@require_POST
def write(request: HttpRequest, number: int) -> HttpResponse:
    """Autosave of one section. Answers with the new revision, or with what stands in the way."""
    version = found_version(request, number)
    revision = request.POST.get("revision", "0")
    try:
        text = acts.write_text(
            version=version,
            section=request.POST.get("section", ""),
            text=request.POST.get("text", ""),
            revision=int(revision) if revision.isdigit() and len(revision) < 9 else 0,
            by=who(request),
            at=clock.now(),
        )
    except Refusal as refusal:
        return JsonResponse({"message": refusal.message}, status=refusal.status)
    at = text.at.astimezone(clock.SHANGHAI)
    return JsonResponse({"revision": text.revision, "saved": f"{at:%H:%M:%S} 已保存"})


def _act(request: HttpRequest, number: int, version: DocumentVersion, said: str) -> HttpResponse:
    messages.success(request, said)
    return HttpResponseRedirect(reverse("reporting:document", args=[version.pk]))


@work_page(right="reporting.write_document")
@require_POST
def refresh(request: HttpRequest, number: int) -> HttpResponse:
    version = acts.refresh_draft(
        version=found_version(request, number), by=who(request), at=clock.now()
    )
    return _act(request, number, version, "已按现在的数据重新取数，填写的内容保留。")


@work_page(right="reporting.seal_document")
@require_POST
def seal(request: HttpRequest, number: int) -> HttpResponse:
    version = acts.seal_version(
        version=found_version(request, number), by=who(request), at=clock.now()
    )
    return _act(
        request, number, version, f"已封存为 {version.document.number} 第 {version.version} 版。"
    )


@work_page(right="reporting.write_document")
@require_POST
def discard(request: HttpRequest, number: int) -> HttpResponse:
    acts.discard_draft(
        version=found_version(request, number),
        reason=request.POST.get("reason", ""),
        by=who(request),
        at=clock.now(),
    )
    messages.success(request, "草稿已作废；编号不受影响。")
    return HttpResponseRedirect(reverse("reporting:documents"))


@work_page(right="reporting.write_document")
@require_POST
def correct(request: HttpRequest, number: int) -> HttpResponse:
    version = acts.correct_document(
        document=found_version(request, number).document,
        reason=request.POST.get("reason", ""),
        by=who(request),
        at=clock.now(),
    )
    return _act(request, number, version, f"已建立第 {version.version} 版草稿，改好后再封存。")


@work_page()
@require_GET
def take(request: HttpRequest, number: int, form: str) -> HttpResponse:
    """Word or PDF; `outward=1`: the copy that leaves the customer."""
    if form not in FORMS:
        raise NotFound("文档只有 Word（docx）和 PDF（pdf）两种格式。")
    version = found_version(request, number)
    act = acts.release_copy if request.GET.get("outward") == "1" else acts.download
    return attachment(act(version=version, form=form, by=who(request), at=clock.now()))  # type: ignore[arg-type]


@work_page()
@require_GET
def paper(request: HttpRequest, number: int) -> HttpResponse:
    version = found_version(request, number)
    tree = acts.preview_tree(version)
    context = {
        "title": tree.title,
        "face": face(tree, digest=version.tree_digest),
        "elements": elements_of(tree),
        "printed_at": clock.now(),
    }
    return render(request, "reporting/document_paper.html", context)


@work_page()
@require_GET
def compare(request: HttpRequest, number: int) -> HttpResponse:
    """Two versions of one document, change by change."""
    after = found_version(request, number)
    given = request.GET.get("with", "")
    before = (
        found_version(request, int(given))
        if given.isdigit() and len(given) < 10
        else queries.sealed_before(after)
    )
    if before is None or before.document_id != after.document_id:
        raise NotFound("没有可比较的版本；请选择同一文档的另一个版本。")
    if before.version > after.version:
        before, after = after, before
    context = {
        "before": before,
        "after": after,
        "changes": differences(queries.tree_of(before), queries.tree_of(after)),
        "crumbs": [
            ("文档", reverse("reporting:documents")),
            (str(after.document), reverse("reporting:document", args=[after.pk])),
        ],
    }
    return page(request, "reporting/document_compare.html", context, title="版本差异")


# ── Style templates ───────────────────────────────────────────────────────────────────────────


@work_page(right="reporting.manage_template")
@require_http_methods(["GET", "POST"])
def templates(request: HttpRequest) -> HttpResponse:
    by = who(request)
    reached = by.scope("reporting.manage_template")
    if request.method == "POST":
        upload = request.FILES.get("content")
        if upload is None:
            raise WrongTemplate("请选择要上传的 .docx 文件。", field="content")
        given = request.POST.get("institution", "")
        institution = None
        if given:
            institution = (
                reached.limit(Institution.objects.filter(pk=given), "pk").first()
                if given.isdigit()
                else None
            )
            if institution is None:
                raise NotFound("没有这个机构，或它不在您的数据范围内；请重新选择机构。")
        made = upload_template(
            name=request.POST.get("name", ""),
            filename=upload.name or "",
            content=upload.read(),
            institution=institution,
            styles={role: request.POST.get(f"style_{role}", "") for role in STYLES},
            by=by,
            at=clock.now(),
        )
        messages.success(request, f"模板“{made.name}”已检查通过，可以用于编制文档。")
        return HttpResponseRedirect(reverse("reporting:templates"))
    context = {
        "rows": StyleTemplate.objects.visible_to(by)
        .select_related("institution", "uploaded_by")
        .defer("content"),
        "institutions": reached.limit(Institution.objects.all(), "pk")[:3000],
        "everything": reached.everything,
        "styles": [(role, STYLE_TITLES[role], STYLES[role]) for role in STYLES],
        "fields": list(fields(SAMPLE)),
        "crumbs": [("文档", reverse("reporting:documents"))],
    }
    return page(request, "reporting/templates.html", context, title="文档样式模板")


@work_page(right="reporting.manage_template")
@require_GET
def house(request: HttpRequest) -> HttpResponse:
    """The default template, as a start for one's own."""
    answer = HttpResponse(house_template(), content_type=acts.FILE_TYPES["docx"])
    answer["Content-Disposition"] = "attachment; filename=kangwei-template.docx"
    return answer


@work_page(right="reporting.manage_template")
@require_POST
def retire(request: HttpRequest, number: int) -> HttpResponse:
    found = StyleTemplate.objects.visible_to(request.user).filter(pk=number).first()
    if found is None:
        raise NotFound("没有这个模板，或它不在您的数据范围内。")
    retire_template(template=found, by=who(request), at=clock.now())
    messages.success(request, f"模板“{found.name}”已停用；用它写成的文档不受影响。")
    return HttpResponseRedirect(reverse("reporting:templates"))
