"""Pages of background work: schedules and what became of them (定时任务), long runs (后台任务)."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from kangwei.kernel import clock
from kangwei.kernel.jobs import queries, services
from kangwei.kernel.jobs.models import Run, ScheduleRun
from kangwei.kernel.jobs.rules.spoken import spoken
from kangwei.kernel.oversight.views.reviews import me
from kangwei.kernel.refusals import NotFound
from kangwei.kernel.screens.pages import page, work_page

VIEW_RIGHT, MANAGE_RIGHT = "jobs.view_schedule", "jobs.manage_schedule"
CANCEL_RIGHT = "jobs.cancel_any_run"
TONES: dict[str, str] = {
    ScheduleRun.Outcome.WAITING: "info",
    ScheduleRun.Outcome.RUNNING: "info",
    ScheduleRun.Outcome.DONE: "good",
    ScheduleRun.Outcome.FAILED: "bad",
    ScheduleRun.Outcome.SKIPPED: "neutral",
    Run.State.CANCELLED: "neutral",
}


@work_page(right=VIEW_RIGHT)
@require_GET
def schedules(request: HttpRequest) -> HttpResponse:
    """Every schedule: when it comes next, how it ended last, and what never came."""
    at = clock.now()
    states = queries.schedule_states(at)
    missed = queries.missed(at)
    failed = [one for one in states if one.last and one.last.outcome == "failed"]
    return page(
        request,
        "oversight/schedules.html",
        {
            "rows": [(one, spoken(one.cron), _tone(one.last)) for one in states],
            "missed": missed,
            "failed": failed,
            "paused": [one for one in states if one.pause],
            "health": queries.queue_health(),
            "may_manage": me(request).has_perm(MANAGE_RIGHT),
        },
        title="定时任务",
    )


@work_page(right=VIEW_RIGHT)
@require_GET
def schedule(request: HttpRequest, name: str) -> HttpResponse:
    """One schedule with the ledger of its runs."""
    at = clock.now()
    found = next((one for one in queries.schedule_states(at) if one.name == name), None)
    if found is None:
        raise NotFound(f"没有名为“{name}”的定时任务，它可能已停用。")
    rows = Paginator(queries.schedule_runs(name), 50).get_page(request.GET.get("page"))
    return page(
        request,
        "oversight/schedule.html",
        {
            "schedule": found,
            "pairs": [
                ("周期", f"{spoken(found.cron)}（北京时间）"),
                ("下次执行", found.next_due_at or "已暂停"),
                ("名称", found.name),
                *(
                    [("暂停原因", found.pause.reason), ("暂停人", found.pause.paused_by),
                     ("暂停时间", found.pause.from_at)]
                    if found.pause
                    else []
                ),
            ],
            "rows": rows,
            "shown": [(row, _tone(row)) for row in rows],
            "missed": [one for one in queries.missed(at) if one.name == name],
            "may_manage": me(request).has_perm(MANAGE_RIGHT),
        },
        title=found.title,
    )  # fmt: skip


@work_page(right=MANAGE_RIGHT)
@require_POST
def run_now(request: HttpRequest, name: str) -> HttpResponse:
    row = services.run_now(name=name, by=me(request), at=clock.now())
    messages.success(request, f"“{row.schedule}”已排队执行，稍后刷新查看结果。")
    return _to_schedule(name)


@work_page(right=MANAGE_RIGHT)
@require_POST
def pause(request: HttpRequest, name: str) -> HttpResponse:
    made = services.pause_schedule(
        name=name, by=me(request), reason=request.POST.get("reason", ""), at=clock.now()
    )
    messages.success(request, f"“{made.schedule}”已暂停，恢复前不再按时执行。")
    return _to_schedule(name)


@work_page(right=MANAGE_RIGHT)
@require_POST
def resume(request: HttpRequest, name: str) -> HttpResponse:
    ended = services.resume_schedule(name=name, by=me(request), at=clock.now())
    messages.success(request, f"“{ended.schedule}”已恢复，暂停期间的不补做。")
    return _to_schedule(name)


@work_page(right=None)
@require_GET
def runs(request: HttpRequest) -> HttpResponse:
    """Long work: one's own, or everybody's for whoever watches over it."""
    found = queries.runs_visible_to(me(request)).order_by("-created_at", "-pk")
    state = request.GET.get("state", "")
    if state in Run.State.values:
        found = found.filter(state=state)
    rows = Paginator(found, 20).get_page(request.GET.get("page"))
    may_cancel_any = me(request).has_perm(CANCEL_RIGHT)
    return page(
        request,
        "oversight/runs.html",
        {
            "rows": rows,
            "shown": [
                (
                    row,
                    TONES[row.state],
                    row.is_open and (may_cancel_any or row.owner == me(request)),
                )
                for row in rows
            ],
            "states": Run.State.choices,
            "state": state,
        },
        title="后台任务",
    )


@work_page(right=None)
@require_POST
def cancel_run(request: HttpRequest, pk: int) -> HttpResponse:
    run = queries.runs_visible_to(me(request)).filter(pk=pk).first()
    if run is None:
        raise NotFound("没有找到该后台任务，或它不是您发起的。")
    ended = services.cancel_run(run=run, by=me(request), at=clock.now())
    done = ended.state == Run.State.CANCELLED
    messages.success(
        request, f"“{run.title}”已取消。" if done else f"已请求取消“{run.title}”，将在下一步停止。"
    )
    return HttpResponseRedirect(reverse("oversight:runs"))


def _tone(row: ScheduleRun | None) -> str:
    return TONES[row.outcome] if row else "neutral"


def _to_schedule(name: str) -> HttpResponse:
    return HttpResponseRedirect(reverse("oversight:schedule", args=[name]))
