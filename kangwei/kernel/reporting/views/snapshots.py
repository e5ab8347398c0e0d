"""Pages of frozen reports, their comparison, plans and subscriptions."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from kangwei.kernel import clock
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.refusals import NotFound
from kangwei.kernel.screens.pages import page, work_page

from .. import queries, registry
from ..models import Snapshot, SnapshotPlan, Subscription
from ..refusals import WrongPlan
from ..rules.results import Line
from ..rules.values import show
from ..services.exporting import (
    export_comparison,
    export_result,
    mask_for,
    print_result,
)
from ..services.plans import (
    cancel_subscription,
    plan_snapshots,
    start_offered_plan,
    stop_plan,
    subscribe,
)
from ..services.running import open_kept, require
from ..services.snapshots import compare_results, compare_with_now, freeze
from .drawing import comparison_table, table, with_query
from .reports import PAGE_ROWS, _near, _number, attachment, definitions, print_page, who


def found_snapshot(request: HttpRequest, number: int) -> Snapshot:
    found = (
        Snapshot.objects.visible_to(request.user)
        .select_related("account", "institution", "plan")
        .filter(pk=number)
        .first()
    )
    if found is None:
        raise NotFound("没有这份固化报表，或它覆盖的机构不全在您的数据范围内。")
    return found


@work_page()
@require_GET
def snapshots(request: HttpRequest) -> HttpResponse:
    rows = Snapshot.objects.visible_to(request.user).select_related("account", "institution")
    wanted, code = request.GET.get("q", "").strip(), request.GET.get("report", "")
    if wanted:
        rows = rows.filter(name__icontains=wanted)
    if code:
        rows = rows.filter(report=code)
    shown = Paginator(rows.defer("frame"), 20).get_page(request.GET.get("page"))
    context = {
        "shown": shown,
        "wanted": wanted,
        "code": code,
        "reports": queries.reports_for(who(request)),
        "tabs": tabs("snapshots"),
    }
    return page(request, "reporting/snapshots.html", context, title="固化报表")


def tabs(lit: str) -> list[tuple[str, str, bool]]:
    entries = (("固化报表", "snapshots"), ("固化计划", "plans"), ("我的订阅", "subscriptions"))
    return [(title, reverse(f"reporting:{name}"), name == lit) for title, name in entries]


@work_page(right="reporting.freeze_report")
@require_POST
def freeze_result(request: HttpRequest, code: str) -> HttpResponse:
    by, at = who(request), clock.now()
    declared = require(code, by)
    kept = open_kept(result_id=request.POST.get("result", ""), report=declared, by=by, at=at)
    made = freeze(report=declared, kept=kept, by=by, at=at, name=request.POST.get("name", ""))
    messages.success(request, f"已固化“{made.name}”，共 {made.rows} 行；内容不再变化。")
    return HttpResponseRedirect(reverse("reporting:snapshot", args=[made.pk]))


@work_page()
@require_GET
def snapshot(request: HttpRequest, number: int) -> HttpResponse:
    """A frozen report as it was, with the outcome of checking its digest."""
    found = found_snapshot(request, number)
    opened = queries.open_snapshot(found)
    result = opened.result
    place = _number(request.GET.get("page"))
    start = (place - 1) * PAGE_ROWS
    body = [line for line in result.lines() if line[0] != "total"]
    lines: list[tuple[str, str, Line, int | None]] = [
        (kind, label, line, None) for kind, label, line in body[start : start + PAGE_ROWS]
    ]
    if result.totals is not None:
        lines.append(("total", "合计", result.totals, None))
    path = reverse("reporting:snapshot", args=[number])
    pages = math.ceil(len(body) / PAGE_ROWS)
    others = (
        Snapshot.objects.visible_to(request.user)
        .filter(report=found.report)
        .exclude(pk=found.pk)
        .defer("frame")[:50]
    )
    context = {
        "snapshot": found,
        "opened": opened,
        "result": result,
        "table": table(
            result,
            result.visible(None),
            lines,
            mask=mask_for(who(request).masking_level),
            label=found.name,
        ),
        "definitions": definitions(result.columns),
        "others": others,
        "current": registry.find_report(found.report),
        "pages": [(n, with_query(path, page=str(n))) for n in _near(place, pages)],
        "number": place,
        "page_count": pages,
        "crumbs": [("固化报表", reverse("reporting:snapshots"))],
    }
    return page(request, "reporting/snapshot.html", context, title=found.name)


@work_page(right="reporting.export_report")
@require_POST
def export_snapshot(request: HttpRequest, number: int) -> HttpResponse:
    opened = queries.open_snapshot(found_snapshot(request, number))
    return attachment(
        export_result(
            result=opened.result,
            form="csv" if request.POST.get("format") == "csv" else "xlsx",
            by=who(request),
            at=clock.now(),
            subject_note=f"固化 {number}",
        )
    )


@work_page(right="reporting.export_report")
@require_GET
def print_snapshot(request: HttpRequest, number: int) -> HttpResponse:
    found = found_snapshot(request, number)
    opened = queries.open_snapshot(found)
    print_result(result=opened.result, by=who(request), at=clock.now())
    return print_page(request, opened.result, None, note=f"固化报表，摘要 {found.digest}")


@work_page()
@require_GET
def compare(request: HttpRequest) -> HttpResponse:
    """Two snapshots, or a snapshot and now, cell by cell."""
    by, at = who(request), clock.now()
    before = found_snapshot(request, _number(request.GET.get("before")))
    earlier = queries.open_snapshot(before).result
    after: Snapshot | None = None
    if request.GET.get("after", "now") == "now":
        later, comparison = compare_with_now(
            report=require(before.report, by),
            before=earlier,
            parameters=before.parameters,
            by=by,
            at=at,
        )
    else:
        after = found_snapshot(request, _number(request.GET.get("after")))
        if after.cutoff < before.cutoff:
            before, after = after, before
            earlier = queries.open_snapshot(before).result
        later = queries.open_snapshot(after).result
        comparison = compare_results(earlier, later)
    if request.GET.get("format") == "xlsx":
        return attachment(
            export_comparison(comparison=comparison, heading=later.heading, by=by, at=at)
        )
    everything = request.GET.get("all") == "1"
    query = {
        "before": str(before.pk),
        "after": str(after.pk) if after else "now",
    }
    path = reverse("reporting:compare")
    context = {
        "before": before,
        "after": after,
        "later": later,
        "comparison": comparison,
        "counts": comparison.counts,
        "table": comparison_table(
            comparison, mask=mask_for(by.masking_level), everything=everything
        ),
        "everything": everything,
        "toggle_url": with_query(path, **query, all="" if everything else "1"),
        "export_url": with_query(path, **query, format="xlsx"),
        "crumbs": [
            ("固化报表", reverse("reporting:snapshots")),
            (before.name, reverse("reporting:snapshot", args=[before.pk])),
        ],
    }
    return page(request, "reporting/compare.html", context, title="逐格比较")


# ── Plans and subscriptions ───────────────────────────────────────────────────────────────────


def _moment(request: HttpRequest) -> dict[str, Any]:
    """Frequency, hour and day of a posted plan."""
    values: dict[str, Any] = {"frequency": request.POST.get("frequency", "")}
    for name, title in (("hour", "时点"), ("day", "第几天")):
        text = request.POST.get(name, "1" if name == "day" else "").strip()
        if not text.isdigit() or len(text) > 3:
            raise WrongPlan(f"{title}应是整数，现在是“{text[:20]}”。", field=name)
        values[name] = int(text)
    return values


def _parameters(request: HttpRequest) -> dict[str, str]:
    return {
        name.removeprefix("p_"): str(value)
        for name, value in request.POST.items()
        if name.startswith("p_") and value
    }


@work_page(right="reporting.manage_plan")
@require_http_methods(["GET", "POST"])
def plans(request: HttpRequest) -> HttpResponse:
    by = who(request)
    if request.method == "POST":
        made = plan_snapshots(
            report=require(request.POST.get("report", ""), by),
            name=request.POST.get("name", ""),
            parameters=_parameters(request),
            by=by,
            at=clock.now(),
            **_moment(request),
        )
        messages.success(request, f"已建立固化计划“{made.name}”：{made.recurrence.label}执行。")
        return HttpResponseRedirect(reverse("reporting:plans"))
    rows = SnapshotPlan.objects.visible_to(by).select_related("account", "institution")
    context = {
        "rows": [_repeating(one, clock.now()) for one in rows],
        "tabs": tabs("plans"),
        "offered": queries.offered_plans(by),
    }
    return page(request, "reporting/plans.html", context, title="固化计划")


@work_page(right="reporting.manage_plan")
@require_POST
def start_offered(request: HttpRequest, code: str) -> HttpResponse:
    by = who(request)
    made = start_offered_plan(report=require(code, by), by=by, at=clock.now())
    messages.success(request, f"已建立固化计划“{made.name}”：{made.recurrence.label}执行。")
    return HttpResponseRedirect(reverse("reporting:plans"))


def _repeating(row: SnapshotPlan | Subscription, at: datetime) -> dict[str, Any]:
    report = registry.find_report(row.report)
    words = {"previous": "上一", "current": "本"}
    titles = {"day": "日", "week": "周", "month": "月", "quarter": "季度", "half_year": "半年"}
    titles |= {"year": "年", "": "期"}
    said = []
    for value in row.parameters.values():
        word, _, kind = value.partition(":")
        said.append(words[word] + titles.get(kind, kind) if word in words else value)
    return {
        "row": row,
        "title": report.title if report else f"{row.report}（已停用）",
        "when": row.recurrence.label,
        "words": "，".join(said) or "无条件",
        "last": show("datetime", row.last_slot),
    }


@work_page(right="reporting.manage_plan")
@require_POST
def stop(request: HttpRequest, number: int) -> HttpResponse:
    plan = SnapshotPlan.objects.visible_to(request.user).filter(pk=number).first()
    if plan is None:
        raise NotFound("没有这项固化计划，或它不在您的数据范围内。")
    stop_plan(plan=plan, by=who(request), at=clock.now())
    messages.success(request, f"已停用固化计划“{plan.name}”；已固化的报表不受影响。")
    return HttpResponseRedirect(reverse("reporting:plans"))


@work_page()
@require_GET
def subscriptions(request: HttpRequest) -> HttpResponse:
    rows = Subscription.objects.visible_to(request.user).filter(active=True)
    context = {
        "rows": [
            _repeating(one, clock.now()) for one in rows.select_related("account", "ordered_by")
        ],
        "tabs": tabs("subscriptions"),
    }
    return page(request, "reporting/subscriptions.html", context, title="我的订阅")


@work_page()
@require_POST
def subscribe_report(request: HttpRequest, code: str) -> HttpResponse:
    by = who(request)
    receiver: Account | None = None
    if given := request.POST.get("account", "").strip():
        receiver = (
            Account.objects.reached_by(by, "reporting.subscribe_others")
            .filter(username=given)
            .first()
        )
        if receiver is None:
            raise NotFound(f"没有用户名为“{given[:40]}”的账号，或它不在您的数据范围内。")
    made = subscribe(
        report=require(code, by),
        parameters=_parameters(request),
        by=by,
        at=clock.now(),
        account=receiver,
        **_moment(request),
    )
    messages.success(request, f"已订阅：{made.recurrence.label}把结果的链接发给 {made.account}。")
    return HttpResponseRedirect(reverse("reporting:subscriptions"))


@work_page()
@require_POST
def unsubscribe(request: HttpRequest, number: int) -> HttpResponse:
    found = Subscription.objects.visible_to(request.user).filter(pk=number).first()
    if found is None:
        raise NotFound("没有这项订阅，或它不是您的。")
    cancel_subscription(subscription=found, by=who(request), at=clock.now())
    messages.success(request, "已取消订阅。")
    return HttpResponseRedirect(reverse("reporting:subscriptions"))
