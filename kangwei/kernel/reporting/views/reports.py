"""Pages of reports: the index, one report, the rows behind a figure, files, paper, long runs."""

from __future__ import annotations

import math
from itertools import groupby
from typing import Any
from urllib.parse import quote, urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_GET, require_POST

from kangwei.kernel import clock
from kangwei.kernel.jobs import queries as job_queries
from kangwei.kernel.jobs import services as job_services
from kangwei.kernel.jobs.models import Run
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.refusals import NotFound, Refusal
from kangwei.kernel.screens.pages import page, work_page

from .. import queries
from ..outputs.spreadsheets import total_words
from ..refusals import ResultGone
from ..rules.declarations import Column, Report
from ..rules.recurrence import FREQUENCY_TITLES
from ..rules.results import Line, Result
from ..rules.values import KIND_TITLES
from ..services import personal
from ..services.exporting import Exported, export_details, export_result, mask_for, print_result
from ..services.running import (
    Kept,
    drill,
    open_kept,
    require,
    run_and_keep,
    start_long_report,
)
from .asking import asked, controls, relative_periods
from .drawing import table, with_query

PAGE_ROWS = 100
PRINT_ROWS = 5_000


def who(request: HttpRequest) -> Account:
    assert isinstance(request.user, Account)
    return request.user


def attachment(exported: Exported) -> HttpResponse:
    answer = HttpResponse(exported.content, content_type=exported.media_type)
    name = quote(exported.filename)
    answer["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


@work_page()
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """Reports one may see, by group, with one's favourites first."""
    by = who(request)
    wanted = request.GET.get("q", "").strip()
    marked = queries.favourites(by)
    found = [
        report
        for report in queries.reports_for(by)
        if wanted.lower() in f"{report.title} {report.purpose} {report.code} {report.group}".lower()
    ]
    cards = [{"report": one, "favourite": one.code in marked} for one in found]
    groups = [
        (group, list(members))
        for group, members in groupby(cards, key=lambda card: card["report"].group)  # type: ignore[attr-defined]
    ]
    context = {
        "groups": groups,
        "favourites": [card for card in cards if card["favourite"]],
        "wanted": wanted,
        "count": len(found),
    }
    return page(request, "reporting/index.html", context, title="报表目录")


@work_page()
@require_GET
def report(request: HttpRequest, code: str) -> HttpResponse:
    """One report: its parameters; once asked, its chart and table."""
    by, at = who(request), clock.now()
    declared = require(code, by)
    raw = asked(declared, request.GET)
    context: dict[str, Any] = {
        "report": declared,
        "controls": controls(declared, raw, by, clock.local_day(at)),
        "favourite": declared.code in queries.favourites(by),
        "relative": relative_periods(declared),
        "frequencies": FREQUENCY_TITLES.items(),
        "definitions": definitions(declared.columns),
    }
    status = 200
    # An empty address shows the form; a report without parameters answers at once.
    if request.GET.get("run") or request.GET.get("result") or raw or not declared.parameters:
        try:
            if declared.long and not request.GET.get("result"):
                run = start_long_report(report=declared, parameters=raw, by=by, at=at)
                return HttpResponseRedirect(reverse("reporting:run", args=[run.pk]))
            kept = _result(request, declared, raw, by)
            context |= _shown(request, declared, kept, by)
        except (ResultGone, Refusal) as refusal:
            if isinstance(refusal, NotFound) and refusal.field is None:
                raise
            status = refusal.status
            context["refusal"] = refusal
    return page(request, "reporting/report.html", context, title=declared.title, status=status)


def _result(request: HttpRequest, declared: Report, raw: dict[str, str], by: Account) -> Kept:
    """The kept result of the address; an expired one is simply asked for again."""
    at = clock.now()
    if result_id := request.GET.get("result"):
        try:
            return open_kept(result_id=result_id, report=declared, by=by, at=at)
        except ResultGone:
            if declared.long:
                raise
    return run_and_keep(report=declared, parameters=raw, by=by, at=at)


def _shown(request: HttpRequest, declared: Report, kept: Kept, by: Account) -> dict[str, Any]:
    result = kept.result
    path = reverse("reporting:report", args=[declared.code])
    chosen = queries.chosen_columns(by, declared.code)
    columns = result.visible(chosen)
    order = _order(request, result)
    ordered, sorted_key, descending = order
    number = max(1, min(_number(request.GET.get("page")), math.ceil(len(ordered) / PAGE_ROWS) or 1))
    start = (number - 1) * PAGE_ROWS
    base = {**dict(result.heading.parameters), "result": str(kept.result_id)}
    sorting = (("-" if descending else "") + sorted_key) if sorted_key else ""

    def drill_url(row: int | None, column: Column) -> str:
        place = "" if row is None else str(row)
        query = urlencode({"result": str(kept.result_id), "column": column.key, "row": place})
        return reverse("reporting:drill", args=[declared.code]) + "?" + query

    def sort_url(column: Column) -> tuple[str, str]:
        here = column.key == sorted_key
        # Numbers are first looked at from the largest, names from the first.
        numeric = column.kind not in {"text", "date", "datetime"}
        wanted = (not descending) if here else numeric
        direction = ("descending" if descending else "ascending") if here else ""
        return with_query(path, **base, sort=("-" if wanted else "") + column.key), direction

    lines: list[tuple[str, str, Line, int | None]] = []
    after = {one.end: one for one in result.subtotals} if not sorted_key else {}
    for place in ordered[start : start + PAGE_ROWS]:
        lines.append(("row", "", result.rows[place], place))
        if place + 1 in after:
            one = after[place + 1]
            lines.append(("subtotal", one.label, one.line, None))
    if result.totals is not None and result.rows:
        lines.append(("total", "合计", result.totals, None))
    pages = math.ceil(len(ordered) / PAGE_ROWS)
    return {
        "kept": kept,
        "result": result,
        "table": table(
            result,
            columns,
            lines,
            mask=mask_for(by.masking_level),
            drill=drill_url if declared.drill else None,
            sort=sort_url,
            label=result.heading.title,
        ),
        "columns": [
            {"column": one, "on": one.key in {c.key for c in columns}} for one in result.columns
        ],
        "pages": [
            (n, with_query(path, **base, sort=sorting, page=str(n))) for n in _near(number, pages)
        ],
        "number": number,
        "page_count": pages,
        "first_row": start + 1,
        "last_row": min(start + PAGE_ROWS, len(ordered)),
        "sorting": sorting,
        "back": with_query(path, **base, sort=sorting),
        "hidden_fields": base,
    }


def _order(request: HttpRequest, result: Result) -> tuple[list[int], str, bool]:
    """Row places in the asked order; rows without a value stay last in either direction."""
    text = request.GET.get("sort", "")
    key, descending = text.lstrip("-"), text.startswith("-")
    if key not in result.index:
        return list(range(len(result.rows))), "", False
    place = result.index[key]
    present = [n for n, row in enumerate(result.rows) if row[place] is not None]
    absent = [n for n, row in enumerate(result.rows) if row[place] is None]
    present.sort(key=lambda n: result.rows[n][place], reverse=descending)  # type: ignore[arg-type,return-value]
    return present + absent, key, descending


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() and len(text) < 7 else 1


def _near(number: int, pages: int) -> list[int]:
    wanted = {1, pages, *range(number - 2, number + 3)}
    return sorted(n for n in wanted if 1 <= n <= pages)


def definitions(columns: tuple[Column, ...]) -> list[dict[str, str]]:
    """What each column means, in words, for the 口径 dialog."""
    titles = {column.key: column.title for column in columns}
    said = []
    for column in columns:
        words = " ".join(titles.get(part, part) for part in total_words(column).split(" "))
        said.append(
            {
                "title": column.full_title,
                "kind": KIND_TITLES[column.kind],
                "total": words,
                "definition": column.definition,
            }
        )
    return said


def _kept(request: HttpRequest, code: str) -> tuple[Report, Kept]:
    by = who(request)
    declared = require(code, by)
    given = request.POST.get("result") or request.GET.get("result") or ""
    return declared, open_kept(result_id=given, report=declared, by=by, at=clock.now())


@work_page()
@require_GET
def details(request: HttpRequest, code: str) -> HttpResponse:
    """The rows behind one figure; they add up to it, or the page says that they do not."""
    declared, kept = _kept(request, code)
    by, at = who(request), clock.now()
    row = request.GET.get("row", "")
    found = drill(
        report=declared,
        result=kept.result,
        row=int(row) if row.isdigit() and len(row) < 9 else None,
        column=request.GET.get("column", ""),
        by=by,
        at=at,
    )
    if request.GET.get("format") == "xlsx":
        return attachment(export_details(details=found, result=kept.result, by=by, at=at))
    shape = Result(kept.result.heading, found.columns, found.rows)
    number = _number(request.GET.get("page"))
    start = (number - 1) * PAGE_ROWS
    lines = [("row", "", line, None) for line in found.rows[start : start + PAGE_ROWS]]
    query = {name: request.GET.get(name, "") for name in ("result", "column", "row")}
    path = reverse("reporting:drill", args=[code])
    pages = math.ceil(len(found.rows) / PAGE_ROWS)
    context = {
        "report": declared,
        "details": found,
        "result": kept.result,
        "table": table(shape, found.columns, lines, mask=mask_for(by.masking_level)),
        "back": with_query(
            reverse("reporting:report", args=[code]),
            **{**dict(kept.result.heading.parameters), "result": str(kept.result_id)},
        ),
        "export_url": with_query(path, **query, format="xlsx"),
        "pages": [(n, with_query(path, **query, page=str(n))) for n in _near(number, pages)],
        "number": number,
        "page_count": pages,
        "crumbs": [("报表目录", reverse("reporting:index"))],
    }
    return page(request, "reporting/details.html", context, title=found.title)


@work_page(right="reporting.export_report")
@require_POST
def export(request: HttpRequest, code: str) -> HttpResponse:
    _, kept = _kept(request, code)
    by = who(request)
    return attachment(
        export_result(
            result=kept.result,
            columns=queries.chosen_columns(by, code),
            form="csv" if request.POST.get("format") == "csv" else "xlsx",
            by=by,
            at=clock.now(),
        )
    )


@work_page(right="reporting.export_report")
@require_GET
def paper(request: HttpRequest, code: str) -> HttpResponse:
    """The report on paper: every row up to a limit, the chart drawn without a browser."""
    declared, kept = _kept(request, code)
    by, at = who(request), clock.now()
    print_result(result=kept.result, by=by, at=at)
    return print_page(request, kept.result, queries.chosen_columns(by, declared.code))


def _picture(option: dict[str, Any]) -> SafeString:
    """The chart as the engine draws it, loaded when the first one is printed."""
    from ..outputs.pictures import chart_svg

    return mark_safe(chart_svg(option))  # noqa: S308  # drawn by us


def print_page(
    request: HttpRequest, result: Result, chosen: list[str] | None, note: str = ""
) -> HttpResponse:
    by = who(request)
    columns = result.visible(chosen)
    lines = [(kind, label, line, None) for kind, label, line in result.lines()]
    context = {
        "title": result.heading.title,
        "result": result,
        "table": table(result, columns, lines[:PRINT_ROWS], mask=mask_for(by.masking_level)),
        # The picture is ours: drawn by our engine from our option, text escaped by it.
        "chart": _picture(result.chart) if result.chart else "",
        "cut": len(lines) > PRINT_ROWS,
        "most": PRINT_ROWS,
        "definitions": definitions(tuple(columns)),
        "printed_at": clock.now(),
        "note": note,
    }
    return render(request, "reporting/paper.html", context)


@work_page()
@require_POST
def favourite(request: HttpRequest, code: str) -> HttpResponse:
    by = who(request)
    found = require(code, by)
    wanted = not personal.is_favourite(found, by)
    personal.set_favourite(report=found, by=by, wanted=wanted)
    return HttpResponseRedirect(_back(request, code))


@work_page()
@require_POST
def choose_columns(request: HttpRequest, code: str) -> HttpResponse:
    by = who(request)
    columns = [] if "reset" in request.POST else request.POST.getlist("columns")
    personal.choose_columns(report=require(code, by), columns=columns, by=by)
    return HttpResponseRedirect(_back(request, code))


def _back(request: HttpRequest, code: str) -> str:
    """Where the small form stood; only a path of ours is believed."""
    own = reverse("reporting:report", args=[code])
    given = request.POST.get("back", "")
    return given if given.startswith((own, reverse("reporting:index"))) else own


# ── Long reports ──────────────────────────────────────────────────────────────────────────────


def _run(request: HttpRequest, number: int) -> Run:
    found = job_queries.runs_visible_to(request.user).filter(pk=number).first()
    if found is None:
        raise NotFound("没有这个后台任务，或它不是您发起的。")
    return found


@work_page()
@require_GET
def run(request: HttpRequest, number: int) -> HttpResponse:
    """How far a long report is; the page asks again by itself and goes to the result."""
    found = _run(request, number)
    context: dict[str, Any] = {"run": found, "crumbs": [("报表目录", reverse("reporting:index"))]}
    if found.state == Run.State.DONE and found.result:
        target = with_query(
            reverse("reporting:report", args=[found.result["report"]]),
            **{**found.arguments["parameters"], "result": found.result["result"]},
        )
        if request.headers.get("HX-Request") == "true":
            answer = HttpResponse(status=204)
            answer["HX-Redirect"] = target
            return answer
        return HttpResponseRedirect(target)
    if request.headers.get("HX-Request") == "true":
        return render(request, "reporting/parts/progress.html", context)
    return page(request, "reporting/run.html", context, title=found.title)


@work_page()
@require_POST
def cancel_run(request: HttpRequest, number: int) -> HttpResponse:
    job_services.cancel_run(run=_run(request, number), by=who(request), at=clock.now())
    return HttpResponseRedirect(reverse("reporting:run", args=[number]))
