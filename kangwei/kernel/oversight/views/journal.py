"""Pages of the journal (审计日志): searching, one line with all beside it, integrity."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from kangwei.kernel import clock
from kangwei.kernel.audit import queries as audit_queries
from kangwei.kernel.audit.models import Anchor, Verification
from kangwei.kernel.jobs.models import Run
from kangwei.kernel.jobs.services import start_run
from kangwei.kernel.oversight import journal, services
from kangwei.kernel.oversight.forms import JournalForm
from kangwei.kernel.oversight.models import SavedSearch
from kangwei.kernel.oversight.tasks import VERIFY_RUN
from kangwei.kernel.oversight.views.reviews import me
from kangwei.kernel.refusals import Invalid, NotFound
from kangwei.kernel.screens.pages import page, work_page

PAGE = 50


@work_page(right=journal.SEARCH_RIGHT)
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Who did what, to which thing, where, when."""
    journal.require_whole_view(request.user)
    form = JournalForm(request.GET)
    number = request.GET.get("page", "1")
    current = int(number) if number.isdigit() and int(number) > 0 else 1
    found = None
    if form.is_valid():
        found = audit_queries.search(form.criteria(), page=current, size=PAGE)
    conditions = form.conditions()
    return page(
        request,
        "oversight/journal.html",
        {
            "form": form,
            "first": [form[name] for name in form.FIRST],
            "more": [form[name] for name in form.fields if name not in form.FIRST],
            "more_open": any(name not in form.FIRST for name in conditions),
            "found": found,
            "page_number": current,
            "has_next": found is not None and (found.more or current * PAGE < found.total),
            "presets": [
                {"title": one.title, "hint": one.hint, "url": f"?{urlencode(one.query)}",
                 "lit": dict(one.query) == conditions}
                for one in journal.PRESETS
            ],
            "saved": [
                {"row": row, "url": f"?{urlencode(row.query)}"}
                for row in SavedSearch.objects.visible_to(request.user)
            ],
            "conditions": json.dumps(conditions, ensure_ascii=False),
            "has_conditions": bool(conditions),
            "query": urlencode(conditions),
            "may_export": me(request).has_perm(journal.EXPORT_RIGHT),
        },
        title="审计日志",
    )  # fmt: skip


@work_page(right=journal.SEARCH_RIGHT)
@require_GET
def entry(request: HttpRequest, pk: int) -> HttpResponse:
    """One line in full: the drawer of the list, or a page of its own."""
    journal.require_whole_view(request.user)
    return page(
        request,
        "oversight/entry_drawer.html"
        if request.headers.get("HX-Request")
        else "oversight/entry.html",
        {"detail": journal.detail(pk)},
        title=f"审计日志 {pk}",
    )


@work_page(right=journal.EXPORT_RIGHT)
@require_GET
def export(request: HttpRequest) -> HttpResponse:
    """The found lines as a file; that they were taken is itself a line of the journal."""
    journal.require_whole_view(request.user, journal.EXPORT_RIGHT)
    form = JournalForm(request.GET)
    if not form.is_valid():
        raise Invalid("查询条件有误，请返回修改后再导出。")
    at = clock.now()
    text = services.export_journal(
        criteria=form.criteria(), conditions=form.conditions(), by=me(request), at=at
    )
    answer = HttpResponse(text, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f"attachment; filename=journal-{clock.local_day(at):%Y%m%d}.csv"
    return answer


@work_page(right=journal.SEARCH_RIGHT)
@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """Keep the present conditions under a name, or drop a kept search."""
    kept = request.POST.get("delete", "")
    if kept:
        row = SavedSearch.objects.visible_to(request.user).filter(pk=kept).first()
        if row is None:
            raise NotFound("没有找到该常用查询，可能已被删除。")
        services.delete_search(saved=row, by=me(request), at=clock.now())
        messages.success(request, "已删除常用查询。")
        return HttpResponseRedirect(reverse("oversight:journal"))
    query = read_query(request.POST.get("query", ""))
    saved = services.save_search(
        account=me(request), name=request.POST.get("name", ""), query=query, at=clock.now()
    )
    messages.success(request, f"已保存常用查询“{saved.name}”。")
    return HttpResponseRedirect(f"{reverse('oversight:journal')}?{urlencode(query)}")


def read_query(text: str) -> dict[str, str]:
    try:
        given = json.loads(text or "{}")
    except ValueError:
        given = None
    if not isinstance(given, dict) or not given:
        raise Invalid("请先设置查询条件，再保存为常用查询。")
    return {
        str(name): str(value)[:200] for name, value in given.items() if name in JournalForm().fields
    }


@work_page(right=journal.SEARCH_RIGHT)
@require_GET
def integrity(request: HttpRequest) -> HttpResponse:
    """Is the journal whole: how far the chain is, what vouches for it, when it was last checked."""
    state = audit_queries.chain_state()
    running = Run.objects.filter(kind=VERIFY_RUN).order_by("-pk").first()
    return page(
        request,
        "oversight/integrity.html",
        {
            "state": state,
            "run": running if running and running.is_open else None,
            "anchors": Anchor.objects.order_by("-number")[:10],
            "verifications": Verification.objects.order_by("-started_at")[:10],
            "seals": audit_queries.sealed_months().values(),
            "may_verify": me(request).has_perm(journal.VERIFY_RIGHT),
        },
        title="日志完整性",
    )


@work_page(right=journal.VERIFY_RIGHT)
@require_POST
def verify_now(request: HttpRequest) -> HttpResponse:
    """Have a worker verify the whole chain."""
    open_runs: Any = Run.objects.filter(kind=VERIFY_RUN, state__in=["waiting", "running"])
    if open_runs.exists():
        messages.info(request, "校验正在进行，请稍候查看结果。")
    else:
        start_run(kind=VERIFY_RUN, title="校验审计日志完整性", by=me(request), at=clock.now())
        messages.success(request, "已开始在后台校验，完成后在本页显示结果。")
    return HttpResponseRedirect(reverse("oversight:integrity"))
