"""Background work over the API (后台任务接口): runs one may see, schedules, acts on both.

It stands above jobs and api, which do not know each other.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from ninja import Query, Schema
from pydantic import Field

from kangwei.kernel.api.paging import Page, Paging, paginate
from kangwei.kernel.api.registry import ApiRequest, KwRouter
from kangwei.kernel.jobs import queries, services
from kangwei.kernel.jobs.models import Run
from kangwei.kernel.refusals import NotFound

router = KwRouter(tag="后台任务")
State = Literal["waiting", "running", "done", "failed", "cancelled"]


class RunOut(Schema):
    id: int
    kind: str = Field(description="类型")
    title: str = Field(description="标题")
    owner: str | None = Field(description="发起人")
    state: State = Field(description="状态：等待、运行中、完成、失败、已取消")
    done: int = Field(description="已完成")
    total: int = Field(description="总数，0 表示未知")
    note: str = Field(description="进度说明")
    result: Any = Field(description="结果")
    error: str = Field(description="失败原因")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None

    @staticmethod
    def resolve_owner(run: Run) -> str | None:
        return str(run.owner) if run.owner else None


class PauseOut(Schema):
    from_at: datetime
    reason: str
    paused_by: str
    until_at: datetime | None

    @staticmethod
    def resolve_paused_by(pause: Any) -> str:
        return str(pause.paused_by)


class ScheduleRunOut(Schema):
    id: int
    schedule: str = Field(description="定时任务名称")
    due_at: datetime = Field(description="应执行时间")
    how: Literal["timed", "made_up", "by_hand"] = Field(description="定时、补做、手工")
    by: str | None = Field(description="手工执行人")
    outcome: Literal["waiting", "running", "done", "failed", "skipped"] = Field(description="结果")
    started_at: datetime | None
    finished_at: datetime | None
    summary: str
    error: str

    @staticmethod
    def resolve_schedule(row: Any) -> str:
        return str(row.schedule_id)

    @staticmethod
    def resolve_by(row: Any) -> str | None:
        return str(row.by) if row.by else None


class ScheduleOut(Schema):
    name: str = Field(description="名称")
    title: str = Field(description="标题")
    description: str = Field(description="说明")
    cron: str = Field(description="周期，北京时间的 cron 表达式")
    next_due_at: datetime | None = Field(description="下次执行时间，暂停时为空")
    pause: PauseOut | None = Field(description="当前的暂停")
    last: ScheduleRunOut | None = Field(description="最近一次运行")


class MissedOut(Schema):
    name: str
    title: str
    first: datetime = Field(description="错过的第一个时刻")
    last: datetime = Field(description="错过的最后一个时刻")
    count: int = Field(description="连续错过的次数")


class PauseIn(Schema):
    reason: str = Field(min_length=1, max_length=200, description="暂停的原因")


@router.get("/runs", right=None, rows=Run, response=Page[RunOut], summary="后台任务列表")
def runs(
    request: ApiRequest, paging: Query[Paging], state: State | None = None, kind: str | None = None
) -> Any:
    """自己发起的后台任务；有“查看全部后台任务”权限时为全部。"""
    found = queries.runs_visible_to(request.user).order_by("-created_at")
    if state is not None:
        found = found.filter(state=state)
    if kind is not None:
        found = found.filter(kind=kind)
    return paginate(found, paging, order={"created_at": "created_at", "finished_at": "finished_at"})


@router.get("/runs/{run_id}", right=None, rows=Run, response=RunOut, summary="后台任务的进展")
def run(request: ApiRequest, run_id: int) -> Any:
    return _run(request, run_id)


@router.act("/runs/{run_id}/cancel", right=None, rows=Run, response=RunOut, summary="取消后台任务")
def cancel_run(request: ApiRequest, run_id: int) -> Any:
    """等待中的立即取消，运行中的在下一步停止。只能取消自己的，或凭“取消他人的后台任务”权限。"""
    found = _run(request, run_id)
    return services.cancel_run(run=found, by=request.user, at=request.at)


@router.get(
    "/schedules",
    right="jobs.view_schedule",
    response=list[ScheduleOut],
    summary="定时任务列表",
)
def schedules(request: ApiRequest) -> Any:
    return queries.schedule_states(request.at)


@router.get(
    "/schedules/missed",
    right="jobs.view_schedule",
    response=list[MissedOut],
    summary="错过的定时任务",
)
def missed(request: ApiRequest) -> Any:
    """应执行而没有运行记录的时刻，连续的合并为一段。"""
    return [
        {
            "name": one.name,
            "title": one.title,
            "first": one.span.first,
            "last": one.span.last,
            "count": one.span.count,
        }
        for one in queries.missed(request.at)
    ]


@router.get(
    "/schedules/{name}/runs",
    right="jobs.view_schedule",
    response=Page[ScheduleRunOut],
    summary="定时任务的运行记录",
)
def schedule_runs(request: ApiRequest, name: str, paging: Query[Paging]) -> Any:
    return paginate(queries.schedule_runs(name), paging, order={"due_at": "due_at"})


@router.act(
    "/schedules/{name}/run-now",
    right="jobs.manage_schedule",
    response=ScheduleRunOut,
    summary="立即执行定时任务",
)
def run_now(request: ApiRequest, name: str) -> Any:
    return services.run_now(name=name, by=request.user, at=request.at)


@router.act(
    "/schedules/{name}/pause",
    right="jobs.manage_schedule",
    response=PauseOut,
    summary="暂停定时任务",
    example={"reason": "机房检修"},
)
def pause(request: ApiRequest, name: str, content: PauseIn) -> Any:
    return services.pause_schedule(name=name, by=request.user, reason=content.reason, at=request.at)


@router.act(
    "/schedules/{name}/resume",
    right="jobs.manage_schedule",
    response=PauseOut,
    summary="恢复定时任务",
)
def resume(request: ApiRequest, name: str) -> Any:
    return services.resume_schedule(name=name, by=request.user, at=request.at)


def _run(request: ApiRequest, run_id: int) -> Run:
    found = queries.runs_visible_to(request.user).filter(pk=run_id).first()
    if found is None:
        raise NotFound(f"没有编号为 {run_id} 的后台任务，或它不是您发起的。", field="run_id")
    return found
